"""A photo's images made again of written ones: what is known of them is what its own file gives, and the pixels fit."""

import io
import itertools
import typing

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from schemas.failures import FailureReason, PhotoError
from tests.annotated_photos import MARKS, SIZE, annotated_row, mapped_box, photo_file
from tests.generated_photo import photo, saved
from tests.unit.test_build_geometry import CASES, FILES
from transforms.building.make_images import Made, make_again, make_images, options_again, take_over, usable_size
from transforms.geometry import affine
from transforms.images.image_plan import RESIZE_MODES, ImageOptions
from transforms.places.image_places import FoundImage

Row = dict[str, typing.Any]
Pixels = npt.NDArray[np.int64]


def found(data: bytes, source: str = "flickr", image_id: str = "") -> FoundImage:
    return FoundImage(data, "", 200, 1, "mirror", source, image_id)


def sample_of(made: Made) -> Row:
    return {**made.columns, **(made.mapped or {})}


def pixels(data: bytes) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(np.int64)


def psnr(a: Pixels, b: Pixels) -> float:
    return float(10 * np.log10(255**2 / max(1e-9, np.square(a - b).mean())))


@pytest.mark.parametrize("mode", [mode for mode in RESIZE_MODES if mode != "none"])
def test_annotations_and_affines_are_those_of_the_photos_own_file(mode: str) -> None:
    written = ImageOptions(image_size=70, format="png", filter="bicubic")
    wanted = ImageOptions(image_size=45, further_sizes=(30,), resize=mode, format="png", filter="bicubic")
    for source, rotation, exif in CASES[::5]:
        row = annotated_row(1, rotation)
        file = found(photo_file(exif, rotation if source == "open_images" else None), *FILES[source])
        old, direct = (make_images(file, row, options) for options in (written, wanted))
        again = make_again(old.images[0], sample_of(old), row, wanted)
        assert (again.columns, again.mapped, again.dropped) == (direct.columns, direct.mapped, direct.dropped)
        for place, image in enumerate(again.images):
            _check_marks(direct.columns["transforms"], (45, 30)[place], pixels(image), mode)


def _check_marks(transforms: list[Row], size: int, picture: Pixels, mode: str) -> None:
    """Finds each mark where the affine of COCO's second copy takes it."""
    height, width, _ = picture.shape
    picture = np.where(picture.min(axis=2, keepdims=True) > 128, 0, picture)
    (matrix,) = (t["matrix"] for t in transforms if (t["image_id"], t["size"]) == ("2", size))
    to_written = affine.compose(affine.scale(SIZE, (90, 66)), tuple(matrix))
    for channel, mark in enumerate(MARKS):
        box = np.clip(mapped_box(to_written, mark), 0, [width, height] * 2)
        if box[0] < box[2] - 1 and box[1] < box[3] - 1:
            rows, columns = np.nonzero(picture[:, :, channel] > 128)
            extent = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
            assert extent == pytest.approx(box, abs=1), mode


@pytest.mark.parametrize(
    ("size", "form"),
    list(itertools.product([(301, 200), (213, 340), (150, 151)], [("jpg", 90), ("webp", 80), ("png", 90)])),
)
def test_pixels_are_near_those_of_the_photos_own_file(size: tuple[int, int], form: tuple[str, int]) -> None:
    data = saved(photo(*size), "JPEG", quality=95)
    old = make_images(found(data), _plain_row(), ImageOptions(image_size=128, further_sizes=(96,)))
    for image_size, place in ((64, 1), (100, 0), (33, 1)):
        wanted = ImageOptions(image_size=image_size, format=form[0], quality=form[1])
        again = make_again(old.images[place], sample_of(old), _plain_row(), wanted)
        direct = make_images(found(data), _plain_row(), wanted)
        assert again.columns == direct.columns
        here, there = pixels(again.images[0]), pixels(direct.images[0])
        assert here.shape == there.shape
        assert psnr(here, there) > 32


