import dataclasses
import hashlib
import json
import pathlib
import re

from beam_jobs import build_dataset
from schemas import format_doc, records
from schemas.failures import FailureReason
from schemas.sources import Source
from transforms.join.filter_rows import RowSelection

_ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_the_page_is_current():
    assert (_ROOT / "docs" / "format.md").read_text("utf-8") == format_doc.format_doc(), (
        "run: python -m schemas.format_doc > docs/format.md"
    )


def test_every_reason_is_explained_and_the_unused_ones_are_unused():
    assert set(format_doc.REASON_DOCS) == set(FailureReason)
    code = "".join(
        p.read_text("utf-8") for folder in ("transforms", "beam_jobs") for p in (_ROOT / folder).rglob("*.py")
    )
    used = {FailureReason[name] for name in re.findall(r"FailureReason\.([A-Z_]+)\b", code)}
    assert used == set(FailureReason)


def test_every_flag_of_build_is_of_one_kind():
    kinds = [*format_doc.SELECTION_FLAGS, *format_doc.FORMAT_FLAGS, *format_doc.RUN_FLAGS]
    parser = build_dataset.make_parser()
    flags = {flag.removeprefix("--") for flag in parser.flags()} - {"-h", "help"}
    assert sorted(kinds) == sorted(flags | {"config"})


def test_the_kinds_are_those_of_the_plan():
    config = build_dataset.parse_args(["--yfcc", "in", "--output", "out", "--videos"])
    selection = {f.name for f in dataclasses.fields(RowSelection)} | {source.value for source in Source}
    assert selection == set(format_doc.SELECTION_FLAGS)
    assert config.format.keys() == set(format_doc.FORMAT_FLAGS)


def test_digests_are_made_as_the_page_says():
    plan_format = {"quality": 90, "base": "yfcc"}
    as_json = json.dumps(plan_format, indent=1, sort_keys=True) + "\n"
    digest = hashlib.sha256(("ab" * 32 + as_json).encode()).hexdigest()
    assert records.rows_digest("ab" * 32, plan_format) == digest
    names = {"shards/b": "22", "rows/a": "11"}
    assert records.root_hash(names) == hashlib.sha256(b"11  rows/a\n22  shards/b\n").hexdigest()
