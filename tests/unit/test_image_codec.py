"""Every line of the codec's policy, on small generated images with known pixels."""

import io
import itertools
import pathlib
import struct
import typing
import zlib

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from schemas.failures import FailureReason, PhotoError
from tests.generated_photo import photo, saved, swapped_profile
from transforms.images.image_codec import EncodedImage, ImageOptions, encode_image
from transforms.images.image_colours import is_srgb
from transforms.images.image_plan import FILTERS, FORMATS, RESIZE_MODES, image_plans

Pixels = npt.NDArray[np.int64]
ORIENTATIONS = range(1, 9)


def with_orientation(image: Image.Image, orientation: int, format_: str = "PNG") -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(image, format_, exif=exif, **({"quality": 100, "subsampling": 0} if format_ == "JPEG" else {}))


def written(data: bytes, **options: typing.Any) -> tuple[EncodedImage, Pixels]:
    encoded = encode_image(data, ImageOptions(**{"format": "png", **options}))[0]
    image = Image.open(io.BytesIO(encoded.data))
    assert image.mode == "RGB"
    assert image.size == (encoded.width, encoded.height)
    return encoded, np.asarray(image).astype(np.int64)


def colour(image: Image.Image, format_: str = "PNG", **options: typing.Any) -> list[int]:
    """The middle pixel of what is written for the image."""
    pixels = written(saved(image, format_, **options))[1]
    return typing.cast("list[int]", pixels[pixels.shape[0] // 2, pixels.shape[1] // 2].tolist())


def failure(data: bytes, **options: typing.Any) -> PhotoError:
    with pytest.raises(PhotoError) as caught:
        encode_image(data, ImageOptions(**options))
    return caught.value


def move(matrix: tuple[float, ...], x: float, y: float) -> tuple[float, float]:
    a, b, c, d, e, f = matrix
    return a * x + b * y + c, d * x + e * y + f


@pytest.mark.parametrize(
    ("mode", "upscale", "size", "expected"),
    [
        ("shorter", False, (500, 333), (384, 256)),
        ("shorter", False, (333, 500), (256, 384)),
        ("shorter", False, (300, 200), (300, 200)),
        ("shorter", True, (300, 200), (384, 256)),
        ("longer", False, (500, 333), (256, 170)),
        ("longer", False, (200, 100), (200, 100)),
        ("longer", True, (200, 100), (256, 128)),
        ("longer", False, (5000, 1), (256, 1)),
        ("pad", False, (500, 333), (256, 256)),
        ("pad", False, (20, 10), (256, 256)),
        ("crop", False, (500, 333), (256, 256)),
        ("crop", False, (300, 100), (100, 100)),
        ("crop", True, (300, 100), (256, 256)),
        ("stretch", False, (500, 333), (256, 256)),
        ("stretch", False, (500, 100), (100, 100)),
        ("stretch", True, (500, 100), (256, 256)),
        ("none", False, (500, 333), (500, 333)),
        ("none", True, (50, 33), (50, 33)),
    ],
)
def test_sizes_of_each_mode(mode: str, upscale: bool, size: tuple[int, int], expected: tuple[int, int]) -> None:
    encoded = encode_image(saved(Image.new("RGB", size), "PNG"), ImageOptions(resize=mode, upscale=upscale))[0]
    assert (encoded.width, encoded.height) == expected
    assert (encoded.original_width, encoded.original_height) == size
    assert Image.open(io.BytesIO(encoded.data)).size == expected


def test_halves_are_rounded_up() -> None:
    options = ImageOptions(image_size=3)
    assert [image_plans((6, n), 1, options)[0].written[1] for n in (7, 9, 11)] == [4, 5, 6]


@pytest.mark.parametrize(("rotation", "equivalent"), [(0, 1), (90, 8), (180, 3), (270, 6)])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("format_", ["PNG", "JPEG", "TIFF"])
def test_a_rotation_takes_the_place_of_the_orientation(
    rotation: int, equivalent: int, orientation: int, format_: str
) -> None:
    """One turn, never two: the file with that EXIF orientation alone gives the same."""
    image = photo(64, 32)
    options = ImageOptions(format="png", image_size=20)
    turned = encode_image(with_orientation(image, orientation, format_), options, rotation)[0]
    assert turned == encode_image(with_orientation(image, equivalent, format_), options)[0]
    assert turned.orientation == equivalent
    assert (turned.original_width, turned.original_height) == (64, 32)


def test_a_rotation_that_is_no_quarter_turn_is_refused() -> None:
    with pytest.raises(ValueError, match="rotation 45 is no quarter turn"):
        encode_image(saved(photo(8, 8), "PNG"), ImageOptions(), 45)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_the_eight_orientations_are_turned_upright(orientation: int, format_: str) -> None:
    """The stored pixels are four coloured quarters; golden: which quarter each shows at its top left."""
    red, green, blue, white = (200, 0, 0), (0, 200, 0), (0, 0, 200), (250, 250, 250)
    quarters = np.zeros((32, 64, 3), np.uint8)
    quarters[:16, :32], quarters[:16, 32:], quarters[16:, :32], quarters[16:, 32:] = red, green, blue, white
    golden = {
        1: (red, green, blue, white),
        2: (green, red, white, blue),
        3: (white, blue, green, red),
        4: (blue, white, red, green),
        5: (red, blue, green, white),
        6: (blue, red, white, green),
        7: (white, green, blue, red),
        8: (green, white, red, blue),
    }[orientation]
    encoded, pixels = written(with_orientation(Image.fromarray(quarters), orientation, format_), resize="none")
    assert encoded.orientation == orientation
    assert (encoded.original_width, encoded.original_height) == (64, 32)
    assert (encoded.width, encoded.height) == ((32, 64) if orientation >= 5 else (64, 32))
    height, width, _ = pixels.shape
    seen = [pixels[y, x] for y in (height // 4, 3 * height // 4) for x in (width // 4, 3 * width // 4)]
    assert np.abs(np.array(seen) - np.array(golden)).max() <= 30


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("mode", RESIZE_MODES)
@pytest.mark.parametrize("upscale", [False, True])
@pytest.mark.parametrize(("width", "height"), [(60, 40), (41, 61), (12, 10)])
def test_the_matrix_says_where_a_marked_pixel_lands(
    orientation: int, mode: str, upscale: bool, width: int, height: int
) -> None:
    mark_x, mark_y = width // 2 - 2, height // 2 + 1
    stored = np.zeros((height, width, 3), np.uint8)
    stored[mark_y - 1 : mark_y + 2, mark_x - 1 : mark_x + 2] = (255, 0, 0)
    encoded, pixels = written(
        with_orientation(Image.fromarray(stored), orientation),
        resize=mode,
        upscale=upscale,
        image_size=21,
        filter="bicubic",
    )
    red = np.clip(pixels[:, :, 0] - pixels[:, :, 1], 0, None)
    rows, columns = np.mgrid[: red.shape[0], : red.shape[1]] + 0.5
    centre = (red * columns).sum() / red.sum(), (red * rows).sum() / red.sum()
    assert np.hypot(*np.subtract(centre, move(encoded.matrix, mark_x + 0.5, mark_y + 0.5))) < 0.2


@given(
    st.integers(1, 3000),
    st.integers(1, 3000),
    st.integers(1, 600),
    st.sampled_from(ORIENTATIONS),
    st.sampled_from(RESIZE_MODES),
    st.booleans(),
)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_the_stored_corners_land_on_the_written_ones(
    width: int, height: int, image_size: int, orientation: int, mode: str, upscale: bool
) -> None:
    options = ImageOptions(image_size=image_size, resize=mode, upscale=upscale)
    (plan,) = image_plans((width, height), orientation, options)
    corners = [move(plan.matrix, x, y) for x, y in itertools.product((0, width), (0, height))]
    low, high = np.min(corners, axis=0), np.max(corners, axis=0)
    if mode == "crop":
        assert (low <= 1e-6).all()
        assert (high >= np.array(plan.written) - 1e-6).all()
        assert abs((low + high) / 2 - np.array(plan.written) / 2).max() <= 0.5 + 1e-6
    elif mode == "pad":
        assert (low >= -1e-6).all()
        assert (high <= np.array(plan.written) + 1e-6).all()
        assert abs((low + high) / 2 - np.array(plan.written) / 2).max() <= 0.5 + 1e-6
    else:
        assert low == pytest.approx([0, 0], abs=1e-6)
        assert high == pytest.approx(plan.written, abs=1e-6)
    if not upscale:
        assert max(plan.scaled[0] - width, plan.scaled[1] - height) <= 0
    if mode in ("pad", "crop", "stretch"):
        assert plan.written[0] == plan.written[1] <= image_size


def test_padding_is_white_and_centred() -> None:
    _, pixels = written(saved(Image.new("RGB", (100, 50), "black"), "PNG"), resize="pad", image_size=101)
    assert pixels[:25].min() == 255
    assert pixels[75:].min() == 255
    assert pixels[25:75, :100].max() == 0
    assert pixels[:, 100].min() == 255


@pytest.mark.parametrize("filter_", FILTERS)
def test_scaled_jpeg_decoding_is_close_to_a_full_decode(filter_: str) -> None:
    stored = photo(1630, 1211)
    data = saved(stored, "JPEG", quality=95)
    encoded, pixels = written(data, image_size=64, filter=filter_)
    reference = written(saved(Image.open(io.BytesIO(data)), "PNG"), image_size=64, filter=filter_)[1]
    assert (encoded.original_width, encoded.original_height) == (1630, 1211)
    mse = ((pixels - reference) ** 2).mean()
    assert 10 * np.log10(255**2 / mse) > (40 if filter_ == "area" else 45)


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_scaled_jpeg_decode_keeps_the_matrix_right(orientation: int) -> None:
    stored = np.zeros((1001, 1203, 3), np.uint8)
    stored[300:340, 1100:1140] = 255
    encoded, pixels = written(with_orientation(Image.fromarray(stored), orientation, "JPEG"), image_size=50)
    rows, columns = np.mgrid[: pixels.shape[0], : pixels.shape[1]] + 0.5
    weight = pixels[:, :, 1]
    centre = (weight * columns).sum() / weight.sum(), (weight * rows).sum() / weight.sum()
    assert np.hypot(*np.subtract(centre, move(encoded.matrix, 1120, 320))) < 0.2


def test_area_is_the_mean_of_the_pixels_that_fall_together() -> None:
    stored = photo(64, 64)
    pixels = written(saved(stored, "PNG"), image_size=16)[1]
    means = np.asarray(stored).reshape(16, 4, 16, 4, 3).mean(axis=(1, 3))
    assert np.abs(pixels - means).max() <= 1


def test_area_enlarges_as_bicubic() -> None:
    data = saved(photo(20, 20), "PNG")
    by_filter = {f: encode_image(data, ImageOptions(filter=f, upscale=True))[0].data for f in FILTERS}
    assert by_filter["area"] == by_filter["bicubic"] != by_filter["lanczos"]


def test_alpha_and_transparency_show_white() -> None:
    assert colour(Image.new("RGBA", (9, 9), (255, 0, 0, 0))) == [255, 255, 255]
    assert colour(Image.new("RGBA", (9, 9), (0, 0, 0, 128))) == [127, 127, 127]
    assert colour(Image.new("LA", (9, 9), (0, 0))) == [255, 255, 255]
    assert colour(Image.new("RGB", (9, 9), (1, 2, 3)), transparency=(1, 2, 3)) == [255, 255, 255]
    assert colour(Image.new("L", (9, 9), 7), transparency=7) == [255, 255, 255]
    palette = Image.new("P", (9, 9), 1)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    assert colour(palette) == [10, 20, 30]
    assert colour(palette, transparency=1) == [255, 255, 255]
    assert colour(palette, "GIF", transparency=1) == [255, 255, 255]


def test_hidden_colours_do_not_bleed_over_edges_of_alpha() -> None:
    stored = np.zeros((64, 64, 4), np.uint8)
    stored[:, ::2] = (255, 255, 255, 255)
    assert written(saved(Image.fromarray(stored), "PNG"), image_size=16)[1].min() >= 254


@pytest.mark.parametrize("filter_", FILTERS)
def test_filters_mix_what_is_seen_on_white(filter_: str) -> None:
    seen = photo(64, 64)
    stored = seen.convert("RGBA")
    stored.putalpha(photo(64, 64, "L").transpose(Image.Transpose.ROTATE_90).point(lambda level: 255 * (level > 120)))
    flat = Image.new("RGB", seen.size, "white")
    flat.paste(seen, mask=stored.getchannel("A"))
    transparent, opaque = (written(saved(i, "PNG"), image_size=20, filter=filter_)[1] for i in (stored, flat))
    assert (transparent == opaque).all()


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    ramp = np.tile(np.linspace(0, 65535, 256).astype(np.uint16), (8, 1))
    for format_ in ("PNG", "TIFF"):
        pixels = written(saved(Image.fromarray(ramp), format_), resize="none")[1]
        assert np.abs(pixels[4, :, 0] - np.arange(256)).max() <= 1
    wide = Image.fromarray(np.tile(np.linspace(-5e6, 5e6, 256).astype(np.int32), (8, 1)))
    floats = Image.fromarray(np.tile(np.linspace(0, 1, 256, dtype=np.float32), (8, 1)))
    for image in (wide, floats):
        pixels = written(saved(image, "TIFF"), resize="none")[1]
        assert np.abs(pixels[4, :, 0] - np.arange(256)).max() <= 1
    flat = Image.fromarray(np.full((8, 8), 3.5, np.float32))
    assert colour(flat, "TIFF") == [0, 0, 0]
    assert failure(saved(Image.fromarray(np.full((8, 8), np.nan, np.float32)), "TIFF")).reason.value == "corrupt_image"


def test_big_endian_and_transparent_sixteen_bit_grey() -> None:
    tags = {256: 4, 257: 4, 258: 16, 259: 1, 262: 1, 273: 122, 277: 1, 278: 4, 279: 32}
    entries = b"".join(struct.pack(">HHII", tag, 4, 1, value) for tag, value in tags.items())
    tiff = b"MM\0*" + struct.pack(">IH", 8, len(tags)) + entries + struct.pack(">I", 0)
    tiff = tiff.ljust(122, b"\0") + struct.pack(">16H", *[0x8000] * 16)
    assert written(tiff)[1].max() == written(tiff)[1].min() == 128
    assert colour(Image.fromarray(np.full((9, 9), 500, np.uint16)), transparency=500) == [255, 255, 255]


def test_grey_and_one_bit_become_rgb() -> None:
    assert colour(Image.new("L", (9, 9), 77)) == [77, 77, 77]
    assert colour(Image.new("L", (9, 9), 77), "JPEG") == [77, 77, 77]
    assert colour(Image.new("1", (9, 9), 1)) == [255, 255, 255]


def test_cmyk_and_lab_become_rgb() -> None:
    assert colour(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "TIFF") == [255, 0, 0]
    red, green, blue = colour(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95)
    assert (red > 230, green < 25, blue < 25) == (True, True, True)
    lab = ImageCms.applyTransform(
        Image.new("RGB", (16, 16), (200, 50, 50)),
        ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"),
    )
    assert lab is not None
    assert np.abs(np.subtract(colour(lab, "TIFF"), (200, 50, 50))).max() <= 6


@pytest.mark.parametrize("filter_", FILTERS)
def test_lab_colours_near_grey_are_mixed(filter_: str) -> None:
    """Their a and b are small numbers of either sign."""
    noise = np.random.default_rng(0).integers(-3, 4, (128, 128, 3))
    grey = Image.fromarray((np.full_like(noise, 120) + noise).astype(np.uint8))
    lab = ImageCms.profileToProfile(
        grey, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert lab is not None
    assert np.abs(written(saved(lab, "TIFF"), image_size=16, filter=filter_)[1] - 120).max() <= 4


def test_profiles_are_converted_to_srgb() -> None:
    swapped = swapped_profile()
    assert colour(Image.new("RGB", (9, 9), (200, 40, 40)), icc_profile=swapped)[:2] == pytest.approx([40, 200], abs=12)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert colour(Image.new("RGB", (9, 9), (200, 40, 40)), icc_profile=srgb) == [200, 40, 40]


@pytest.mark.parametrize("name", ["sRGB", "wide"])
def test_a_profile_is_judged_by_its_colours_not_by_its_name(name: str) -> None:
    """A display's own profile may be called sRGB, and an sRGB one anything."""
    swapped = swapped_profile().replace("GRBs".encode("utf-16-be"), name.encode("utf-16-be").ljust(8)[:8])
    assert not is_srgb(swapped)
    assert colour(Image.new("RGB", (9, 9), (200, 40, 40)), icc_profile=swapped)[0] < 60
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert is_srgb(srgb.replace("sRGB".encode("utf-16-be"), name.encode("utf-16-be")))


@pytest.mark.parametrize("damage", ["cut", "rubbish", "other space"])
def test_a_broken_profile_is_ignored(damage: str) -> None:
    profile = swapped_profile()
    broken = {
        "cut": profile[:150],
        "rubbish": b"x" * 300,
        "other space": profile[:16] + b"CMYK" + profile[20:],
    }[damage]
    assert colour(Image.new("RGB", (9, 9), (200, 40, 40)), icc_profile=broken) == [200, 40, 40]


@pytest.mark.parametrize("format_", ["GIF", "WEBP", "PNG", "TIFF", "MPO"])
def test_the_first_frame_is_taken(format_: str) -> None:
    frames = [Image.new("RGB", (16, 16), c) for c in ((255, 0, 0), (0, 255, 0))]
    extra = {"lossless": True} if format_ == "WEBP" else {}
    red, green, blue = colour(frames[0], format_, save_all=True, append_images=frames[1:], **extra)
    assert (red > 250, green < 5, blue < 5) == (True, True, True)


@pytest.mark.parametrize("format_", FORMATS)
def test_output_is_clean_and_deterministic(format_: str) -> None:
    exif = Image.Exif()
    exif[0x010E] = "a secret"
    data = saved(photo(300, 280), "JPEG", exif=exif, comment=b"a secret", icc_profile=swapped_profile(), dpi=(72, 72))
    first, second = (encode_image(data, ImageOptions(format=format_))[0] for _ in range(2))
    assert first == second
    image = Image.open(io.BytesIO(first.data))
    assert b"secret" not in first.data
    assert not {"exif", "icc_profile", "comment", "dpi"} & set(image.info)
    assert not image.getexif()


def test_the_encoder_does_as_documented() -> None:
    jpeg = encode_image(saved(photo(300, 280), "PNG"), ImageOptions())[0].data
    image: typing.Any = Image.open(io.BytesIO(jpeg))
    assert (image.format, image.layer[0][1:3], image.layer[1][1:3]) == ("JPEG", (2, 2), (1, 1))
    assert "progressive" not in image.info
    small = encode_image(saved(photo(300, 280), "PNG"), ImageOptions(quality=10))[0].data
    assert len(small) < len(jpeg) / 2


@pytest.mark.parametrize(
    ("format_", "name"),
    [("JPEG", "jpeg"), ("PNG", "png"), ("GIF", "gif"), ("WEBP", "webp"), ("BMP", "bmp"), ("TIFF", "tiff")]
    + [("AVIF", "avif"), ("JPEG2000", "jpeg2000"), ("ICO", "ico"), ("PPM", "ppm")],
)
def test_formats_are_told_by_content(format_: str, name: str) -> None:
    assert written(saved(photo(32, 32), format_))[0].original_format == name


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not_an_image"),
        (b"\x89PN", "not_an_image"),
        (b"<html>404 not found</html>", "not_an_image"),
        (b"BMW builds cars, and has for years", "not_an_image"),
        (b"Pythons", "not_an_image"),
        (b"%PDF-1.7", "not_an_image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "unsupported_image"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "unsupported_image"),
        (b"\xff\x0a" + bytes(50), "unsupported_image"),
        (b"8BPS\0\1" + bytes(50), "unsupported_image"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "unsupported_image"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(30) + b"\xff\xd9", "corrupt_image"),
        (b"\x89PNG\r\n\x1a\n" + bytes(30) + b"IEND\xaeB`\x82", "corrupt_image"),
    ],
)
def test_what_is_no_picture_has_its_reason(data: bytes, reason: str) -> None:
    error = failure(data)
    assert (error.reason.value, error.stage.value) == (reason, "decode")
    assert "0x" not in error.detail


def test_twelve_bit_jpeg_is_unsupported() -> None:
    data = bytearray(saved(photo(32, 32), "JPEG"))
    data[data.index(b"\xff\xc0") + 4] = 12
    assert failure(bytes(data)).reason is FailureReason.UNSUPPORTED_IMAGE


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=["plain", "progressive"])
@pytest.mark.parametrize("image_size", [256, 24])
def test_a_cut_file_never_becomes_a_picture(format_: str, options: dict[str, bool], image_size: int) -> None:
    """Unless all its pixels are there."""
    data = saved(photo(200, 160), format_, **(options if format_ == "JPEG" else {}))
    whole = written(data, image_size=image_size)[1]
    for cut in range(0, len(data), max(1, len(data) // 60)):
        try:
            _, pixels = written(data[:cut], image_size=image_size)
        except PhotoError as error:
            assert error.reason.value in ("not_an_image", "truncated_image", "corrupt_image")  # noqa: PT017
            assert error.reason is not FailureReason.NOT_AN_IMAGE or cut < 16  # noqa: PT017
        else:
            assert (pixels == whole).all()


def test_jpeg_strips_beyond_the_end_are_missing(shared_data: pathlib.Path) -> None:
    """Of old-style JPEG within TIFF libtiff makes grey what is not there."""
    data = (shared_data / "images/Pillow/Tests/images/old-style-jpeg-compression.tif").read_bytes()
    written(data, image_size=64)
    for cut in range(0, len(data), 1 << 14):
        assert failure(data[:cut]).reason.value in ("truncated_image", "not_an_image")


def test_a_cut_jpeg_or_png_is_called_truncated() -> None:
    for format_ in ("JPEG", "PNG", "WEBP"):
        data = saved(photo(200, 160), format_)
        assert failure(data[: len(data) // 2]).reason is FailureReason.TRUNCATED_IMAGE


def test_a_bomb_is_refused_by_its_header() -> None:
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", head)
        + _chunk(b"IDAT", zlib.compress(b"\0" * 100))
        + _chunk(b"IEND", b"")
    )
    error = failure(bomb)
    assert error.reason is FailureReason.TOO_MANY_PIXELS
    assert error.detail == "60000 x 60000 pixels, more than --max_pixels 89478485"
    assert failure(bomb[:60]).reason is FailureReason.TOO_MANY_PIXELS


@pytest.mark.parametrize("kind", ["png", "bmp", "icon of a png", "icon of a bitmap"])
@pytest.mark.parametrize("max_pixels", [0, ImageOptions.max_pixels])
def test_a_line_that_no_decoder_can_hold_is_refused_by_its_header(kind: str, max_pixels: int) -> None:
    width = 80_000_000
    png = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, 1, 8, 6, 0, 0, 0))
    png += _chunk(b"IDAT", zlib.compress(bytes(100))) + _chunk(b"IEND", b"")
    header = struct.pack("<IiiHHIIiiII", 40, width, 2 if "icon" in kind else 1, 1, 32, 0, 0, 0, 0, 0, 0)
    data = {
        "png": png,
        "bmp": b"BM" + struct.pack("<IHHI", 0, 0, 0, 54) + header,
        "icon of a png": _icon(png),
        "icon of a bitmap": _icon(header + bytes(100)),
    }[kind]
    error = failure(data, max_pixels=max_pixels)
    assert (error.reason, error.stage.value) == (FailureReason.UNSUPPORTED_IMAGE, "decode")
    assert error.detail == "80000000 x 1 pixels; sides beyond 1000000 are not decoded"


def _icon(content: bytes) -> bytes:
    return struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, len(content), 22) + content


def test_the_pixels_of_an_icon_are_limited_by_what_is_within() -> None:
    icon = _icon(saved(photo(40, 30), "PNG"))
    assert failure(icon, max_pixels=1199).reason is FailureReason.TOO_MANY_PIXELS
    assert encode_image(icon, ImageOptions(max_pixels=1200))[0].original_width == 40


@pytest.mark.parametrize("place", ["PIL.PngImagePlugin.PngImageFile.load", "PIL.Image.Image.save"])
def test_a_lack_of_memory_is_no_fault_of_the_photo(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = saved(photo(40, 30), "PNG")

    def fail(*_: typing.Any, **__: typing.Any) -> None:
        raise MemoryError

    monkeypatch.setattr(place, fail)
    with pytest.raises(MemoryError):
        encode_image(data, ImageOptions(format="png"))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_the_pixel_limit_is_exact_and_can_be_off() -> None:
    data = saved(photo(40, 30), "JPEG")
    assert failure(data, max_pixels=1199).reason is FailureReason.TOO_MANY_PIXELS
    assert encode_image(data, ImageOptions(max_pixels=1200))[0].width == 40
    assert encode_image(data, ImageOptions(max_pixels=0))[0].width == 40


@pytest.mark.parametrize(("format_", "copies"), [("PNG", 1), ("WEBP", 2), ("JPEG2000", 3)])
def test_decoders_that_hold_copies_have_a_lower_limit(format_: str, copies: int) -> None:
    data = saved(photo(40, 30), format_)
    assert encode_image(data, ImageOptions(max_pixels=1200 * copies))[0].width == 40
    error = failure(data, max_pixels=1200 * copies - 1)
    counted = {1: "", 2: " each counted 2 times,", 3: " each counted 3 times,"}[copies]
    assert error.detail == f"40 x 30 pixels,{counted} more than --max_pixels {1200 * copies - 1}"


def test_enlarging_is_limited_too() -> None:
    thin = saved(Image.new("RGB", (1, 2000)), "PNG")
    assert failure(thin, upscale=True, image_size=256).reason is FailureReason.TOO_MANY_PIXELS
    error = failure(thin, upscale=True, image_size=100, max_pixels=0)
    assert (error.reason.value, error.stage.value) == ("encode_error", "encode")
    assert failure(saved(Image.new("RGB", (1, 17000)), "PNG"), format="webp").reason is FailureReason.ENCODE_ERROR


@pytest.mark.parametrize("exif", [b"rubbish", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"Exif\0\0II*\0" + b"\xff" * 40])
def test_broken_exif_is_ignored(exif: bytes) -> None:
    assert written(saved(photo(32, 20), "JPEG", exif=exif))[0].orientation == 1


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_out_of_range_is_ignored(orientation: int) -> None:
    assert written(with_orientation(photo(32, 20), orientation))[0].orientation == 1


@pytest.mark.parametrize(
    ("flag", "value"),
    [("image_size", 0), ("quality", 0), ("quality", 101), ("max_pixels", -1), ("resize", "fit"), ("filter", "box")]
    + [("format", "jpeg")],
)
def test_an_option_out_of_range_is_named(flag: str, value: typing.Any) -> None:
    with pytest.raises(ValueError, match=f"--{flag} {value} is .*: give "):
        ImageOptions(**{flag: value})


def test_what_a_crop_is_cut_from_is_bounded_too() -> None:
    strip = saved(Image.new("RGB", (1, 20_000)), "PNG")
    with pytest.raises(PhotoError, match="would be made with 256 x 5120000 pixels") as error:
        encode_image(strip, ImageOptions(format="png", resize="crop", upscale=True))
    assert error.value.reason is FailureReason.TOO_MANY_PIXELS
