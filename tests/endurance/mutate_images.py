"""Damages image files for a while and prints what the codec gets wrong of them; exits with 1 if anything.

python tests/endurance/mutate_images.py --images ../shared/data/images --seconds 600 --seed 1
"""

import argparse
import collections
import hashlib
import multiprocessing
import multiprocessing.connection
import pathlib
import random
import sys
import time
import typing

from tests.mutated_images import SLOWEST_S, Verdict, judge, mutations
from tests.odd_images import odd_images
from transforms.images.image_codec import ImageOptions

EXACT = ImageOptions(format="png", resize="none")
WRITTEN = ImageOptions()
SCALED = ImageOptions(format="png", image_size=64, filter="lanczos")


class Judge:
    """A process that may crash, hang or grow: it is started anew then."""

    def __init__(self) -> None:
        self._start()

    def verdict(self, data: bytes, options: ImageOptions) -> Verdict:
        """What :func:`judge` says, or how its process ended."""
        self._pipe.send((data, options))
        stage, ends_s = "encode", time.monotonic() + 4 * SLOWEST_S
        try:
            while self._pipe.poll(max(0.0, ends_s - time.monotonic())):
                answer = self._pipe.recv()
                if isinstance(answer, Verdict):
                    return answer
                stage = answer
            wrong = "hang"
        except EOFError:
            self._process.join()
            wrong = f"crash {self._process.exitcode}"
        self.stop()
        self._start()
        return Verdict(wrong, wrong if stage == "encode" else "", f"in {stage}")

    def stop(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.join()

    def _start(self) -> None:
        self._pipe, other = multiprocessing.Pipe()
        self._process = multiprocessing.Process(target=_serve, args=(other,), daemon=True)
        self._process.start()
        other.close()


def _serve(pipe: multiprocessing.connection.Connection) -> None:
    while True:
        data, options = pipe.recv()
        pipe.send(judge(data, options, pipe.send))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=pathlib.Path, help="a folder of files to damage, besides those made here")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=pathlib.Path, help="a folder for the files that are got wrong")
    parser.add_argument("--only", default="", help="files with this in their name")
    args = parser.parse_args()
    judge_, outcomes, wrong = Judge(), collections.Counter[str](), collections.Counter[str]()
    ends_s = time.monotonic() + args.seconds
    for name, kind, data in _damaged(_files(args.images, args.only), args.seed):
        if time.monotonic() > ends_s:
            break
        for options in (EXACT, WRITTEN, SCALED) if kind == "whole" else (SCALED if len(data) % 3 else EXACT,):
            verdict = judge_.verdict(data, options)
            outcomes[verdict.outcome] += 1
            if verdict.wrong:
                wrong[verdict.wrong] += 1
                what = f"{name}, {kind} ({len(data)} bytes, {options.format})"
                print(f"{verdict.wrong}: {what}: {verdict.outcome} {verdict.detail}", flush=True)
                if args.keep:
                    args.keep.mkdir(parents=True, exist_ok=True)
                    digest = hashlib.md5(data).hexdigest()[:8]
                    (args.keep / f"{verdict.wrong.replace(' ', '_')}-{digest}").write_bytes(data)
    judge_.stop()
    print(f"outcomes: {dict(outcomes)}\nwrong: {dict(wrong)}")
    return 1 if wrong else 0


def _files(images: pathlib.Path | None, only: str) -> dict[str, bytes]:
    files = odd_images()
    for path in sorted(images.rglob("*")) if images else ():
        if path.is_file():
            files[str(path.relative_to(images))] = path.read_bytes()
    return {name: data for name, data in files.items() if only in name}


def _damaged(files: dict[str, bytes], seed: int) -> typing.Iterator[tuple[str, str, bytes]]:
    """All whole files first, then one mutation of each in turn, small files more often."""
    damages = {name: mutations(data, seed) for name, data in files.items()}
    for name, damage in damages.items():
        yield (name, *next(damage))
    names = [name for name, data in files.items() if len(data) < 2_000_000]
    dice = random.Random(seed)
    while True:
        dice.shuffle(names)
        for name in names:
            step = next(damages[name], None)
            if step:
                yield (name, *step)


if __name__ == "__main__":
    sys.exit(main())
