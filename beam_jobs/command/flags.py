"""Command lines: a YAML file of flags under them, and no flag unheard."""

import argparse
import difflib
import typing

import yaml

from beam_jobs.command.errors import UsageError

Arguments = typing.Sequence[str]

_MAX_NUMBER = (1 << 31) - 1


class OtherFlags(typing.Protocol):
    """Flags that a command line may hold besides a parser's own."""

    def split(self, line: Arguments, ours: typing.Collection[str]) -> tuple[Arguments, dict[str, typing.Any]]:
        """Returns a line without these flags, and their values by name."""
        ...

    def refuse(self, flag: str) -> None:
        """Raises UsageError if a flag is one of these, but out of place."""
        ...


class FlagParser(argparse.ArgumentParser):
    """An argument parser without abbreviations that raises instead of exiting.

    Args:
        command: name of the command.
        description: shown by ``--help``.

    Attributes:
        others: flags that are not its own and may stand among them.
    """

    others: "OtherFlags | None" = None

    def __init__(self, command: str, description: str):
        super().__init__(
            prog=f"photobeam {command}",
            description=description,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def error(self, message: str) -> typing.NoReturn:
        """Raises UsageError."""
        raise UsageError(f"{message}\n{self.format_usage().strip()}")

    def flags(self) -> list[str]:
        """Returns all flags, with their dashes."""
        return [option for action in self._actions for option in action.option_strings]

    def repeats(self, flag: str) -> bool:
        """Tells whether a flag is given once per value."""
        return isinstance(self._option_string_actions.get(flag), argparse._AppendAction)

    def alone(self, flag: str) -> str:
        """Returns a flag without a value so that no argument behind it is taken for one."""
        action = self._option_string_actions.get(flag)
        return f"{flag}={action.const}" if action is not None and action.nargs == "?" else flag

    def takes_one(self, flag: str) -> bool:
        """Tells whether a flag takes one value, which may hold commas."""
        action = self._option_string_actions.get(flag)
        return action is not None and action.nargs is None


def parse(parser: FlagParser, argv: Arguments) -> argparse.Namespace:
    """Parses a command line; flags of a ``--config`` file stand where the line does not give them.

    Args:
        parser: the command's flags.
        argv: arguments after the command.

    Raises:
        UsageError: an unknown flag (the nearest is named), a wrong value, a broken config file.
    """
    parser.add_argument("--config", metavar="FILE", help="YAML file of flags; the command line wins")
    _check_text(argv)
    config, line = _config_parser().parse_known_args(argv)
    if config.config:
        line = [*_config_arguments(parser, config.config, line), *line]
        _check_text(line)
    own: Arguments = line
    if parser.others:
        own, runner_options = parser.others.split(line, parser.flags())
        if runner_options:
            parser.set_defaults(runner_options=runner_options)
    namespace, rest = parser.parse_known_args(own)
    if rest:
        _refuse(parser, rest[0], "" if rest[0] in argv else f" of --config {config.config}")
    return namespace


def positive(text: str) -> int:
    """Reads the value of a flag that is a number above 0.

    Raises:
        ArgumentTypeError: it is none, or larger than any that makes sense.
    """
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= _MAX_NUMBER:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number below 2^31")
    return int(text)


def ratio(text: str) -> float:
    """Reads the value of a flag that is a number from 0 to 1.

    Raises:
        ArgumentTypeError: it is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 0 to 1")
    return value


def as_given(value: typing.Any) -> str:
    """Returns a flag's value as a command line gives it.

    Example:
        >>> as_given([256, 512]), as_given(90)
        ('256,512', '90')
    """
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _check_text(line: Arguments) -> None:
    """Refuses what no command line can hold, but a config file or a caller in Python can."""
    for argument in line:
        if "\0" in argument:
            raise UsageError(f"{argument.partition('=')[0]!r}: a value with a NUL character; remove the character")


def _config_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config")
    return parser


def _config_arguments(parser: FlagParser, path: str, line: Arguments) -> list[str]:
    """Turns a YAML file into arguments, without the flags that the line gives itself."""
    try:
        with open(path, encoding="utf-8") as file:
            values = yaml.safe_load(file) or {}
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise UsageError(f"--config {path}: {error}") from error
    if not isinstance(values, dict):
        raise UsageError(f"--config {path}: expected 'flag: value' lines")
    given = {argument.split("=", 1)[0] for argument in line}
    arguments: list[str] = []
    for name, value in values.items():
        flag = f"--{name}"
        if flag not in given:
            arguments += _as_arguments(parser, flag, value)
    return arguments


def _as_arguments(parser: FlagParser, flag: str, value: typing.Any) -> list[str]:
    if value is None or value is False:
        return []
    if value is True:
        return [parser.alone(flag)]
    if isinstance(value, dict):
        raise UsageError(f"--config: {flag} takes a value or a list, not a mapping")
    if not isinstance(value, list):
        return [f"{flag}={value}"]
    if parser.repeats(flag) or flag not in parser.flags():
        return [f"{flag}={item}" for item in value]
    if parser.takes_one(flag):
        return [f"{flag}={','.join(map(str, value))}"]
    return [flag, *map(str, value)]


def _refuse(parser: FlagParser, argument: str, place: str) -> typing.NoReturn:
    """Refuses an unknown argument, with the nearest flag as a suggestion."""
    flag = argument.split("=", 1)[0]
    if parser.others:
        parser.others.refuse(flag)
    near = difflib.get_close_matches(flag, parser.flags(), 1)
    raise UsageError(
        f"unknown {'flag' if flag.startswith('-') else 'argument'} {flag}{place}"
        + (f"; did you mean {near[0]}?" if near else "")
    )
