"""Passwords and signatures in URLs: they are written nowhere."""

import re

_CREDENTIALS = re.compile(
    r"(?<=://)[^/\s'\"]*@"
    r"|(?<=[?&])[\w-]*(?:signature|credential|token|sig|(?:api|access)[-_]?key(?:id)?|secret|pass\w*|pwd)=[^&\s'\",;]*&?",
    re.IGNORECASE,
)


def without_credentials(text: str) -> str:
    """Returns a text without what its URLs carry of them.

    Example:
        >>> without_credentials("http://me:pw@host/a?X-Amz-Signature=12&b=c")
        'http://host/a?b=c'
        >>> without_credentials("http://me:p@#w@host/a?api_key=12&key=b")
        'http://host/a?key=b'
    """
    return _CREDENTIALS.sub("", text)
