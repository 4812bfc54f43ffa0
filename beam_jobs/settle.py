"""The first thing that a command does with an output it holds: what a dead run began is ended."""

from beam_jobs import output_state
from transforms.intents import roll_forward
from transforms.output import Output


def settle(output: Output) -> None:
    """Carries out what dead runs announced, and removes what they left unfinished."""
    roll_forward(output)
    output_state.sweep(output)
