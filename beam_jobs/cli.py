"""The command `photobeam`: finds the command's module, runs it, and turns errors into exit codes."""

import difflib
import importlib
import logging
import sys
import typing

from beam_jobs.command.end_process import end_process
from beam_jobs.command.errors import FAILED, INTERRUPTED, OK, TERMINATED, USAGE, JobError, UsageError
from beam_jobs.command.terminate import Terminated, terminable
from beam_jobs.command.versions import software
from transforms.files.url_credentials import without_credentials
from transforms.stores.store_errors import client_errors

COMMANDS: typing.Final[dict[str, tuple[str, str]]] = {
    "build": ("build_dataset", "sources and images to shards: the main job"),
    "join": ("join_metadata", "the joined rows alone, as Parquet"),
    "reprocess": ("reprocess_dataset", "a dataset that is there: try its failures again, take photos down"),
    "text": ("prepare_text", "tokens, vocabulary and token ids of a dataset's captions"),
    "features": ("extract_features", "feature vectors of the images, by a network in ONNX"),
    "verify": ("check_dataset", "check every byte and count of a dataset"),
    "diff": ("diff_datasets", "compare two datasets photo by photo"),
    "export": ("export_annotations", "annotations and images in the formats of other tools"),
    "show": ("show", "one photo by any of its ids: its row or failure, and its picture"),
    "doctor": ("doctor", "why a run would fail here: machine, inputs, output, photos, runner"),
    "demo": ("demo", "make a small corpus, build it, verify it, read it back"),
}
"""Command to module of `beam_jobs` and what it does."""


def main(argv: typing.Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: command and its flags; by default the process's own.

    Returns:
        0 done, 1 failed or too many failures, 2 usage.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.stdout.write(_help())
        return OK if arguments else USAGE
    if arguments == ["--version"]:
        sys.stdout.write("".join(f"{name} {version}\n" for name, version in software().items()))
        return OK
    command, *flags = arguments
    if command not in COMMANDS:
        near = difflib.get_close_matches(command, COMMANDS, 1)
        sys.stderr.write(f"photobeam: unknown command {command}" + (f"; did you mean {near[0]}?\n" if near else "\n"))
        return USAGE
    return run_command(lambda: importlib.import_module(f"beam_jobs.{COMMANDS[command][0]}").main(flags))


def run_command(command: typing.Callable[[], int]) -> int:
    """Runs the body of a command; errors that the operator can mend become one line and an exit code.

    gcsfs logs, with its traceback, what it raises as well.
    """
    logging.basicConfig(level=logging.ERROR, format="%(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("photobeam").setLevel(logging.INFO)
    logging.getLogger("gcsfs").setLevel(logging.CRITICAL)
    try:
        with terminable():
            return command()
    except UsageError as error:
        sys.stderr.write(f"photobeam: {without_credentials(str(error))}\n")
        return USAGE
    except KeyboardInterrupt as signal:
        sys.stderr.write("\nphotobeam: interrupted\n")
        return TERMINATED if isinstance(signal, Terminated) else INTERRUPTED
    except MemoryError as error:
        sys.stderr.write(f"photobeam: there is not enough memory ({error})\n")
        return FAILED
    except Exception as error:
        if isinstance(error, BrokenPipeError) or not isinstance(error, (JobError, OSError, *client_errors())):
            raise
        place = "the output: " if isinstance(error, OSError) and error.strerror and not error.filename else ""
        sys.stderr.write(f"photobeam: {place}{without_credentials(str(error))}\n")
        return FAILED


def _help() -> str:
    lines = [f"  {name:9} {text}" for name, (_, text) in COMMANDS.items()]
    return (
        "usage: photobeam COMMAND [flags]\n\n" + "\n".join(lines) + "\n\nphotobeam COMMAND --help lists its flags; "
        "photobeam --version names the versions of photobeam and of what decides on the bytes it writes.\n"
    )


def run_as_process() -> typing.NoReturn:
    """The script `photobeam`."""
    end_process(main)


if __name__ == "__main__":
    run_as_process()
