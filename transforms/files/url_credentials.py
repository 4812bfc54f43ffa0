"""Passwords and signatures in URLs: they are written nowhere."""

import re

_CREDENTIALS = re.compile(
    r"(?<=://)[^/@\s]*@|(?<=[?&])[\w-]*(?:signature|credential|token|sig)=[^&\s]*&?", re.IGNORECASE
)


def without_credentials(text: str) -> str:
    """Returns a text without what its URLs carry of them.

    Example:
        >>> without_credentials("http://me:pw@host/a?X-Amz-Signature=12&b=c")
        'http://host/a?b=c'
    """
    return _CREDENTIALS.sub("", text)
