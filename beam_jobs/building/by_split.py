"""`--by_split`: one complete dataset for each split, below the output; each is a run of its own."""

import logging
import typing

from beam_jobs.command.errors import UsageError
from beam_jobs.outputs import output_state
from schemas.splits import SPLITS, WITHOUT_SPLIT
from transforms.stores.output import Output

_log = logging.getLogger("photobeam")


def run_by_split(output: Output, run: typing.Callable[[str, Output], int]) -> int:
    """Makes the dataset of each split; one that no photo is in gets none.

    Args:
        output: holds the datasets, each under the name of its split.
        run: makes the dataset of a split in a place; returns its exit code.

    Returns:
        The largest exit code.

    Raises:
        UsageError: the output holds something else.
    """
    _check_holds_splits(output)
    codes = []
    for split in SPLITS:
        _log.info("split %s", split)
        codes.append(run(split, output.child(split)))
        plan = output_state.read_plan(output.child(split))
        if plan and plan.shards == 0 and not plan.tombstones:
            output.remove_tree(split)
            _log.info("no photo is in split %s: it has no dataset", split)
    if plan and plan.counts.get(WITHOUT_SPLIT):
        _log.info("%d photos are in no split, and in none of the datasets", plan.counts[WITHOUT_SPLIT])
    return max(codes)


def _check_holds_splits(output: Output) -> None:
    foreign = [name for name in output_state.entries(output) if name not in SPLITS]
    if foreign:
        raise UsageError(
            f"--output {output} holds something else than splits ({', '.join(foreign[:3])}); choose another directory"
        )
