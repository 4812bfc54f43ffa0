"""What a value of parsed JSON is; of files from others nothing is known before."""

import typing

Json = typing.Any
"""What a JSON parser gives; nothing is known of it yet."""

_MIN_INT64, _MAX_INT64 = -(2**63), 2**63 - 1


def is_number(value: Json) -> bool:
    """Tells numbers from all else; true and false are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_integer(value: Json) -> bool:
    """Tells integers of at most 64 bits from all else; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool) and _MIN_INT64 <= value <= _MAX_INT64


def is_text(value: Json) -> bool:
    """Tells strings that UTF-8 can hold from all else; JSON can escape half a surrogate pair."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
