"""The line formats of YFCC100M: recognition, fields, and what happens to values that cannot be read."""

import datetime
import json
import pathlib
import random
import typing
import urllib.parse

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import yfcc
from schemas.rows import ROW_SCHEMA
from schemas.samples import SAMPLE_SCHEMA, sample_json
from schemas.yfcc import Pack
from tests.yfcc_corpus import dataset_line, mirror_key
from transforms.join.join_bucket import joined_rows
from transforms.join.join_elements import join_elements
from transforms.join.join_lines import PackLines, join_lines

FIELDS = dict(zip(yfcc._FIELDS, dataset_line(7, 6985418911, random.Random(1)).split("\t"), strict=True))


def line_with(**values: str) -> bytes:
    return "\t".join({**FIELDS, **values}.values()).encode()


def row_of(*lines: bytes, packs: dict[Pack, bytes] | None = None) -> dict:
    ids = np.array([int(line.split(b"\t")[1]) for line in lines])
    payloads = {pack: PackLines(ids[:1], pa.array([payload], pa.binary())) for pack, payload in (packs or {}).items()}
    by_lines = join_lines(ids, {Pack.DATASET: PackLines(ids, pa.array(lines, pa.binary())), **payloads})
    rows = joined_rows(ids, by_lines, join_elements(ids, {}))
    assert rows.schema == ROW_SCHEMA
    return rows.to_pylist()[0]


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (line_with(), (Pack.DATASET, 25)),
        (b"\t".join(f for i, f in enumerate(line_with().split(b"\t")) if i not in (0, 2)), (Pack.DATASET, 23)),
        (b"1\tdune:0.5100,fog:0.8610,outdoor:0.9840", (Pack.AUTOTAGS, 2)),
        (b"1\tExif+SubIFD.Focal+Length:50.0+mm,Exif+SubIFD.Flash:No%2C+auto", (Pack.EXIF, 2)),
        (b"1\t91476962:Lettershea:Town,28350896:Europe%2FDublin:Timezone", (Pack.PLACES, 2)),
        (b"1\t4e2f7a26a1dfbf165a7e30bdabf7e72a", (Pack.HASH, 2)),
        (b"1\t", None),
        (b"12\t6985418911", None),
        (b"not\ta\tline", None),
        (b"", None),
    ],
)
def test_packs_are_recognised_by_content(line: bytes, kind: tuple[Pack, int] | None) -> None:
    assert yfcc.recognise(line) == kind


def test_free_text_is_decoded_and_tags_are_split_first() -> None:
    fields = {"title": "a%2Bb+caf%C3%A9", "description": "x%0Ay", "machine_tags": "a%3Ab%3D1"}
    row = row_of(line_with(user_tags="one%2Ctwo,three", **fields))
    assert (row["title"], row["description"]) == ("a+b café", "x\ny")
    assert (row["user_tags"], row["machine_tags"]) == (["one,two", "three"], ["a:b=1"])
    assert row["warnings"] == []


def test_packs_become_lists_in_published_order() -> None:
    row = row_of(
        line_with(),
        packs={
            Pack.AUTOTAGS: b"outdoor:0.9840,a%3Ab:0.5",
            Pack.EXIF: b"Exif+SubIFD.Focal+Length:50.0+mm,Exif+IFD0.Date:10%3A20:30",
            Pack.PLACES: b"91476962:Lettershea:Town,28350896:Europe%2FDublin:Timezone",
        },
    )
    assert row["autotags"] == [{"name": "outdoor", "score": 0.984}, {"name": "a:b", "score": 0.5}]
    assert row["exif"][0] == {"tag": "Exif SubIFD.Focal Length", "value": "50.0 mm"}
    assert row["exif"][1] == {"tag": "Exif IFD0.Date", "value": "10:20:30"}
    assert row["places"][1] == {"woeid": 28350896, "name": "Europe/Dublin", "type": "Timezone"}


@pytest.mark.parametrize(
    ("published", "read"),
    [
        ("2012-02-16 09:56:37.0", datetime.datetime(2012, 2, 16, 9, 56, 37)),
        ("4501-01-01 00:00:00.0", datetime.datetime(4501, 1, 1)),
        ("1864-01-01 00:00:00.0", datetime.datetime(1864, 1, 1)),
    ],
)
def test_dates_of_bad_clocks_are_kept(published: str, read: datetime.datetime) -> None:
    row = row_of(line_with(date_taken=published))
    assert row["date_taken"] == read
    assert row["warnings"] == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("date_taken", "0000-00-00 00:00:00.0"),
        ("date_taken", "0000-01-01 00:00:00.0"),
        ("date_taken", "2012-02-31 00:00:00.0"),
        ("date_taken", "2012-02-16 24:61:00.0"),
        ("date_taken", "yesterday"),
        ("date_uploaded", "1331840483.5"),
        ("date_uploaded", "999999999999999"),
        ("longitude", "181"),
        ("longitude", "nan"),
        ("latitude", "1-2"),
        ("latitude", "12.5N"),
        ("accuracy", "-1"),
        ("server_id", "99999999999"),
        ("farm_id", "0x7"),
        ("line_number", "seven"),
        ("is_video", "2"),
    ],
)
def test_an_unreadable_value_empties_the_field_and_warns(field: str, value: str) -> None:
    row = row_of(line_with(**{field: value}), line_with(photo_id="8"))
    empty = {"line_number": -1, "is_video": False}.get(field)
    assert row[field] == empty
    assert row["warnings"] == [field]


