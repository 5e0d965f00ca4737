"""A transducer served: labels come as they are said, the same whether a client sends step by step or all at once."""

from collections.abc import Iterator

import grpc
import numpy as np
import pytest
import torch

from demo.serving import serving
from server.pb import grpc_service_pb2 as pb
from server.pb import grpc_service_pb2_grpc as stubs
from tests.e2e.trained import Trained, publish_trained
from tests.wire import output
from training.architectures.transducer import labels_of
from training.tasks.transcribe import transcribed

pytestmark = pytest.mark.e2e

MODEL = "spoken_strings_transducer"
SMALL = (
    "model.hidden_size=48",
    "training.batch=16",
    "training.learning_rate=1e-2",
    "data.options.shortest=1",
    "data.options.longest=2",
    "data.options.count=400",
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, data_folder) -> Trained:
    data_folder("fsdd")
    return publish_trained(MODEL, tmp_path_factory.mktemp("transducer"), updates=240, changed=SMALL)


@pytest.fixture(scope="module")
def calls(trained) -> Iterator[stubs.GRPCInferenceServiceStub]:
    with serving(trained.repository.root) as server, grpc.insecure_channel(server.listen) as channel:
        yield stubs.GRPCInferenceServiceStub(channel)


def request(name: str, frames: np.ndarray, *, start: bool) -> pb.ModelInferRequest:
    message = pb.ModelInferRequest(model_name=MODEL)
    message.parameters["sequence_id"].string_param = name
    message.parameters["sequence_start"].bool_param = start
    message.inputs.add(name="x", datatype="FP32", shape=[1, *frames.shape])
    message.raw_input_contents.append(frames.tobytes())
    return message


def heard(answers: np.ndarray) -> list[tuple[int, int]]:
    [found] = labels_of(torch.from_numpy(answers[None]), torch.tensor([len(answers)]), turns=1)
    return found


def test_labels_come_at_the_steps_at_which_they_do_in_training_and_as_soon(trained, calls):
    strings = trained.data.parts.test[:8]
    wanted = [does for does, _ in transcribed(trained.model, strings)]
    assert sum(map(len, wanted)) > 4, "it has learnt to put something out"
    for number, (one, does) in enumerate(zip(strings, wanted, strict=True)):
        steps = (request(f"s{number}", one.inputs[t : t + 1], start=t == 0) for t in range(len(one.inputs)))
        answers = [output(told.infer_response)[0] for told in calls.ModelStreamInfer(steps)]
        assert heard(np.concatenate(answers)) == does
        whole = output(calls.ModelInfer(request(f"w{number}", one.inputs, start=True)))[0]
        assert whole.tobytes() == np.concatenate(answers).tobytes()
