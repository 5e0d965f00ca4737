import os
import signal
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from models import probe as probing
from models.errors import DeviceMissing, GoldenMismatch, ModelDamaged, ModelError
from models.loading import load_checked
from models.probe import probe
from models.repository import Repository
from tests import zoo

SUM = zoo.running_sum(2)
# ONNX Runtime reads a file for a tensor of more than a few numbers only.
WIDE = zoo.running_sum(64)


def instead(monkeypatch, program: str) -> None:
    """Let the child run another program."""
    monkeypatch.setattr(probing, "_command", lambda *_: [sys.executable, "-c", program])


def test_a_good_model_passes(repository):
    probe(repository, zoo.publish(repository, "lstm", zoo.lstm()))


def test_the_golden_answers_are_replayed_on_the_device_that_is_named(repository):
    place = zoo.publish(repository, "sum", SUM)
    with pytest.raises(DeviceMissing) as here:
        load_checked(repository, place, device="cuda")
    with pytest.raises(DeviceMissing) as there:
        probe(repository, place, device="cuda")
    assert str(there.value) == str(here.value)


def test_a_repository_named_from_the_working_folder_is_found(repository, monkeypatch):
    place = zoo.publish(repository, "sum", SUM)
    monkeypatch.chdir(repository.root.parent)
    probe(Repository(repository.root.relative_to(repository.root.parent)), place)


def test_a_graph_that_ends_onnx_runtimes_process_is_refused_and_this_one_lives(repository):
    place = zoo.publish(repository, "half", zoo.lstm())
    zoo.replace_file(place, zoo.GRAPH, zoo.half(zoo.lstm().graph))
    with pytest.raises(ModelDamaged, match=r"^the graph ends ONNX Runtime's process; .*'Segmentation fault'"):
        probe(repository, place)


def test_a_model_that_is_not_done_in_time_is_refused_and_its_process_killed(repository, monkeypatch, tmp_path):
    told = tmp_path / "pid"
    hang = f"import os, pathlib, time; pathlib.Path({str(told)!r}).write_text(str(os.getpid())); time.sleep(600)"
    instead(monkeypatch, hang)
    with pytest.raises(ModelDamaged, match=r"within 2 s"):
        probe(repository, zoo.publish(repository, "sum", SUM), timeout_seconds=2)
    with pytest.raises(ProcessLookupError):
        os.kill(int(told.read_text()), 0)


def test_a_child_that_dies_by_any_signal_is_a_damaged_model(repository, monkeypatch):
    instead(monkeypatch, f"import os; os.kill(os.getpid(), {int(signal.SIGKILL)})")
    with pytest.raises(ModelDamaged, match="'Killed'"):
        probe(repository, zoo.publish(repository, "sum", SUM))


def test_a_child_that_fails_without_a_reason_says_how_to_see_it(repository, monkeypatch, capfd):
    instead(monkeypatch, "1 / 0")
    with pytest.raises(ModelDamaged, match=r"ended with status 1; `python -m models check sum --version 1`"):
        probe(repository, zoo.publish(repository, "sum", SUM))
    assert capfd.readouterr() == ("", "")


def test_a_model_that_does_not_give_its_golden_answers_is_refused_with_the_same_sentence(repository):
    place = zoo.publish(repository, "sum", SUM)
    zoo.replace_file(place, zoo.GRAPH, zoo.overflow(2).graph)
    with pytest.raises(GoldenMismatch) as here:
        load_checked(repository, place)
    with pytest.raises(GoldenMismatch) as there:
        probe(repository, place)
    assert str(there.value) == str(here.value)


def test_a_damaged_file_is_refused_without_a_line_on_stderr(repository, capfd):
    place = zoo.publish(repository, "sum", SUM)
    zoo.replace_file(place, zoo.GRAPH, SUM.graph[:100])
    with pytest.raises(ModelDamaged, match=r"^the graph is not one that ONNX Runtime can load$"):
        probe(repository, place)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", ModelError.__subclasses__())
def test_what_the_child_refuses_is_raised_here_as_the_same_error(repository, monkeypatch, capfd, kind):
    def refuse(*_, **__):
        raise kind("output 'ä'\ndiffers")

    place = zoo.publish(repository, "sum", SUM)
    with monkeypatch.context() as patch:
        patch.setattr(probing, "load_checked", refuse)
        patch.setattr(probing, "_leave_no_core_file", lambda: None)
        status = probing.main([str(repository.root), place.name, str(place.version), "cpu"])
    said = capfd.readouterr().out.encode()
    assert said.count(b"\n") == 1
    instead(monkeypatch, f"import sys; sys.stdout.buffer.write({said!r}); sys.exit({status})")
    with pytest.raises(kind, match=r"^output 'ä'\ndiffers$"):
        probe(repository, place)


def outside(location: str) -> bytes:
    """A running sum whose `table` of floors lies in another file."""
    model = onnx.load_from_string(WIDE.graph)
    table = TensorProto(name="table", data_type=TensorProto.FLOAT, dims=[64])
    table.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, "offset": "0", "length": "256"}.items():
        table.external_data.add(key=key, value=value)
    [readout] = [node for node in model.graph.node if node.output == ["answers"]]
    readout.CopyFrom(helper.make_node("Max", ["after", "table"], ["answers"]))
    model.graph.initializer.append(table)
    return model.SerializeToString()


LOCATIONS = {
    "upwards": "../../secret.bin",
    "absolute": "{root}/secret.bin",
    "a symlink": "symlink.bin",
    "a hard link": "hardlink.bin",
    "beside it": "copy.bin",
}


@pytest.mark.parametrize("location", LOCATIONS.values(), ids=LOCATIONS)
def test_a_graph_whose_data_lie_in_another_file_is_refused(repository, monkeypatch, location):
    place = zoo.publish(repository, "sum", WIDE)
    secret = repository.root / "secret.bin"
    # Read, these would change no answer, so that only a file that is not read refuses the model.
    np.full(64, -1e30, np.float32).tofile(secret)
    (place.folder / "symlink.bin").symlink_to(secret)
    (place.folder / "hardlink.bin").hardlink_to(secret)
    (place.folder / "copy.bin").write_bytes(secret.read_bytes())
    zoo.replace_file(place, zoo.GRAPH, outside(location.format(root=repository.root)))
    monkeypatch.chdir(place.folder)
    with pytest.raises(ModelDamaged, match=r"^the graph is not one that ONNX Runtime can load$"):
        load_checked(repository, place)
