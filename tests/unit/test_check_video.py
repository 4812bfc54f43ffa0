import pathlib
import struct

import hypothesis
import hypothesis.strategies as st
import pytest

from schemas.failures import PhotoError
from tests.small_videos import box, small_mp4
from transforms.videos.check_video import check_video

_FTYP = box(b"ftyp", b"isom" + bytes(4))


def reason_of(tmp_path: pathlib.Path, data: bytes) -> str:
    path = tmp_path / "video"
    path.write_bytes(data)
    try:
        check_video(path)
    except PhotoError as error:
        return error.reason.value
    return ""


@pytest.mark.parametrize(
    "data",
    [
        small_mp4(1),
        small_mp4(2, 0),
        _FTYP + struct.pack(">I4s", 0, b"mdat") + b"to the end of the file",
        _FTYP + struct.pack(">I4sQ", 1, b"mdat", 16 + 5) + b"large" + box(b"moov", b""),
    ],
)
def test_whole_files_pass(tmp_path: pathlib.Path, data: bytes) -> None:
    assert reason_of(tmp_path, data) == ""


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not_an_image"),
        (b"<html>not here</html>", "not_an_image"),
        (b"\xff\xd8\xff\xe0" + bytes(100), "not_an_image"),
        (box(b"ftyp", b"heic" + bytes(4)), "not_an_image"),
        (b"\x1a\x45\xdf\xa3" + bytes(100), "unsupported_image"),
        (b"RIFF" + bytes(4) + b"AVI " + bytes(100), "unsupported_image"),
        (box(b"moov", bytes(100)), "unsupported_image"),
        (_FTYP + struct.pack(">I4s", 7, b"mdat") + bytes(10), "corrupt_image"),
        (_FTYP + struct.pack(">I4sQ", 1, b"mdat", 15) + bytes(10), "corrupt_image"),
        (_FTYP + box(b"free", b"") * 100_000, "corrupt_image"),
    ],
)
def test_what_is_no_mp4_has_a_reason(tmp_path: pathlib.Path, data: bytes, reason: str) -> None:
    assert reason_of(tmp_path, data) == reason


@hypothesis.given(st.integers(0, 300), st.integers(1, 299))
@hypothesis.settings(max_examples=50, deadline=None)
def test_a_file_cut_anywhere_but_between_boxes_is_truncated(
    tmp_path_factory: pytest.TempPathFactory, size_bytes: int, missing: int
) -> None:
    data = small_mp4(3, size_bytes)
    left = data[: max(24, len(data) - missing)]
    expected = "" if len(left) == 24 else "truncated_image"
    assert reason_of(tmp_path_factory.getbasetemp(), left) == expected
