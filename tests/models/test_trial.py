import os

import onnxruntime as ort
import pytest

from models import trial
from models.errors import DeviceMissing, ModelDamaged
from models.trial import check_device


@pytest.fixture
def card(monkeypatch):
    """Let ONNX Runtime have its CUDA provider, and trying the card do what a test says."""

    def trying(what):
        monkeypatch.setattr(ort, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
        monkeypatch.setattr(trial, "_try", what)

    return trying


def failing(error, said=""):
    def fail(_):
        os.write(2, said.encode())
        raise error

    return fail


def test_the_cpu_is_always_there():
    check_device("cpu")


def test_a_graph_runs_and_rows_come_back_on_a_device_that_is_there():
    trial._try("cpu")


def test_a_card_is_missing_where_onnx_runtime_has_no_provider_for_it(monkeypatch):
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(DeviceMissing, match="needs ONNX Runtime with its CUDA provider"):
        check_device("cuda")


def test_a_card_that_works_is_accepted_and_stderr_is_as_before(card, capfd):
    card(lambda _: os.write(2, b"a warning\n"))
    check_device("cuda:1")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_what_onnx_runtime_tells_its_log_alone_is_the_reason(card, capfd):
    said = "[E:onnxruntime] Failed to load library x.so with error: libcuda.so.1: cannot open\nmore\n"
    card(failing(DeviceMissing("it took the CPU"), said))
    with pytest.raises(
        DeviceMissing, match=r"^device 'cuda' cannot be used: libcuda\.so\.1: cannot open; install.*'cpu'$"
    ):
        check_device("cuda")
    assert capfd.readouterr().err == ""


def test_the_cause_of_a_failure_is_the_reason_in_one_line(card):
    error = ModelDamaged("the graph is not one that ONNX Runtime can load")
    error.__cause__ = RuntimeError("invalid device ordinal\nand where\n")
    card(failing(error))
    with pytest.raises(DeviceMissing, match=r"^device 'cuda:9' cannot be used: invalid device ordinal; [^\n]*$"):
        check_device("cuda:9")
    card(failing(MemoryError()))
    with pytest.raises(DeviceMissing, match=r"cannot be used: MemoryError; "):
        check_device("cuda")
