"""Names of classes and images as names of files, and as parts of a line."""

import hashlib
import re

MAX_NAME_BYTES = 180
"""Longer names of files are cut; with an extension they fit into the 255 bytes that file systems allow."""

_NOT_IN_FILES = re.compile(r'[%/\\:*?"<>|\x00-\x1f\x7f]|^\.|[. ]$|^ ')
_CONTROL = re.compile("[\x00-\x1f\x7f\x85\u2028\u2029\ufffe\uffff]")


def file_name(text: str) -> str:
    """Returns a text as the name of one file or folder.

    What some file system forbids (slashes, double quotes, ``: * ? < > |`` and control characters), a percent sign, and
    a dot or space at the beginning or end are percent-encoded, so that other texts have other names. Spaces and
    single quotes within stay. A name of more than 180 bytes is cut, and ends with 16 hex digits of its SHA-256.

    Example:
        >>> file_name("Polar bear"), file_name("a/b"), file_name("..")
        ('Polar bear', 'a%2Fb', '%2E%2E')
    """
    name = _NOT_IN_FILES.sub(_encoded, text) or "%"
    data = name.encode()
    if len(data) <= MAX_NAME_BYTES:
        return name
    return f"{data[: MAX_NAME_BYTES - 17].decode(errors='ignore')}~{hashlib.sha256(data).hexdigest()[:16]}"


def one_line(text: str) -> str:
    """Returns a text that is one line, and may stand in XML: control characters and the like are percent-encoded.

    Example:
        >>> one_line("a\\nb")
        'a%0Ab'
    """
    return _CONTROL.sub(_encoded, text)


def one_word(text: str) -> str:
    """Returns a text without white space, which is percent-encoded.

    Example:
        >>> one_word("a b.jpg")
        'a%20b.jpg'
    """
    return re.sub(r"\s", _encoded, text)


def _encoded(found: "re.Match[str]") -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode())
