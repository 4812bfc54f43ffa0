"""Which of several lines of one photo stands, whatever the order in which they arrive."""

import random

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from schemas.photo_ids import hash64
from schemas.yfcc import Pack
from transforms.join.duplicate_lines import unique_lines


def dataset_line(photo_id: int, content: str, number: str = "1", hash_: str = "abc") -> bytes:
    return "\t".join([number, str(photo_id), hash_, content]).encode()


def outcome(lines: list[tuple[int, bytes]], pack: Pack) -> tuple[list[bytes], list[bytes], int]:
    column = pa.array([line for _, line in lines], pa.binary())
    unique = unique_lines(np.array([i for i, _ in lines], np.int64), column, pack)
    kept = [column[int(p)].as_py() for p in unique.kept]
    return kept, sorted(column[int(p)].as_py() for p in unique.refused), unique.collapsed


def test_lines_equal_but_for_the_line_number_collapse_to_the_least_number() -> None:
    lines = [(7, dataset_line(7, "x", n)) for n in ("12", "9", "")]
    assert outcome(lines, Pack.DATASET) == ([dataset_line(7, "x", "")], [], 2)


def test_the_least_content_wins_and_each_other_content_fails_once() -> None:
    lines = [(7, dataset_line(7, c)) for c in "cabca"]
    kept, refused, collapsed = outcome(lines, Pack.DATASET)
    assert kept == [dataset_line(7, "a")]
    assert refused == [dataset_line(7, "b"), dataset_line(7, "c")]
    assert collapsed == 2


def test_a_line_without_hash_is_equal_to_one_that_has_it() -> None:
    lines = [(7, dataset_line(7, "x", hash_="")), (7, dataset_line(7, "x"))]
    assert outcome(lines, Pack.DATASET) == ([dataset_line(7, "x")], [], 1)


def test_lines_of_other_hashes_are_not_equal() -> None:
    lines = [(7, dataset_line(7, "x", hash_="b")), (7, dataset_line(7, "x", hash_="a"))]
    assert outcome(lines, Pack.DATASET) == ([dataset_line(7, "x", hash_="a")], [dataset_line(7, "x", hash_="b")], 0)


def test_an_empty_payload_never_wins() -> None:
    assert outcome([(7, b""), (7, b"z"), (7, b"z")], Pack.AUTOTAGS) == ([b"z"], [b""], 1)


@given(
    st.lists(st.tuples(st.integers(1, 4), st.sampled_from("abc"), st.sampled_from(["", "1", "2"])), max_size=12),
    st.randoms(use_true_random=False),
)
def test_the_order_of_arrival_does_not_matter(drawn: list[tuple[int, str, str]], rnd: random.Random) -> None:
    lines = [(i, dataset_line(i, content, number)) for i, content, number in drawn]
    kept, refused, collapsed = outcome(lines, Pack.DATASET)
    assert outcome(rnd.sample(lines, len(lines)), Pack.DATASET) == (kept, refused, collapsed)
    assert len(kept) + len(refused) + collapsed == len(lines)
    hashes = hash64(np.array([int(line.split(b"\t")[1]) for line in kept], np.int64))
    assert (hashes[1:] > hashes[:-1]).all()
