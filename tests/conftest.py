"""Fixtures that all tests share."""

import pathlib

import pytest

_SHARED_DATA = pathlib.Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> pathlib.Path:
    """The folder of real inputs; skips where it is absent."""
    if not _SHARED_DATA.is_dir():
        pytest.skip(f"real inputs are not here: {_SHARED_DATA}")
    return _SHARED_DATA
