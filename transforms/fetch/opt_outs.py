"""Refusals in a response's headers: ``X-Robots-Tag`` and ``TDM-Reservation``, seen before the body is read."""

import re
import typing

import aiohttp

from schemas.failures import FailureReason, Stage
from transforms.fetch.fetch_error import FetchError

_HEADER, _TDM = "X-Robots-Tag", "TDM-Reservation"
_WITH_VALUE = ("unavailable_after", "max-snippet", "max-image-preview", "max-video-preview")
"""Directives whose colon does not end the name of a robot."""

_ROBOT = re.compile(r"\*|[a-z][^\s]*")
"""A robot's name: no part of a date, which has colons and commas of its own."""


def check_opt_out(response: aiohttp.ClientResponse, tags: typing.Collection[str], token: str) -> None:
    """Refuses what its host asks not to be used.

    Args:
        response: whose body is not read yet.
        tags: directives that count.
        token: our name; directives for other robots do not count.

    Raises:
        FetchError: ``opted_out``; ``detail`` has the tag.
    """
    headers, http_status = response.headers, response.status
    for value in headers.getall(_HEADER, ()):
        for directive in directives(value, token):
            if directive in tags or (directive == "none" and "noindex" in tags):
                raise opted_out(f"{_HEADER}: {directive}", http_status)
    if any(value.strip() == "1" for value in headers.getall(_TDM, ())):
        raise opted_out(f"{_TDM}: 1", http_status)


def opted_out(what: str, http_status: int = -1) -> FetchError:
    """Returns the failure of a photo whose host refuses it."""
    return FetchError(FailureReason.OPTED_OUT, Stage.FETCH, what, http_status)


def directives(value: str, token: str) -> list[str]:
    """Returns the directives of one ``X-Robots-Tag`` that are for everybody or for us, in small letters.

    The name of a robot counts until the next name.

    Example:
        >>> directives("noindex, otherbot: noai, noml, photobeam: NoImageAI, max-snippet: 9", "photobeam")
        ['noindex', 'noimageai', 'max-snippet']
    """
    found, for_us = [], True
    for part in re.split("[,;]", value.lower()):
        name, colon, rest = (text.strip() for text in part.partition(":"))
        if colon and name not in _WITH_VALUE and _ROBOT.fullmatch(name):
            for_us = name in ("*", token)
            name = rest
        if for_us and name:
            found.append(name)
    return found
