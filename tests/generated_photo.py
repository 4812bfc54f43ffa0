"""A photo of smooth noise in any size and mode, and files of it."""

import io
import struct
import typing

import numpy as np
from PIL import Image, ImageCms, ImageFilter

Named = typing.Iterator[tuple[str, bytes]]
"""Files, each by a name that says what is odd about it."""

SIDES = ((1, 1), (1, 17), (17, 1), (15, 9), (64, 48), (301, 200))


def photo(width: int = 64, height: int = 48, mode: str = "RGB") -> Image.Image:
    noise = np.random.default_rng(width * height).integers(0, 256, (height, width, 4), dtype=np.uint8)
    smooth = Image.fromarray(noise[:, :, :3]).filter(ImageFilter.GaussianBlur(3))
    if mode in ("RGBA", "LA"):
        smooth.putalpha(Image.fromarray(noise[:, :, 3]))
    return smooth.convert(mode)


def saved(image: Image.Image, format_: str, **options: typing.Any) -> bytes:
    sink = io.BytesIO()
    image.save(sink, format_, **options)
    return sink.getvalue()


def swapped_profile() -> bytes:
    """An RGB profile that is sRGB with the first two primaries swapped and another name."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack_from(">I", profile, 128)[0]
    places = {bytes(profile[at : at + 4]): at for at in range(132, 132 + 12 * count, 12)}
    red, green = places[b"rXYZ"], places[b"gXYZ"]
    profile[red + 4 : red + 12], profile[green + 4 : green + 12] = (
        profile[green + 4 : green + 12],
        profile[red + 4 : red + 12],
    )
    return bytes(profile).replace("sRGB".encode("utf-16-be"), "GRBs".encode("utf-16-be"))
