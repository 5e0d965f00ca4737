import onnxruntime as ort
import pytest

from models.device import check_provider, place_of, providers
from models.errors import DeviceMissing
from models.runner import Runner
from tests import zoo

SUM = zoo.running_sum()


def test_the_cpu_is_the_default():
    assert providers("cpu") == [("CPUExecutionProvider", {})]
    assert Runner(SUM.manifest(), SUM.graph, device="cpu")._main._session.get_providers() == ["CPUExecutionProvider"]


@pytest.mark.parametrize(
    ("device", "place"),
    [("cpu", ("cpu", 0)), ("cuda", ("cuda", 0)), ("cuda:0", ("cuda", 0)), ("cuda:13", ("cuda", 13))],
)
def test_a_device_has_a_kind_and_a_number(device, place):
    assert place_of(device) == place


@pytest.mark.parametrize("device", ["", "gpu", "cpu:0", "cuda:", "cuda:x", "cuda:-1", "CUDA", "cuda:0 "])
def test_an_unknown_device_is_named(device):
    with pytest.raises(DeviceMissing, match=f"device '{device}' must be 'cpu', 'cuda' or 'cuda:N'"):
        providers(device)


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_a_card_without_its_provider_is_refused_in_one_sentence(monkeypatch, device):
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(
        DeviceMissing, match=rf"device '{device}' needs ONNX Runtime with its CUDA provider.*onnxruntime-gpu.*'cpu'$"
    ):
        Runner(SUM.manifest(), SUM.graph, device=device)


@pytest.mark.parametrize(("device", "number"), [("cuda", 0), ("cuda:3", 3)])
def test_a_card_is_chosen_by_its_number(monkeypatch, device, number):
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    (name, options), (last, _) = providers(device)
    assert (name, options["device_id"], last) == ("CUDAExecutionProvider", number, "CPUExecutionProvider")


def test_a_session_that_fell_back_to_the_cpu_is_refused():
    session = Runner(SUM.manifest(), SUM.graph)._main._session
    check_provider(session, "cpu")
    with pytest.raises(DeviceMissing, match="device 'cuda:0' cannot be used"):
        check_provider(session, "cuda:0")
