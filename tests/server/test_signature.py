from types import SimpleNamespace

import pytest

from models.errors import ModelUnsupported
from models.manifest import TensorSpec
from server.signature import signatures_of
from tests.server.fakes import manifest

CONTEXT = TensorSpec("context", "FP32", ("source", 4))
QUESTION = TensorSpec("question", "INT64", ("time",))
WORDS = TensorSpec("words", "INT64", ("count",))


def of(*, start=(), asked=(), answered=(), ragged=False, **changes):
    return signatures_of(
        SimpleNamespace(
            manifest=manifest(**changes),
            start_inputs=start,
            peek_inputs=asked,
            peek_outputs=answered,
            peek_ragged=ragged,
        )
    )


def test_a_model_of_one_graph_is_asked_as_it_steps():
    found = of()
    assert found["run"] == found["peek"] == found["run"]._replace(starting=())
    assert (found["run"].inputs, found["run"].outputs, found["run"].ragged) == (
        manifest().inputs,
        manifest().outputs,
        True,
    )
    assert not of(lengths=None)["run"].ragged


def test_what_begins_a_sequence_comes_with_its_start_and_never_with_a_question():
    found = of(start=[CONTEXT])
    assert [found[part].starting for part in ("run", "start", "peek")] == [[CONTEXT], [CONTEXT], ()]
    assert (found["start"].inputs, found["start"].outputs) == ((), ())


def test_a_question_has_tensors_of_its_own():
    answer = TensorSpec("answer", "FP32", ("time", 2))
    found = of(asked=[QUESTION, WORDS], answered=[answer], ragged=True)["peek"]
    assert (found.inputs, found.outputs, found.ragged, found.free) == (
        [QUESTION, WORDS],
        [answer],
        True,
        [("words", 1)],
    )


REFUSED = {
    "a start input with a step input's name": ({"start": [TensorSpec("x", "FP32", (4,))]}, "graphs.start takes 'x'"),
    "a start input with the protocol's name": ({"start": [TensorSpec("lengths", "INT64", ())]}, "takes 'lengths'"),
    "a question's input with the protocol's name": (
        {"asked": [TensorSpec("recur_step", "INT64", ())], "answered": [TensorSpec("a", "FP32", (1,))]},
        "graphs.peek takes 'recur_step'",
    ),
    "an answer of any size": ({"answered": [TensorSpec("a", "FP32", ("slots",))]}, "graphs.peek answers 'a'"),
    "an answer with time to a question without": ({"answered": [TensorSpec("a", "FP32", ("time",))]}, "answers 'a'"),
    "an answer with the protocol's name": ({"answered": [TensorSpec("recur_step", "FP32", (1,))]}, "'recur_step'"),
    "a question with time in the middle": (
        {"asked": [TensorSpec("q", "FP32", (4, "time"))], "answered": [TensorSpec("a", "FP32", (1,))]},
        "takes 'q' with time on another axis",
    ),
}


@pytest.mark.parametrize(("graphs", "sentence"), REFUSED.values(), ids=REFUSED.keys())
def test_what_the_protocol_cannot_carry_is_refused_by_name(graphs, sentence):
    with pytest.raises(ModelUnsupported, match=sentence):
        of(**graphs)
