"""Breaks the decoder of the process that imports this, for files with certain bytes in them."""

import os
import signal
import typing

from tests import crashing
from transforms.images import image_codec

SEGFAULT, HANG, KILL = b"#segfault#", b"#hang#", b"#kill#"

_encode_image = image_codec.encode_image


def _broken(data: bytes, *arguments: typing.Any, **options: typing.Any) -> typing.Any:
    if SEGFAULT in data:
        crashing.read_null()
    if HANG in data:
        crashing.hang()
    if KILL in data:
        os.kill(os.getpid(), signal.SIGKILL)
    return _encode_image(data, *arguments, **options)


image_codec.encode_image = _broken
