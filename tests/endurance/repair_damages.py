"""Every file of a small dataset is damaged in every way, one at a time: `verify` names it, `--repair` heals it.

Run: `python tests/endurance/repair_damages.py`; some minutes. Exits with 1 at the first that is not healed.
"""

import itertools
import pathlib
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.damaged_dataset import HOWS, OF_DATASET, OF_SHARD, SHARDS, Damage, built_corpus, check_healing  # noqa: E402

PLACES = (0.0, 0.01, 0.3, 0.7, 0.999, 1.0)
"""Where bits are flipped, and files cut."""


def _damages() -> list[Damage]:
    kinds = [(kind, shard) for kind, shard in itertools.product([*OF_SHARD, *OF_DATASET], range(SHARDS))]
    of_files = [(kind, shard) for kind, shard in kinds if kind in OF_SHARD or shard == 0]
    found = [Damage(kind, shard, how) for (kind, shard), how in itertools.product(of_files, HOWS)]
    found += [Damage(kind, 0, "flipped", at) for kind, at in itertools.product([*OF_SHARD, *OF_DATASET], PLACES)]
    found += [Damage(kind, 1, "truncated", at) for kind, at in itertools.product(OF_SHARD, PLACES[:-1])]
    return found + [Damage(kind, shard, "swapped") for kind in OF_SHARD for shard in range(SHARDS - 1)]


def main() -> int:
    """Damages and repairs; returns 1 if something is not healed."""
    with tempfile.TemporaryDirectory() as name, built_corpus(pathlib.Path(name)) as corpus:
        for i, damage in enumerate(_damages()):
            try:
                check_healing(corpus, pathlib.Path(name) / f"copy-{i}", [damage])
            except AssertionError as error:
                print(f"{damage}: {error}")
                return 1
            print(f"healed: {damage}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
