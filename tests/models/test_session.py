"""What a card would be asked, seen through a session that only listens: no machine of the tests has one."""

import numpy as np
import onnxruntime as ort
import pytest

from models import graph as graphs
from models.device_array import DeviceArray
from models.errors import ModelDamaged
from models.graph import Graph
from models.session import open_session, quiet, run_bound
from tests import zoo

LSTM = zoo.lstm()
AXES = {name: 0 for state in LSTM.states for name in (state.input, state.output)}


class Listening:
    """A session and its binding in one."""

    def __init__(self) -> None:
        self.heard: list[tuple] = []

    def io_binding(self):
        return self

    def get_outputs(self):
        return ["an output"]

    def __getattr__(self, name):
        return lambda *arguments: self.heard.append((name, *arguments))


def test_what_is_on_the_device_stays_there_and_what_is_not_goes_where_it_is_asked_for():
    session, options = Listening(), quiet()
    there = ort.OrtValue.ortvalue_from_numpy(np.zeros((2, 1), np.float32))
    scalar = np.array(3)
    fed = {"state": there, "scale": scalar}
    assert run_bound(session, fed, {"y": "cpu", "next": "cuda:1", "same": there}, options) == ["an output"]
    assert session.heard == [
        ("bind_ortvalue_input", "state", there),
        ("bind_cpu_input", "scale", scalar),
        ("bind_output", "y", "cpu", 0),
        ("bind_output", "next", "cuda", 1),
        ("bind_ortvalue_output", "same", there),
        ("run_with_iobinding", session, options),
    ]


def test_of_a_graph_on_a_card_the_next_states_stay_there_and_the_outputs_come_to_the_host(monkeypatch):
    asked = {}

    def bound(_, feeds, places, options):
        asked.update(feeds=feeds, places=places)
        return [ort.OrtValue.ortvalue_from_numpy(np.zeros((2, 1), np.float32)) for _ in places]

    monkeypatch.setattr(graphs, "run_bound", bound)
    graph = Graph(LSTM.graph, batch_axes=AXES)
    graph._device = "cuda:1"
    states = {state.input: DeviceArray.of(np.zeros((2, 128), np.float32), "cpu") for state in LSTM.states}
    feeds = {"x": np.zeros((2, 1, 32), np.float32), "lengths": np.array([1, 1]), **states}
    answers = graph.run(["y", *(state.output for state in LSTM.states)], feeds, 2)
    assert asked["places"] == {"y": "cpu", **{state.output: "cuda:1" for state in LSTM.states}}
    assert {type(asked["feeds"][name]) for name in states} == {ort.OrtValue}
    assert isinstance(answers.pop("y"), np.ndarray)
    assert {type(array) for array in answers.values()} == {DeviceArray}


def test_a_session_never_goes_on_with_the_cpu_behind_the_callers_back():
    assert not open_session(LSTM.graph)._enable_fallback


def test_what_is_no_graph_is_damaged():
    with pytest.raises(ModelDamaged, match=r"^the graph is not one that ONNX Runtime can load$"):
        open_session(b"no graph")
