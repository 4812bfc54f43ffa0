"""Vectors of texts by gensim itself, in a Python whose hashes do not change."""

import json
import os
import subprocess
import sys
import typing

import pytest

needs_siphash13 = pytest.mark.skipif(
    sys.hash_info.algorithm != "siphash13", reason="Python before 3.11 hashes texts otherwise"
)

_DIRECT = """
import json, sys
from gensim.models.doc2vec import Doc2Vec
texts, found = json.load(sys.stdin), []
for path in sys.argv[1:]:
    model = Doc2Vec.load(path)
    for tokens in texts:
        model.random.seed(model.seed)
        found.append(model.infer_vector(tokens).tolist())
json.dump(found, sys.stdout)
"""


def infer_directly(models: list[str], texts: typing.Sequence[typing.Sequence[str]]) -> list[list[float]]:
    """Returns the vectors of texts, none of them empty, by the first model, then those by the next one."""
    run = subprocess.run(
        [sys.executable, "-c", _DIRECT, *models],
        input=json.dumps(texts),
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(run.stdout)
