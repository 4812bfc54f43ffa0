"""The versions on which rows, images and what travels between processes depend."""

import contextlib
import importlib.metadata
import platform
import typing

SOFTWARE = ("photobeam", "apache-beam", "pyarrow", "numpy", "scipy", "pillow", "simplejpeg", "duckdb", "aiohttp")
"""Named in the manifest; the bytes of rows and images depend on most of them."""

PYTHON = "python"


def software() -> dict[str, str]:
    """Returns the version of each of :data:`SOFTWARE` that is installed here, and of Python."""
    found = {}
    for name in SOFTWARE:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found | {PYTHON: platform.python_version()}


def difference(wanted: typing.Mapping[str, str], found: typing.Mapping[str, str] | None = None) -> str:
    """Says in which versions this place differs from another one; '' if in none that matters.

    Args:
        wanted: versions there, by name; only these are compared.
        found: versions here; by default what is installed. Of Python the patch version does not matter.

    Example:
        >>> difference({"pillow": "12.2.0", "python": "3.11.4"}, {"pillow": "12.1.1", "python": "3.11.9"})
        'pillow 12.1.1 where the submitter has 12.2.0'
    """
    here = software() if found is None else found
    return ", ".join(
        f"{name} {here.get(name, 'missing')} where the submitter has {version}"
        for name, version in sorted(wanted.items())
        if _compared(name, here.get(name, "")) != _compared(name, version)
    )


def _compared(name: str, version: str) -> str:
    return ".".join(version.split(".")[:2]) if name == PYTHON else version
