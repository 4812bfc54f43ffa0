"""Where a job runs: photobeam's flags and Beam's on one command line."""

import re

import pytest

from beam_jobs import build_dataset, join_metadata
from beam_jobs.command.errors import UsageError
from beam_jobs.runners.check_runner import check_is_followed
from beam_jobs.runners.flink_options import flink_options
from beam_jobs.runners.portable_runner import named
from beam_jobs.runners.runner_flags import CORES, DATAFLOW, PRISM, RunnerConfig

_BUILD = ["--yfcc", "in", "--output", "out"]
_DATAFLOW = [
    "--yfcc=gs://bucket/in",
    "--output=gs://bucket/out",
    "--runner=DataflowRunner",
    "--project=my-project",
    "--region=europe-west1",
    "--temp_location=gs://bucket/tmp",
    "--sdk_container_image=image:1",
]


def _runner(*flags):
    return build_dataset.parse_args([*_BUILD, *flags]).runner


def test_the_default_is_this_machine():
    runner = _runner()
    assert runner.is_local
    assert (runner.workers, runner.children) == (CORES, CORES)
    assert _runner("--runner=FnApiRunner", "--workers=3").workers == 3


def test_beams_flags_stand_among_photobeams(tmp_path):
    prism = tmp_path / "prism"
    prism.touch(0o755)
    runner = _runner(
        "--prism_location", str(prism), "--runner", PRISM, "--experiments=a", "--experiments=b", "--workers=3"
    )
    assert (runner.name, runner.workers, runner.children) == (PRISM, 3, 3)
    assert runner.options == {"prism_location": str(prism), "experiments": ["a", "b"]}


def test_workers_need_not_run_where_the_command_does(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = build_dataset.parse_args([*_BUILD, "--images=photos", "--images=auto", "--images=gs://bucket/photos"])
    assert config.images
    assert config.images.places.images == (str(tmp_path / "photos"), "auto", "gs://bucket/photos")


def test_beams_flags_may_stand_in_the_config_file(tmp_path):
    prism, config = tmp_path / "prism", tmp_path / "flags.yaml"
    prism.touch(0o755)
    config.write_text(f"runner: PrismRunner\nprism_location: {prism}\nexperiments: [a, b]\n")
    assert _runner("--config", str(config)).options == {"prism_location": str(prism), "experiments": ["a", "b"]}


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--flink_master=x:1"], "--flink_master is a flag of Beam's other runners: give --runner=FlinkRunner"),
        (["--runner=DaskRunner"], "DaskRunner is not supported (Beam's Dask runner drops branches"),
        (["--runner=Nonsense"], "Nonsense is not supported"),
        (["--runner=FlinkRunner"], "needs --flink_master"),
        (["--runner=FlinkRunner", "--flink_master=127.0.0.1:1"], "--flink_master 127.0.0.1:1 does not answer"),
        (["--runner=FlinkRunner", "--flink_masterr=x"], "unknown flag --flink_masterr"),
        (["--runner=PrismRunner"], "needs --prism_location"),
        (["--runner=PrismRunner", "--prism_location=/nowhere"], "/nowhere is none"),
        (
            ["--runner=DataflowRunner"],
            "needs --project: of Google Cloud, --region: such as us-central1, --temp_location:",
        ),
    ],
)
def test_what_a_runner_lacks_is_said_before_any_work(flags, told):
    with pytest.raises(UsageError) as error:
        _runner(*flags)
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("without", "told"),
    [
        ("--region", "needs --region"),
        ("--temp_location", "needs --temp_location"),
        ("--sdk_container_image", "its workers lack photobeam"),
    ],
)
def test_dataflow_needs_to_be_told_where(without, told):
    with pytest.raises(UsageError) as error:
        build_dataset.parse_args([flag for flag in _DATAFLOW if not flag.startswith(without)])
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("flag", "place"),
    [
        ("--yfcc", "in"),
        ("--coco", "file:///data/coco"),
        ("--coco", "2017:val"),
        ("--open_images", "zip://*::masks.zip"),
        ("--images", "/photos"),
        ("--output", "/out"),
    ],
)
def test_dataflow_is_given_no_file_of_this_machine(flag, place):
    told = re.escape(f"{flag} {place}: Dataflow's workers do not see this machine's files; give a place in a bucket")
    with pytest.raises(UsageError, match=told):
        build_dataset.parse_args([*_DATAFLOW, flag, place])
    if flag not in ("--images", "--output"):
        with pytest.raises(UsageError, match=told):
            join_metadata.parse_args([*_DATAFLOW, flag, place])


