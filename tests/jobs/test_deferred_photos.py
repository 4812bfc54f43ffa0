"""Photos whose failure may heal are tried once more at the shard's end; flags of manners reach the requests."""

import hashlib
import json
import pathlib

from beam_jobs import build_dataset, check_dataset
from schemas import layout
from schemas.records import Manifest
from tests.fault_server import Answer, FaultServer
from tests.jobs.conftest import picture, write_lines
from tests.yfcc_corpus import mirror_path


def build(source: pathlib.Path, mirror: FaultServer, output: pathlib.Path, *flags: str) -> int:
    arguments = ["--yfcc", str(source), f"--mirror=yfcc={mirror.url}", "--output", str(output), "--progress=none"]
    return build_dataset.main([*arguments, "--workers=1", "--retries=0", *flags])


def reasons(output: pathlib.Path) -> dict[str, int]:
    path = output / layout.MANIFEST
    return Manifest.from_json(path.read_bytes(), str(path)).totals.failures_by_reason


def shard_hashes(output: pathlib.Path) -> dict[str, str]:
    paths = [*(output / "shards").iterdir(), *(output / "failures").glob("[0-9]*")]
    return {p.name + p.parent.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in paths}


def test_what_heals_by_the_shards_end_is_a_sample_and_leaves_no_trace_in_the_data(
    tmp_path: pathlib.Path, lines: list[str], mirror: FaultServer
) -> None:
    source = write_lines(tmp_path / "in", lines)
    assert build(source, mirror, tmp_path / "smooth") == 0
    for i, failing in ((1, Answer(b"", 503)), (2, Answer(fault="reset")), (3, Answer(b"", 429))):
        path = mirror_path(lines[i])
        asked = mirror.asked.count(path)
        mirror.answers[path] = Answer(picture(i), failures_first=asked + 1, failing=failing)
    mirror.asked.clear()
    assert build(source, mirror, tmp_path / "rough") == 0
    assert [mirror.asked.count(mirror_path(lines[i])) for i in (1, 3, 4)] == [2, 2, 1]
    assert mirror.asked.index(mirror_path(lines[1])) < 60 <= len(mirror.asked) - 1
    assert shard_hashes(tmp_path / "rough") == shard_hashes(tmp_path / "smooth")
    log = json.loads((tmp_path / "rough" / layout.log_file(0)).read_bytes())
    assert (log["samples"], log["failed"]) == (54, 6)
    assert check_dataset.main([str(tmp_path / "rough")]) == 0


def test_what_does_not_heal_keeps_its_reason_and_is_counted_once(
    tmp_path: pathlib.Path, lines: list[str], mirror: FaultServer
) -> None:
    mirror.answers[mirror_path(lines[1])] = Answer(b"", 503)
    assert build(write_lines(tmp_path / "in", lines), mirror, tmp_path / "out") == 0
    assert mirror.asked.count(mirror_path(lines[1])) == 2
    assert reasons(tmp_path / "out") == {"not_found": 6, "server_error": 1}
    assert check_dataset.main([str(tmp_path / "out")]) == 0


def test_opted_out_photos_and_redirects_into_private_networks_are_failures(
    tmp_path: pathlib.Path, lines: list[str], mirror: FaultServer
) -> None:
    with FaultServer({"/a": Answer(picture(1))}) as inside:
        mirror.answers[mirror_path(lines[1])] = Answer(b"", 302, {"Location": f"{inside.url}/a"})
        mirror.answers[mirror_path(lines[2])] = Answer(picture(2), headers={"X-Robots-Tag": "noai"})
        mirror.answers[mirror_path(lines[3])] = Answer(picture(3), headers={"TDM-Reservation": "1"})
        source = write_lines(tmp_path / "in", lines)
        assert build(source, mirror, tmp_path / "out") == 0
        assert reasons(tmp_path / "out") == {"blocked_address": 1, "not_found": 6, "opted_out": 2}
        assert inside.asked == []
        assert build(source, mirror, tmp_path / "free", "--allow_private_hosts", "--opt_out_tags", "noml") == 0
        assert reasons(tmp_path / "free") == {"not_found": 6, "opted_out": 1}
        assert inside.asked == ["/a"]


def test_the_rate_of_a_host_is_kept_over_a_run(tmp_path: pathlib.Path, lines: list[str], mirror: FaultServer) -> None:
    assert build(write_lines(tmp_path / "in", lines), mirror, tmp_path / "out", "--per_host_rate", "40") == 0
    log = json.loads((tmp_path / "out" / layout.log_file(0)).read_bytes())
    assert log["seconds"] >= (log["attempts"] - 1) / 40


def test_connections_outlast_shards(tmp_path: pathlib.Path, lines: list[str], mirror: FaultServer) -> None:
    flags = ("--samples_per_shard", "20", "--concurrency", "2")
    assert build(write_lines(tmp_path / "in", lines), mirror, tmp_path / "out", *flags) == 0
    assert len(list((tmp_path / "out/commits").iterdir())) == 3
    assert 1 <= mirror.connections <= 2
