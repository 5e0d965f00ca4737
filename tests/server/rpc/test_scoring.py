from types import SimpleNamespace

import numpy as np
import pytest

from models.manifest import Decode, TensorSpec
from server.codec.parameters import Parameters
from server.codec.tensors import tensors_of
from server.errors import InvalidRequest
from server.rpc.scoring import Scoring
from server.signature import Signature
from tests.server.fakes import ADDER, manifest

X, Y = TensorSpec("x", "INT64", ("time",)), TensorSpec("y", "FP32", ("time", 4))
SYMBOLS = Decode("y", "x", "categorical")


def scoring(*, symbols=(1, 2), outputs=(Y,), decode=SYMBOLS, time=2):
    """Ask for scores of a model that answers four symbols."""
    described = manifest(inputs=(X,), outputs=(Y,), decode=decode)
    exchange = SimpleNamespace(
        model=SimpleNamespace(key=ADDER, manifest=described),
        request=SimpleNamespace(parameters=Parameters(score=True)),
        signature=Signature((X,), outputs),
    )
    return Scoring(exchange, tensors_of({"x": np.array([symbols])}, {}, 1, time, {}))


def test_what_can_be_scored_is_taken():
    scoring()


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"decode": None}, "gives no probabilities"),
        ({"outputs": (TensorSpec("answer", "FP32", (3,)),)}, "the graph of questions does not answer"),
        ({"time": 0}, "nothing to score"),
        ({"symbols": (1, 4)}, "an index of no symbol: they count to 3"),
        ({"symbols": (-1, 0)}, "an index of no symbol"),
    ],
)
def test_what_cannot_be_scored_is_refused_before_it_runs(asked, sentence):
    with pytest.raises(InvalidRequest, match=sentence):
        scoring(**asked)
