"""The fast way through a JPEG: right pixels or a refusal, and never a grey half."""

import concurrent.futures
import io
import pathlib
import random
import typing

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from schemas.failures import FailureReason, PhotoError
from tests.generated_photo import photo, saved
from tests.odd_jpegs import segment
from transforms.images import decode_image
from transforms.images.image_codec import ImageOptions, encode_image
from transforms.images.image_plan import FILTERS
from transforms.images.jpeg_pixels import RefusedJpegError, check_jpeg, jpeg_damage, jpeg_pixels
from transforms.images.jpeg_segments import COM, END, read_segments

PNG = ImageOptions(format="png")
FAULTS = (FailureReason.NOT_AN_IMAGE, FailureReason.TRUNCATED_IMAGE, FailureReason.CORRUPT_IMAGE)


def jpeg(image: Image.Image, **options: typing.Any) -> bytes:
    return saved(image, "JPEG", **{"quality": 90, **options})


def pixels(data: bytes, options: ImageOptions = PNG) -> npt.NDArray[np.int64]:
    return np.asarray(Image.open(io.BytesIO(encode_image(data, options)[0].data))).astype(np.int64)


def psnr(left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> float:
    return float(10 * np.log10(255**2 / max(((left - right) ** 2).mean(), 1e-9)))


def by_pillow(data: bytes, monkeypatch: pytest.MonkeyPatch, options: ImageOptions = PNG) -> npt.NDArray[np.int64]:
    def refuse(*_: typing.Any) -> None:
        raise RefusedJpegError

    with monkeypatch.context() as patch:
        patch.setattr(decode_image, "jpeg_pixels", refuse)
        patch.setattr(decode_image, "jpeg_damage", lambda *_: "")
        return pixels(data, options)


def photographs(shared_data: pathlib.Path, least_px: int) -> typing.Iterator[bytes]:
    for path in sorted((shared_data / "images").rglob("*")):
        if path.suffix.lower() in (".jpg", ".jpeg"):
            data = path.read_bytes()
            try:
                image = Image.open(io.BytesIO(data))
                image.load()
            except (OSError, SyntaxError):
                continue
            if image.mode == "RGB" and min(image.size) >= least_px and len(np.unique(image)) > 200:
                yield data


@pytest.mark.parametrize(
    "options",
    [{"subsampling": s} for s in ("4:4:4", "4:2:2", "4:2:0", "4:1:1")]
    + [{"progressive": True}, {"restart_marker_blocks": 3}, {"optimize": True}, {"keep_rgb": True}],
)
def test_it_decodes_as_pillow(options: dict[str, typing.Any]) -> None:
    for image in (photo(65, 43), photo(65, 43).convert("L")):
        if image.mode == "L" and {"subsampling", "keep_rgb"} & options.keys():
            continue
        data = jpeg(image, **options)
        decoded = Image.open(io.BytesIO(data)).convert("RGB")
        assert (jpeg_pixels(data, (65, 43))[:, :, :3] == np.asarray(decoded)).all()


def test_what_is_not_for_it_is_refused() -> None:
    twelve_bits = bytearray(jpeg(photo(32, 32)))
    twelve_bits[twelve_bits.index(b"\xff\xc0") + 4] = 12
    data = jpeg(photo(64, 64))
    for bad in (bytes(twelve_bits), data[: len(data) // 2], data[: len(data) // 2] + END, b"\xff\xd8\xff", b""):
        with pytest.raises(RefusedJpegError):
            jpeg_pixels(bad, (64, 64))
    with pytest.raises(RefusedJpegError, match="another size"):
        jpeg_pixels(data, (63, 64))


@pytest.mark.parametrize(
    "options",
    [{}, {"subsampling": "4:4:4"}, {"progressive": True}, {"restart_marker_blocks": 5}],
    ids=["4:2:0", "4:4:4", "progressive", "restarts"],
)
def test_the_check_refuses_what_is_refused_at_full_size(options: dict[str, typing.Any]) -> None:
    rnd = random.Random(7)
    data = jpeg(photo(97, 61), **options)
    refused = [_is_refused(damaged) for damaged in _damages(data, rnd)]
    assert any(refused)
    assert not all(refused)


def _damages(data: bytes, rnd: random.Random) -> typing.Iterator[bytes]:
    yield data
    for _ in range(60):
        place = rnd.randrange(2, len(data))
        yield data[:place] + bytes([data[place] ^ 1 << rnd.randrange(8)]) + data[place + 1 :]
        yield data[:place] + END
        yield data[:place] + data[place + rnd.randrange(1, 40) :]


def _is_refused(data: bytes) -> bool:
    """By the check, having seen that the full decode says the same."""
    refusals = []
    for decode in (jpeg_pixels, check_jpeg):
        try:
            decode(data, (97, 61))
            refusals.append(False)
        except RefusedJpegError:
            refusals.append(True)
    assert refusals[0] == refusals[1]
    return refusals[1]


def _lossless(side: int, components: bytes = b"RGB") -> bytes:
    """A square of grey: each sample is the one before it, which takes one bit, a zero."""
    count = len(components)
    frame = segment(0xC3, bytes([8, 0, side, 0, side, count, *(b for name in components for b in (name, 17, 0))]))
    table = segment(0xC4, bytes([0, 1, *bytes(15), 0]))
    scan = segment(0xDA, bytes([count, *(b for name in components for b in (name, 0)), 1, 0, 0]))
    return b"\xff\xd8" + frame + table + scan + bytes(count * side * side // 8) + END


@pytest.mark.parametrize("filter_", FILTERS)
def test_a_lossless_jpeg_is_decoded_at_its_full_size(filter_: str) -> None:
    """At a fraction of it libjpeg-turbo crashes, and takes the process with it."""
    small = pixels(_lossless(128), ImageOptions(image_size=8, filter=filter_, format="png"))
    assert small.shape == (8, 8, 3)
    assert set(small.ravel()) == {128}


@pytest.mark.parametrize("components", [b"RGB", b"Y"])
def test_a_lossless_jpeg_may_be_damaged(components: bytes) -> None:
    data = _lossless(128, components)
    encode_image(data, ImageOptions(image_size=8, filter="lanczos"))
    for damaged in (data[:400] + END, data[:400], data[:30]):
        with pytest.raises(PhotoError) as error:
            encode_image(damaged, ImageOptions(image_size=8, filter="lanczos"))
        assert error.value.reason in FAULTS


def test_a_lossless_jpeg_that_needs_no_change_keeps_its_data() -> None:
    data = _lossless(64)
    assert encode_image(data, ImageOptions(resize="none"))[0].data == data


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"restart_marker_blocks": 5}], ids=["plain", "progressive", "restarts"]
)
def test_a_hole_in_the_data_is_corrupt(options: dict[str, typing.Any]) -> None:
    """Pillow fills what is missing with grey, and says nothing."""
    data = jpeg(photo(300, 200), **options)
    middle = len(data) // 2
    for kept in (data[:middle] + END, data[:middle] + data[middle + 999 :]):
        Image.open(io.BytesIO(kept)).load()
        with pytest.raises(PhotoError) as error:
            encode_image(kept, PNG)
        assert error.value.reason is FailureReason.CORRUPT_IMAGE


def test_a_hole_is_seen_behind_odd_metadata() -> None:
    data = jpeg(photo(300, 200))
    middle = len(data) // 2
    junk = data[:2] + b"\xff\xfe\0\6abcd" + b"junk" + data[2:middle] + END
    assert "premature end" in jpeg_damage(junk, "RGB")


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_segment_that_reaches_beyond_the_end_hides_no_hole(mode: str, progressive: bool) -> None:
    data, beyond = jpeg(photo(300, 200, mode), progressive=progressive), b"\xff\xfe\x10\0hello"
    assert jpeg_damage(data[:-2] + beyond, mode) == ""
    assert "premature end" in jpeg_damage(data[: len(data) // 2] + beyond, mode)
    for tail in (beyond, beyond + END):
        with pytest.raises(PhotoError) as error:
            encode_image(data[: len(data) // 2] + tail, PNG)
        assert error.value.reason in FAULTS


@pytest.mark.parametrize("junk", ["between segments", "behind the end", "before the end", "a segment beyond the end"])
def test_harmless_rubbish_does_not_cost_the_photo(junk: str) -> None:
    data = jpeg(photo(300, 200))
    odd = {
        "between segments": data[:20] + b"junk" + data[20:],
        "behind the end": data + b"junk" * 999 + END,
        "before the end": data[:-2] + bytes(16) + END,
        "a segment beyond the end": data[:-2] + b"\xff\xfe\x10\0hello",
    }[junk]
    assert (pixels(odd) == pixels(data)).all()


def test_segments_are_cut_whole() -> None:
    data = jpeg(photo(40, 30), progressive=True, comment=b"a \xff\xd9 within", icc_profile=b"x" * 70_000)
    segments = read_segments(data + b"rubbish")
    assert b"".join(segment.data for segment in segments) == data
    assert [segment.data[4:] for segment in segments if segment.marker == COM] == [b"a \xff\xd9 within"]
    assert sum(segment.is_metadata for segment in segments) == 3
    for cut in (2, 10, 300, len(data) - 1):
        with pytest.raises(ValueError, match="no end marker"):
            read_segments(data[:cut])


@pytest.mark.parametrize("filter_", FILTERS)
def test_a_fraction_is_close_to_the_whole(
    filter_: str, shared_data: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lowest PSNR of all photographs that are large enough."""
    compared = []
    for data in photographs(shared_data, 1000):
        for size in (96, 181):
            options = ImageOptions(format="png", filter=filter_, image_size=size)
            compared.append(psnr(pixels(data, options), by_pillow(data, monkeypatch, options)))
    assert len(compared) > 30
    assert min(compared) >= (40 if filter_ == "area" else 45)


@pytest.mark.parametrize("filter_", FILTERS)
def test_a_fraction_does_not_alias(filter_: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of rings ever finer, those too fine to be written stay below 1 % of contrast, or near a full decode's."""
    rows, columns = np.mgrid[:1600, :1600]
    rings = 127.5 + 127 * np.cos((rows**2 + columns**2) * (np.pi / 2 / 1600))
    data = jpeg(Image.fromarray(rings.astype(np.uint8)), quality=95)
    options = ImageOptions(format="png", filter=filter_, image_size=160)
    beyond = np.hypot(*np.mgrid[:160, :160]) > 40
    contrast = [shown[beyond, 0].std() for shown in (pixels(data, options), by_pillow(data, monkeypatch, options))]
    assert contrast[0] <= max(1.1 * contrast[1], 2)


def test_mutations_of_real_photos_are_right_or_fail(shared_data: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = [data for data in photographs(shared_data, 100) if len(data) < 60_000][::3]
    assert len(chosen) > 8
    samples = 0
    for data in chosen:
        whole, random_ = pixels(data), random.Random(len(data))
        for cut in range(0, len(data), 1024):
            samples += _right_or_failed(data[:cut], whole, 99)
        for _ in range(12):
            flipped = bytearray(data)
            flipped[random_.randrange(2, len(data))] ^= 1 << random_.randrange(8)
            try:
                pillows = by_pillow(bytes(flipped), monkeypatch)
            except PhotoError:
                pillows = whole
            samples += _right_or_failed(bytes(flipped), pillows, 40)
        assert _right_or_failed(data + b"\xff\xd8rubbish" * 99, whole, 99)
    assert samples > len(chosen)


def _right_or_failed(data: bytes, expected: npt.NDArray[np.int64], least_db: float) -> bool:
    try:
        seen = pixels(data)
    except PhotoError as error:
        assert error.reason in (*FAULTS, FailureReason.UNSUPPORTED_IMAGE, FailureReason.TOO_MANY_PIXELS)  # noqa: PT017
        return False
    assert seen.shape == expected.shape
    assert psnr(seen, expected) >= least_db
    return True


def test_threads_give_the_same_bytes(shared_data: pathlib.Path) -> None:
    photos = [data for data, _ in zip(photographs(shared_data, 300), range(12), strict=False)] * 3
    alone = [encode_image(data, ImageOptions())[0] for data in photos]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda data: encode_image(data, ImageOptions())[0], photos)) == alone
