"""Rows of ids are those of Keras' pad_sequences."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras_preprocessing.sequence import pad_sequences

from transforms.text.pad import cut, pad

SEQUENCES = st.lists(st.lists(st.integers(1, 99), max_size=6), min_size=1, max_size=5)
ENDS = st.sampled_from(["pre", "post"])


@pytest.fixture(autouse=True, scope="module")
def numpy_of_keras() -> object:
    """The name that NumPy 2 has dropped and this release of Keras asks for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(np, "unicode_", np.str_, raising=False)
        yield


@settings(deadline=None)
@given(SEQUENCES, st.integers(1, 7), ENDS, ENDS)
def test_rows_are_those_of_keras(sequences: list[list[int]], length: int, padding: str, truncating: str) -> None:
    padded = pad([cut(ids, length, truncating) for ids in sequences], length, padding)
    wanted = pad_sequences(sequences, length, padding=padding, truncating=truncating)
    assert padded.ids.dtype == wanted.dtype == np.int32
    assert padded.ids.tolist() == wanted.tolist()
    assert padded.mask.tolist() == (wanted != 0).tolist()


def test_no_caption_gives_no_row() -> None:
    assert pad([], 3, "pre").ids.shape == pad([], 3, "post").mask.shape == (0, 3)
