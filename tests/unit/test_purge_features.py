"""What a run of `photobeam features` that ended on the way has left of photos goes when they are taken down."""

import pathlib

import pytest

from schemas.feature_records import features_array, features_record, features_table
from schemas.product_records import FEATURES
from transforms.features.purge_features import purge_features
from transforms.stores.output import LocalOutput


@pytest.mark.parametrize("left", [[features_array(0)], [features_table(0), features_array(0)], [features_record(0)]])
def test_what_has_no_record_goes(tmp_path: pathlib.Path, left: list[str], caplog: pytest.LogCaptureFixture) -> None:
    output = LocalOutput(tmp_path / "out")
    for name in left:
        output.write(name, b"")
    purge_features(output, frozenset([1]))
    assert output.names(FEATURES) == []
    assert "features: shard 000000 goes, since a photo of it is taken down or may be" in caplog.text
