"""Faults that are seeded into a copy of the code: each must make a test of this suite fail."""

import pathlib
import shutil
import subprocess
import sys
import typing

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGES = ("schemas", "transforms", "beam_jobs", "tests")
BUILD = "tests/jobs/test_build_yfcc.py::"


class Fault(typing.NamedTuple):
    """One wrong edit, and the test that must see it."""

    file: str
    right: str
    wrong: str
    test: str


FAULTS = {
    "drop_a_retry": Fault(
        "transforms/fetch/http_fetch.py",
        "attempts > client.options.retries",
        "attempts > 0",
        BUILD + "test_a_failure_that_heals_is_retried",
    ),
    "swallow_a_row": Fault(
        "transforms/join/cut_rows.py",
        '    table = table.take(pa.array(key_order(table["photo_id"].to_numpy())))',
        '    table = table.take(pa.array(key_order(table["photo_id"].to_numpy())[1:]))',
        BUILD + "test_every_line_becomes_a_sample_or_a_failure",
    ),
    "swallow_a_failure": Fault(
        "transforms/building/shard_failures.py",
        "self.final.append(",
        "id(",
        BUILD + "test_every_line_becomes_a_sample_or_a_failure",
    ),
    "lose_a_malformed_line": Fault(
        "transforms/sources/split_lines.py",
        "for i in malformed\n",
        "for i in malformed[1:]\n",
        BUILD + "test_every_line_becomes_a_sample_or_a_failure",
    ),
    "let_arrival_choose": Fault(
        "transforms/join/duplicate_lines.py",
        "    ranked = sorted((_rank(line, pack), position) for line, position in candidates)",
        "    ranked = [(_rank(line, pack), position) for line, position in candidates]",
        "tests/unit/test_duplicate_lines.py",
    ),
    "write_out_of_order": Fault(
        "transforms/shards/write_shard.py",
        "sorted(images, key=lambda image: image.row)",
        "list(images)",
        BUILD + "test_bytes_do_not_depend_on_order_splitting_or_workers",
    ),
    "decode_before_splitting": Fault(
        "schemas/yfcc.py",
        "    return pa.ListArray.from_arrays(offsets, url_decode(items))",
        '    offsets, items = split_list(url_decode(column).cast(pa.binary()), b",")\n'
        "    return pa.ListArray.from_arrays(offsets, items.cast(pa.string()))",
        "tests/unit/test_yfcc.py::test_free_text_is_decoded_and_tags_are_split_first",
    ),
    "turn_by_the_exif_of_open_images": Fault(
        "transforms/building/make_images.py",
        ', file_rotation(row["copies"], found.copy_source, found.copy_id))',
        ")",
        "tests/unit/test_build_geometry.py",
    ),
    "stretch_copies_as_stored": Fault(
        "transforms/geometry/copy_affines.py",
        "self._upright: Size = (height, width) if image.orientation >= 5 else (width, height)",
        "self._upright: Size = (width, height)",
        "tests/unit/test_build_geometry.py",
    ),
    "limit_classes_bucket_by_bucket": Fault(
        "transforms/join/cut_rows.py",
        "batch.filter(pa.array(left_by_classes(batch, kept.max_class_hashes))).select",
        "batch.select",
        "tests/unit/test_class_limit.py",
    ),
    "take_what_people_saw_to_be_absent": Fault(
        "transforms/join/class_evidence.py",
        "human = by_people & is_true(pc.equal(confidence, PRESENT)) & (Evidence.HUMAN in kinds)",
        "human = by_people & (Evidence.HUMAN in kinds)",
        "tests/unit/test_class_evidence.py",
    ),
    "forget_the_commit": Fault(
        "transforms/building/build_shard.py",
        "    output.write(record, commit.to_json())",
        "",
        BUILD + "test_a_second_run_fetches_and_joins_nothing",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_the_suite_catches(tmp_path: pathlib.Path, name: str) -> None:
    fault = FAULTS[name]
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    path = tmp_path / fault.file
    text = path.read_text()
    assert text.count(fault.right) == 1, "the place of the fault has moved"
    path.write_text(text.replace(fault.right, fault.wrong))
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--no-cov", fault.test]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert result.returncode == 1, result.stdout[-2000:]
    assert " failed" in result.stdout
