"""The operator's proxies, by ``HTTP_PROXY``, ``HTTPS_PROXY`` and ``NO_PROXY``."""

import urllib.request

import yarl


def env_proxies() -> dict[str, yarl.URL]:
    """Returns the proxy for each scheme that has one; without a scheme of its own it is an ``http://`` one.

    Raises:
        ValueError: a proxy is not of the kind that is spoken to; names the variable, what is wrong and the remedy.
    """
    texts = urllib.request.getproxies()
    return {scheme: _proxy(scheme, texts[scheme]) for scheme in ("http", "https") if texts.get(scheme)}


def proxy_of(url: yarl.URL, proxies: dict[str, yarl.URL]) -> yarl.URL | None:
    """Returns the proxy to ask for a URL, None where it is asked for directly."""
    proxy, host = proxies.get(url.scheme), url.raw_host or ""
    if proxy and (urllib.request.proxy_bypass(host) or urllib.request.proxy_bypass(f"{host}:{url.port}")):
        return None
    return proxy


def _proxy(scheme: str, text: str) -> yarl.URL:
    name = f"{scheme.upper()}_PROXY"
    try:
        url = yarl.URL(text if "://" in text else f"http://{text}")
    except ValueError:
        raise ValueError(f"{name} is no URL: give http://HOST:PORT") from None
    if not url.host:
        raise ValueError(f"{name} names no host: give http://HOST:PORT")
    if url.scheme != "http":
        raise ValueError(
            f"{name} begins with {url.scheme}://, but only HTTP proxies are spoken to: give http://HOST:PORT"
        )
    return url
