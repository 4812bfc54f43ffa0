"""What `--reencode auto` keeps, what `--keep_exif` keeps, and which shapes are refused."""

import io
import typing

import pytest
from PIL import Image, ImageCms

from schemas.failures import PhotoError
from tests.generated_photo import photo, saved
from transforms.images.image_codec import ImageOptions, encode_image
from transforms.images.jpeg_segments import COM, END, EOI, SOI, picture_alone, read_segments
from transforms.images.upright_exif import upright_exif

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    tags[0x010E] = "a secret"
    return tags.tobytes()


def compressed(data: bytes) -> list[bytes]:
    return [s.data for s in read_segments(data) if not s.is_metadata and s.marker not in (SOI, EOI)]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"quality": 97, "subsampling": "4:4:4"},
        {"progressive": True},
        {"restart_marker_blocks": 4},
        {"icc_profile": SRGB},
        {"exif": exif(1), "comment": b"a secret"},
    ],
)
def test_a_jpeg_that_needs_no_change_keeps_its_data(options: dict[str, typing.Any]) -> None:
    data = saved(photo(200, 120), "JPEG", **options)
    encoded = encode_image(data + b"rubbish", ImageOptions())[0]
    assert compressed(encoded.data) == compressed(data)
    assert (encoded.width, encoded.height, encoded.orientation) == (200, 120, 1)
    assert encoded.matrix == (1, 0, 0, 0, 1, 0)
    assert b"secret" not in encoded.data
    assert not {"icc_profile", "exif", "comment"} & set(Image.open(io.BytesIO(encoded.data)).info)
    assert encode_image(encoded.data, ImageOptions())[0].data == encoded.data


@pytest.mark.parametrize(
    ("change", "options"),
    [
        ({"reencode": "always"}, {}),
        ({"image_size": 100}, {}),
        ({"resize": "pad", "image_size": 300}, {}),
        ({"resize": "crop"}, {}),
        ({"upscale": True}, {}),
        ({}, {"exif": exif(3)}),
    ],
)
def test_a_jpeg_that_needs_a_change_is_encoded_anew(change: dict[str, typing.Any], options: dict[str, bytes]) -> None:
    data = saved(photo(200, 120), "JPEG", quality=97, subsampling="4:4:4", **options)
    assert compressed(encode_image(data, ImageOptions(**change))[0].data)[-1] != compressed(data)[-1]


def test_only_rgb_jpegs_are_kept() -> None:
    swapped = SRGB.replace(b"rXYZ", b"-XYZ").replace(b"gXYZ", b"rXYZ").replace(b"-XYZ", b"gXYZ")
    for data in (
        saved(photo(200, 120).convert("L"), "JPEG"),
        saved(photo(200, 120).convert("CMYK"), "JPEG"),
        saved(photo(200, 120), "JPEG", icc_profile=swapped),
    ):
        image: typing.Any = Image.open(io.BytesIO(encode_image(data, ImageOptions())[0].data))
        assert image.mode == "RGB"
        assert picture_alone(data) != encode_image(data, ImageOptions())[0].data
    assert encode_image(saved(photo(200, 120), "PNG"), ImageOptions())[0].data[:3] == b"\xff\xd8\xff"


def test_a_rotation_counts_not_the_exif() -> None:
    data = saved(photo(200, 120), "JPEG", exif=exif(6))
    assert compressed(encode_image(data, ImageOptions(), 0)[0].data) == compressed(data)
    assert compressed(encode_image(data, ImageOptions(), 180)[0].data) != compressed(data)


def test_damaged_data_is_not_kept() -> None:
    data = saved(photo(200, 120), "JPEG")
    with pytest.raises(PhotoError, match="corrupt_image"):
        encode_image(data[: len(data) // 2] + END, ImageOptions())


@pytest.mark.parametrize("format_", ["jpg", "webp", "png"])
@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("stored", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("image_size", [256, 50])
def test_exif_is_kept_on_request_and_says_upright(format_: str, orientation: int, stored: str, image_size: int) -> None:
    data = saved(photo(200, 120), stored, exif=exif(orientation))
    options = {"format": format_, "image_size": image_size}
    kept = encode_image(data, ImageOptions(keep_exif=True, **options))[0]
    tags = Image.open(io.BytesIO(kept.data)).getexif()
    assert (tags[0x010E], tags[0x0112]) == ("a secret", 1)
    assert kept.width == (120 if image_size == 256 else 50) or orientation == 1
    assert b"secret" not in encode_image(data, ImageOptions(**options))[0].data


@pytest.mark.parametrize("bad", [b"", b"II", b"rubbish!", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff"])
def test_exif_that_cannot_be_read_is_not_kept(bad: bytes) -> None:
    assert upright_exif(bad) == b""
    data = saved(photo(200, 120), "JPEG", exif=b"Exif\0\0" + bad)
    assert b"Exif" not in encode_image(data, ImageOptions(keep_exif=True))[0].data


def test_the_comments_go() -> None:
    data = saved(photo(200, 120), "JPEG", comment=b"hello")
    assert COM in {segment.marker for segment in read_segments(data)}
    assert COM not in {segment.marker for segment in read_segments(encode_image(data, ImageOptions())[0].data)}


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "GIF", "TIFF", "ICO"])
def test_shapes_are_judged_by_the_header(format_: str) -> None:
    data = saved(photo(60, 20), format_, **({"sizes": [(60, 20)]} if format_ == "ICO" else {}))
    for options, reason in (
        ({"min_side": 21}, "too_small"),
        ({"max_aspect_ratio": 2.9}, "aspect_ratio"),
        ({"min_side": 20, "max_aspect_ratio": 3.0}, ""),
    ):
        try:
            encode_image(data, ImageOptions(**options))
            seen = ""
        except PhotoError as error:
            seen = error.reason.value
            assert error.detail.startswith("60 x 20 pixels, ")  # noqa: PT017
        assert seen == reason


def test_a_small_photo_is_refused_before_it_is_decoded() -> None:
    data = saved(photo(60, 20), "JPEG")
    with pytest.raises(PhotoError, match="too_small: 60 x 20 pixels, a side shorter than --min_side 64"):
        encode_image(data[: len(data) - 99], ImageOptions(min_side=64))


@pytest.mark.parametrize("value", [-1.0, 0.5, float("inf"), float("nan")])
def test_a_ratio_below_one_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="--max_aspect_ratio .* is out of range: give 0 or at least 1"):
        ImageOptions(max_aspect_ratio=value)
