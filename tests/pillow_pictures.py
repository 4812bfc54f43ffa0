"""Pictures as Pillow decodes them in full, as references for what the codec makes of a file."""

import io
import typing
import warnings
from unittest import mock

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, ImageOps

_LEAST_TIMES_LARGER = {
    "area": {1: 0, 2: 10, 4: 32},
    "lanczos": {1: 0, 2: 8, 4: 16, 8: 32},
    "bicubic": {1: 0, 2: 8, 4: 16, 8: 32},
}
"""By filter and fraction: how many times larger than the written image a JPEG is at least that is decoded at it."""


class StoredPicture(typing.NamedTuple):
    """A picture on white, 8 bits, in its own colours, before it is turned by its orientation."""

    image: Image.Image
    profile: bytes | None
    orientation: int

    @property
    def upright_size(self) -> tuple[int, int]:
        """Width and height once it is turned, px."""
        return _turned_size(self.image.size, self.orientation)

    @property
    def is_nearly_srgb(self) -> bool:
        """Whether its profile changes few colours by more than a trifle: some of its numbers may be wrong."""
        steps = np.linspace(0, 255, 17).round().astype(np.uint8)
        colours = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(17 * 17, 17, 3)
        change = np.asarray(_srgb(Image.fromarray(colours), self.profile)).astype(int) - colours
        return bool(np.median(np.abs(change)) <= 2)

    def shown(self, size: tuple[int, int], filter_: str = "area") -> Image.Image:
        """The picture resized, in its own colours as the codec does, then upright and sRGB."""
        resized = _resized(self.image, _turned_size(size, self.orientation), filter_)
        return _turned(_srgb(resized, self.profile), self.orientation)


def stored_picture(data: bytes) -> StoredPicture:
    """Pillow's picture of the first frame.

    Raises:
        Exception: of many kinds: Pillow does not decode it.
    """
    with warnings.catch_warnings(), mock.patch.object(Image, "MAX_IMAGE_PIXELS", None):
        warnings.simplefilter("ignore")
        image = Image.open(io.BytesIO(data))
        image.load()
        profile = image.info.get("icc_profile")
        if image.mode in ("I", "F") or image.mode.startswith("I;"):
            image = _eight_bits(image)
        elif image.mode == "RGB" and isinstance(image.info.get("transparency"), tuple):
            transparent = image.info["transparency"]
            image.info["transparency"] = tuple(v >> 8 if max(transparent) > 255 else v for v in transparent)
        orientation = _orientation(image)
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
        elif image.mode == "LAB":
            image, profile = _srgb(image, None), None
        elif image.mode not in ("L", "RGB", "CMYK"):
            image = image.convert("RGB")
        return StoredPicture(image, profile, orientation)


def picture_at_a_fraction(data: bytes, size: tuple[int, int], filter_: str) -> Image.Image:
    """What Pillow makes of a JPEG at the least fraction at which it may be decoded."""
    image, (_, profile, orientation) = Image.open(io.BytesIO(data)), stored_picture(data)
    (width, height), written = image.size, _turned_size(size, orientation)
    times_larger = min(width / written[0], height / written[1])
    divisor = max(divisor for divisor, least in _LEAST_TIMES_LARGER[filter_].items() if times_larger >= least)
    image.draft(None, (width // divisor, height // divisor))
    resampling = Image.Resampling.LANCZOS if filter_ == "lanczos" else Image.Resampling.BOX
    resized = image.resize(written, resampling, (0, 0, width / divisor, height / divisor))
    return _turned(_srgb(resized, profile), orientation)


def _turned_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    return size[::-1] if orientation > 4 else size


def _resized(image: Image.Image, size: tuple[int, int], filter_: str) -> Image.Image:
    if image.size == size:
        return image
    if filter_ == "area" and size[0] <= image.width and size[1] <= image.height:
        across, down = (_shares(*sides) for sides in zip(image.size, size, strict=True))
        rows = np.tensordot(down, np.asarray(image, np.float32), (1, 0))
        mixed = np.moveaxis(np.tensordot(across, rows, (1, 1)), 0, 1).round().astype(np.uint8)
        return Image.frombytes(image.mode, size, mixed.tobytes())
    return image.resize(size, Image.Resampling.LANCZOS if filter_ == "lanczos" else Image.Resampling.BICUBIC)


def _shares(stored: int, written: int) -> npt.NDArray[np.float32]:
    """Of each stored pixel the share in each written one, along one side."""
    edges = np.linspace(0, stored, written + 1)[:, None]
    pixels = np.arange(stored)
    overlap = np.minimum(edges[1:], pixels + 1) - np.maximum(edges[:-1], pixels)
    return (overlap.clip(0) * (written / stored)).astype(np.float32)


def _eight_bits(image: Image.Image) -> Image.Image:
    samples = np.asarray(image).astype(np.float64)
    low, high = (
        (0, 65_535)
        if image.mode != "F" and samples.min() >= 0 and samples.max() <= 65_535
        else (samples.min(), samples.max())
    )
    if not np.isfinite(high - low):
        raise ValueError("not finite")
    grey = Image.fromarray(np.round((samples - low) * 255 / max(high - low, 1e-300)).astype(np.uint8))
    if isinstance(transparent := image.info.get("transparency"), int):
        grey.paste(255, mask=Image.fromarray(samples == transparent))
    grey.info = {k: v for k, v in image.info.items() if k == "exif"}
    return grey


def _orientation(image: Image.Image) -> int:
    if image.format == "TIFF":
        return 1  # Pillow has turned it.
    try:
        value = image.getexif().get(0x0112, 1)
    except Exception:  # noqa: BLE001
        return 1
    return value if value in range(1, 9) else 1


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.info = {"exif": exif.tobytes()}
    image._exif = None  # type: ignore[attr-defined]
    return ImageOps.exif_transpose(image)


def _srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    source: typing.Any = None
    if image.mode == "L" and profile and profile[16:20] == b"RGB ":
        image = image.convert("RGB")
    if image.mode == "LAB":
        source = ImageCms.createProfile("LAB")
    elif profile and {"L": b"GRAY", "RGB": b"RGB ", "CMYK": b"CMYK"}.get(image.mode) == profile[16:20]:
        source = io.BytesIO(profile)
    if source:
        try:
            done = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
            return done or image
        except ImageCms.PyCMSError:
            pass
    return image.convert("RGB")
