"""The JSON of each photo against the lines of YFCC itself."""

import pathlib

import pyarrow as pa

from schemas import yfcc
from tests.factories import make_row
from transforms.export.photo_files import encoded, folder, metadata

KEYS = (
    *("photo_hash", "user_id", "user_nickname", "date_taken", "date_uploaded", "capture_device", "title"),
    *("description", "user_tags", "machine_tags", "longitude", "latitude", "pos_accuracy", "url_show", "url_get"),
    *("license_name", "license_url", "server_id", "farm_id", "photo_secret", "photo_secret_orig", "photo_ext"),
    "photo_or_video",
)
"""Of columns 2 to 24 of the dataset file, as https://github.com/akisatok/yfcc100m-download names them."""


def test_raw_values_are_those_of_the_published_lines(shared_data: pathlib.Path) -> None:
    lines = (shared_data / "yfcc/yfcc100m_first500_25col.tsv").read_bytes().splitlines()
    columns = yfcc.read_dataset(pa.array(lines, pa.binary())).columns
    assert len(lines) == 500
    for line, row in zip(lines, pa.table(columns).to_pylist(), strict=True):
        published = dict(zip(KEYS, line.decode().split("\t")[2:], strict=True))
        found = metadata({**make_row(2), **row}, raw=True)["othermeta"]
        assert found == {**published, "longitude": found["longitude"], "latitude": found["latitude"]}
        for degrees in ("longitude", "latitude"):
            assert found[degrees] == published[degrees] or float(found[degrees]) == float(published[degrees])


def test_groups_without_values_are_left_out():
    assert metadata(make_row(2), raw=False).keys() == {"othermeta"}


def test_every_value_is_text_and_known():
    for raw in (False, True):
        found = metadata(make_row(7), raw)
        assert found["othermeta"].keys() == {*KEYS}
        assert all(type(value) is str for group in found.values() for value in group.values())


def test_encoding_and_folders():
    assert encoded("a b~c*d_e-f.g'") == "a+b%7Ec*d_e-f.g%27"
    assert [folder(i) for i in (6_985_418_911, 12_345, 123, 7)] == ["698/541", "123/45", "123", "7"]