def test_dataflow_is_given_what_its_workers_see():
    seen = ["--open_images", "zip://*::gs://bucket/masks.zip", "--images=auto", "--images=s3://bucket/photos"]
    assert build_dataset.parse_args([*_DATAFLOW, *seen]).runner.name == DATAFLOW


@pytest.mark.parametrize("flag", ["--no_wait_until_finish", "--template_location=gs://bucket/template"])
def test_a_job_is_not_left_alone_where_others_come_after_it(flag):
    with pytest.raises(UsageError, match=f"--by_split has more to do .*: leave out {flag.partition('=')[0]}"):
        build_dataset.parse_args([*_DATAFLOW, flag, "--by_split"])


@pytest.mark.parametrize("name", ["no_wait_until_finish", "template_location", "dry_run"])
def test_what_changes_a_dataset_follows_its_jobs(name):
    with pytest.raises(UsageError, match=f"this command has more to do .*: leave out --{name}"):
        check_is_followed(RunnerConfig(DATAFLOW, options={name: True}), "this command")
    check_is_followed(RunnerConfig(DATAFLOW), "this command")


def test_a_dry_run_needs_no_value_and_is_not_taken_for_a_run_elsewhere(tmp_path):
    for flag in ("--dry_run", "--dry_run=True"):
        assert build_dataset.parse_args([flag, *_DATAFLOW]).runner.is_dry_run
    prism = tmp_path / "prism"
    prism.touch(0o755)
    with pytest.raises(UsageError, match="--dry_run is for --runner=DataflowRunner: leave it out"):
        _runner(f"--prism_location={prism}", f"--runner={PRISM}", "--dry_run")


def test_nothing_of_a_runner_is_written_into_a_manifest(tmp_path):
    prism = tmp_path / "prism"
    prism.touch(0o755)
    secret = '--environment_config={"command": "/x", "env": {"KEY": "s3cret"}}'
    config = build_dataset.parse_args([*_BUILD, f"--prism_location={prism}", f"--runner={PRISM}", secret])
    assert "s3cret" in str(config.runner.options)
    assert "s3cret" not in str(config.flags)


def test_a_rate_of_the_whole_job_needs_a_number_of_workers():
    with pytest.raises(UsageError, match="--per_host_rate is for the whole job"):
        build_dataset.parse_args([*_DATAFLOW, "--per_host_rate=8"])
    config = build_dataset.parse_args([*_DATAFLOW, "--per_host_rate=8", "--workers=4"])
    assert (config.runner.name, config.runner.children) == (DATAFLOW, 1)
    assert config.images
    assert config.images.fetch.per_host_rate == 2


def test_a_job_has_a_name_of_its_own_since_it_is_cancelled_by_that():
    first, second = (named({"job_name": "nightly", "parallelism": 2}) for _ in range(2))
    assert first["job_name"] != second["job_name"]
    assert first["job_name"].startswith("nightly-")
    assert first["parallelism"] == 2
    assert named({})["job_name"].startswith("photobeam-")


def test_flinks_options_suit_the_graph_and_give_way():
    options = flink_options({"flink_master": "x:1", "parallelism": 3}, 8)
    assert options["execution_mode_for_batch"] == "BATCH_FORCED"
    assert options["parallelism"] == 3
    assert "photobeam-worker" in options["environment_config"]
    assert flink_options({"environment_type": "EXTERNAL"}, 2).get("environment_config") is None
    own = flink_options({"environment_config": '{"command": "/x"}'}, 2)["environment_config"]
    assert '"command": "/x"' in own
    assert "PHOTOBEAM_VERSIONS" in own


@pytest.mark.parametrize("config", ["{", "[]", '"worker"'])
def test_an_environment_that_is_no_object_is_refused(config):
    with pytest.raises(UsageError, match="--environment_config"):
        flink_options({"environment_config": config}, 2)
