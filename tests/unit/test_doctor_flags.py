"""What `doctor` looks at does not hang on what it finds."""

from beam_jobs.command.flags import parse
from beam_jobs.diagnosis.findings import OK
from beam_jobs.diagnosis.input_findings import Inputs
from beam_jobs.doctor import _look_at_flags, _of_surroundings, make_parser


def test_a_cluster_that_does_not_answer_hides_no_place_of_photos() -> None:
    given = ["--yfcc=in", "--mirror=yfcc=http://host", "--runner=FlinkRunner", "--flink_master=127.0.0.1:1"]
    flags = parse(make_parser(), given)
    assert [finding.status for finding in _look_at_flags(flags)] == [OK]
    assert [check for check, _ in _of_surroundings(flags, "yfcc", Inputs())] == ["runner", "--mirror yfcc=http://host"]