@pytest.mark.parametrize("field", [f for f in FIELDS if f not in ("photo_id", "is_video")])
def test_every_field_but_the_id_may_be_empty(field: str) -> None:
    row = row_of(line_with(**{field: ""}))
    if field == "hash":
        assert row["hash"] == FIELDS["hash"]
    else:
        assert row[field] in (None, [], -1)
    assert row["warnings"] == []


_NUMBERS = ["", ".5", "-.5", "5.", "-", ".", "1e2", "00.25", "1" * 20, "0." + "3" * 25, "nan", "0x1", "hi", "+1", "1-2"]
_DATES = ["", "0000-01-01 00:00:00.0", "0001-01-01 00:00:00.0", "2012-02-31 00:00:00.0", "9999-12-31 23:59:59.999", "x"]


@pytest.mark.parametrize(
    ("read", "values"),
    [
        (lambda c: yfcc._read_floats(c, -180, 180), _NUMBERS),
        (lambda c: yfcc._read_ints(c, pa.int32()), [*_NUMBERS, "2147483648", "007"]),
        (yfcc._read_unix_times, [*_NUMBERS, "253402300800", "1331840483"]),
        (yfcc._read_dates, _DATES),
        (yfcc._read_flag, ["0", "1", "2", ""]),
    ],
)
@given(data=st.data())
def test_a_value_means_the_same_whatever_stands_beside_it(
    read: typing.Callable, values: list[str], data: st.DataObject
) -> None:
    column = [v.encode() for v in data.draw(st.lists(st.sampled_from(values), min_size=1, max_size=6))]
    together, bad = read(pa.array(column, pa.binary()))
    alone = [read(pa.array([value], pa.binary())) for value in column]
    assert together.to_pylist() == [one[0].to_pylist()[0] for one in alone]
    assert bad.tolist() == [one[1].tolist()[0] for one in alone]


def test_a_broken_item_of_a_pack_stays_and_warns() -> None:
    row = row_of(line_with(), packs={Pack.AUTOTAGS: b"outdoor:high,indoor", Pack.PLACES: b"x:Galway:County"})
    assert row["autotags"] == [{"name": "outdoor", "score": None}, {"name": "indoor", "score": None}]
    assert row["places"] == [{"woeid": None, "name": "Galway", "type": "County"}]
    assert row["warnings"] == ["autotags", "places"]


def test_the_hash_pack_fills_what_the_dataset_lacks() -> None:
    assert row_of(line_with(hash=""), packs={Pack.HASH: b"abc123"})["hash"] == "abc123"
    assert row_of(line_with(hash="def"), packs={Pack.HASH: b"abc123"})["hash"] == "def"


def test_long_lines_pass() -> None:
    row = row_of(line_with(description="%C3%A9" * 4_500))
    assert row["description"] == "é" * 4_500


@given(
    title=st.text(max_size=40),
    tags=st.lists(st.text(min_size=1, max_size=8), max_size=4),
    longitude=st.none() | st.floats(-180, 180).map(lambda x: round(x, 6)),
    accuracy=st.none() | st.integers(1, 16),
)
def test_a_line_survives_parse_row_and_json(
    title: str, tags: list[str], longitude: float | None, accuracy: int | None
) -> None:
    line = line_with(
        title=urllib.parse.quote_plus(title),
        user_tags=",".join(urllib.parse.quote_plus(t) for t in tags),
        longitude="" if longitude is None else f"{longitude:.6f}",
        accuracy="" if accuracy is None else str(accuracy),
    )
    sample = json.loads(sample_json(dict.fromkeys(SAMPLE_SCHEMA.names) | row_of(line)))
    assert (sample["title"], sample["user_tags"]) == (title, tags)
    assert sample["longitude"] == (-999.0 if longitude is None else longitude)
    assert sample["accuracy"] == (-1 if accuracy is None else accuracy)
    unchanged = ("user_id", "page_url", "download_url", "license_name", "secret", "extension", "hash")
    assert {name: sample[name] for name in unchanged} == {name: FIELDS[name] for name in unchanged}
    assert sample["photo_id"] == int(FIELDS["photo_id"])


def test_real_lines_keep_every_field(shared_data: pathlib.Path) -> None:
    lines = (shared_data / "yfcc/yfcc100m_first500_25col.tsv").read_bytes().splitlines()
    parsed = yfcc.read_dataset(pa.array(lines, pa.binary()))
    table = pa.table(parsed.columns).to_pylist()
    for line, row in zip(lines, table, strict=True):
        fields = dict(zip(yfcc._FIELDS, line.decode().split("\t"), strict=True))
        url = fields["download_url"]
        assert row["hash"] == fields["hash"] == yfcc.mirror_key(url) == mirror_key(url)
        assert row["title"] == (urllib.parse.unquote_plus(fields["title"]) or None)
        assert row["user_tags"] == [urllib.parse.unquote_plus(t) for t in fields["user_tags"].split(",") if t]
        assert row["longitude"] == (float(fields["longitude"]) if fields["longitude"] else None)
        assert row["photo_id"] == int(fields["photo_id"])
    assert not any(mask.any() for mask in parsed.unreadable.values())
