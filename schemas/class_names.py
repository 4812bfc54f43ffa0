"""Lists of classes: the display name of each class id (MID), such as ``/m/014j1m,Apple``.

V4 to V6 have no header, V7 has ``LabelName,DisplayName``, some copies ``id,name``. What spreadsheet
programs make of them is understood too: line ends of CR, a BOM, ``;`` or tabs, whole lines in quotes.
"""

import csv
import re
import typing

_MID = re.compile(r"/[a-z]/[0-9a-z_]+")
_ID_COLUMNS = frozenset({"labelname", "id", "mid", "label", "labelid", "label_name", "label_id"})
_NAME_COLUMNS = frozenset({"displayname", "name", "display_name", "description", "label"})
_LINE_END = re.compile(r"\r\n|\n|\r")
_DELIMITERS = ",;\t"
_BOM = "\ufeff"


class BadClassListError(ValueError):
    """A line of a list of classes has another form; the message says where and why."""


def is_mid(name: str) -> bool:
    """Tells class ids from display names.

    Example:
        >>> is_mid("/m/014j1m"), is_mid("Apple")
        (True, False)
    """
    return _MID.fullmatch(name) is not None


def is_class_list(lines: typing.Sequence[str]) -> bool:
    """Tells a list of classes by its first lines, without line ends: most are a class id and a name."""
    filled = [line for line in lines if line.strip()]
    body = filled[1:] if filled and _is_header(_fields(filled[0])) else filled
    if not body:
        return False
    return 2 * sum(_is_entry(_fields(line)) for line in body) > len(body)


def read_class_names(text: str) -> dict[str, str]:
    r"""Reads a whole list.

    Of a class that is listed twice, the name that is first by code point counts.

    Raises:
        BadClassListError: a line is no class id and name.

    Example:
        >>> read_class_names('LabelName,DisplayName\n/m/014j1m,Apple\n')
        {'/m/014j1m': 'Apple'}
    """
    names: dict[str, str] = {}
    for number, line in enumerate(_LINE_END.split(text.removeprefix(_BOM)), start=1):
        fields = _fields(line)
        if not fields or (number == 1 and _is_header(fields)):
            continue
        if not _is_entry(fields):
            raise BadClassListError(f"line {number} is not a class id and a name: {line[:80]!r}")
        names[fields[0]] = min(fields[1], names.get(fields[0], fields[1]))
    return names


def mids_by_name(class_names: typing.Mapping[str, str]) -> dict[str, set[str]]:
    """Returns the class ids of each display name, which is in lower case; a few names have several.

    Example:
        >>> mids_by_name({"/m/014j1m": "Apple"})
        {'apple': {'/m/014j1m'}}
    """
    found: dict[str, set[str]] = {}
    for mid, name in class_names.items():
        found.setdefault(name.lower(), set()).add(mid)
    return found


def _fields(line: str) -> list[str]:
    """Splits a line; a line that is quoted as a whole is split again, empty fields at its end are dropped."""
    delimiter = min(_DELIMITERS, key=lambda d: line.find(d) if d in line else len(line))
    try:
        fields = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error:
        return [line]
    fields = [field.strip() for field in fields]
    while fields and not fields[-1]:
        fields.pop()
    return _fields(fields[0]) if len(fields) == 1 and fields[0] != line else fields


def _is_header(fields: list[str]) -> bool:
    names = [field.lower().removeprefix(_BOM) for field in fields]
    return len(names) == 2 and names[0] in _ID_COLUMNS and names[1] in _NAME_COLUMNS


def _is_entry(fields: list[str]) -> bool:
    return len(fields) == 2 and is_mid(fields[0]) and bool(fields[1])
