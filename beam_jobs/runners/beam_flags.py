"""The flags that Beam and its runners have."""

import argparse
import typing

from apache_beam.options.pipeline_options import PipelineOptions, _BeamArgumentParser

from beam_jobs.command.errors import UsageError
from beam_jobs.command.flags import Arguments

_FLINK_FLAGS = (
    "allow_non_restored_state",
    "auto_watermark_interval",
    "checkpoint_timeout_millis",
    "checkpointing_interval",
    "checkpointing_mode",
    "disable_metrics",
    "execution_mode_for_batch",
    "execution_retry_delay",
    "fail_on_checkpointing_errors",
    "flink_conf_dir",
    "force_slot_sharing_group",
    "latency_tracking_interval",
    "max_bundle_size",
    "max_bundle_time_mills",
    "max_parallelism",
    "number_of_execution_retries",
    "object_reuse",
    "re_iterable_group_by_key_result",
    "savepoint_path",
    "shutdown_sources_after_idle_ms",
    "state_backend",
    "state_backend_storage_path",
)
"""Flags of Flink's job server that the Python SDK learns from it only when it runs. Source:
https://beam.apache.org/documentation/runners/flink/#pipeline-options-for-the-flink-runner."""


def parse_beam_flags(line: Arguments, ours: typing.Collection[str]) -> tuple[list[str], dict[str, typing.Any]]:
    """Takes Beam's flags out of a command line.

    Args:
        line: arguments.
        ours: flags that stay in it, with their dashes, though Beam has some of these names too.

    Returns:
        The rest of the line, and the values of Beam's flags by name, only of those given.

    Raises:
        UsageError: a value that Beam does not take.
    """
    parser = _parser(ours)
    try:
        given, rest = parser.parse_known_args(list(line))
    except (argparse.ArgumentError, ValueError) as error:
        raise UsageError(str(error)) from error
    return rest, vars(given)


def beam_flags() -> list[str]:
    """Returns all flags of Beam and its runners, with their dashes."""
    return [option for action in _parser(())._actions for option in action.option_strings]


class _Parser(_BeamArgumentParser):
    def error(self, message: str) -> typing.NoReturn:
        raise UsageError(message)


def _parser(ours: typing.Collection[str]) -> argparse.ArgumentParser:
    parser = _Parser(allow_abbrev=False, add_help=False, conflict_handler="resolve")
    for options in PipelineOptions.__subclasses__():
        options._add_argparse_args(parser)
    for name in _FLINK_FLAGS:
        parser.add_argument(f"--{name}")
    parser.add_argument("--dry_run", nargs="?", const="True")
    for name in ours:
        parser._option_string_actions.pop(name, None)
    for action in parser._actions:
        action.default = argparse.SUPPRESS
        action.required = False
    return parser