def _plain_row() -> Row:
    return {"photo_id": 1, "sources": ["yfcc"], "copies": [], **annotated_none()}


def annotated_none() -> Row:
    return dict.fromkeys(("boxes", "segments", "keypoints", "relationships", "points", "narratives"), ())


def test_images_that_are_large_enough_keep_their_compressed_data() -> None:
    data = saved(photo(50, 40), "JPEG")
    old = make_images(found(data), _plain_row(), ImageOptions(image_size=64))
    for size in (48, 300):
        assert (
            make_again(old.images[0], sample_of(old), _plain_row(), ImageOptions(image_size=size)).images == old.images
        )


def test_another_quality_counts_where_the_image_was_encoded() -> None:
    old, new = ImageOptions(image_size=64), ImageOptions(image_size=64, quality=40)
    for side, reencode in ((200, "always"), (50, "auto")):
        sample = sample_of(make_images(found(saved(photo(side, side), "JPEG")), _plain_row(), old))
        assert options_again(sample, old, new).reencode == reencode
        assert options_again(sample, old, old) == old


@pytest.mark.parametrize("mode", ["pad", "crop", "stretch"])
def test_what_was_cut_padded_or_squeezed_will_not_do(mode: str) -> None:
    old = ImageOptions(image_size=100, resize=mode)
    assert usable_size((300, 200), 1, old, ImageOptions(image_size=50)) is None
    assert usable_size((200, 200), 1, old, ImageOptions(image_size=50)) == (None if mode == "stretch" else 0)


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ({"image_size": 128}, {"image_size": 128, "format": "png"}, 0),
        ({"image_size": 128}, {"image_size": 128, "filter": "lanczos"}, None),
        ({"image_size": 128}, {"image_size": 127, "filter": "lanczos"}, 0),
        ({"image_size": 400}, {"image_size": 400, "filter": "lanczos"}, 0),
        ({"image_size": 128}, {"image_size": 129}, None),
        ({"image_size": 128}, {"image_size": 192, "resize": "longer"}, 0),
        ({"image_size": 128}, {"image_size": 193, "resize": "longer"}, None),
        ({"image_size": 400}, {"image_size": 900}, 0),
        ({"image_size": 400}, {"image_size": 900, "upscale": True}, None),
        ({"image_size": 64, "further_sizes": (256, 128)}, {"image_size": 100, "further_sizes": (30,)}, 2),
        ({"resize": "none"}, {"image_size": 300, "resize": "crop"}, 0),
    ],
)
def test_the_smallest_image_is_taken_that_will_do(old: Row, new: Row, place: int | None) -> None:
    for size, orientation in (((450, 300), 1), ((300, 450), 6)):
        assert usable_size(size, orientation, ImageOptions(**old), ImageOptions(**new)) == place


def test_images_are_taken_over_with_all_that_is_known_of_them() -> None:
    row, options = annotated_row(1, 90), ImageOptions(image_size=45, further_sizes=(30,), resize="crop")
    old = make_images(found(photo_file()), row, options)
    taken = take_over(old.images, {**sample_of(old), "key": "000000000001", "image_offset": 512}, row)
    assert taken._replace(dropped=old.dropped) == old
    plain = make_images(found(photo_file()), _plain_row(), options)
    assert take_over(plain.images, {**sample_of(plain), **dict.fromkeys(old.mapped or (), [])}, {}) == plain


def test_an_image_that_cannot_be_written_is_a_failure_of_the_photo() -> None:
    data = saved(Image.new("RGB", (17_000, 2)), "JPEG")
    old = make_images(found(data), _plain_row(), ImageOptions(resize="none"))
    with pytest.raises(PhotoError) as failed:
        make_again(old.images[0], sample_of(old), _plain_row(), ImageOptions(resize="none", format="webp"))
    assert failed.value.reason is FailureReason.ENCODE_ERROR
