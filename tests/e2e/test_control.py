"""Models as an operator loads, swaps and limits them."""

import grpc
import numpy as np
import pytest

from demo.serving import Serving, serving
from models.repository import Repository
from server.pb import grpc_service_pb2 as pb
from server.pb import grpc_service_pb2_grpc as stubs
from tests import zoo
from tests.e2e.conftest import talk
from tests.e2e.test_bad_requests import step
from tests.e2e.test_server_process import eventually, metric, run

pytestmark = pytest.mark.e2e


def states(calls: stubs.GRPCInferenceServiceStub) -> dict[str, str]:
    return {entry.version: entry.state for entry in calls.RepositoryIndex(pb.RepositoryIndexRequest()).models}


def test_models_are_loaded_and_unloaded_by_tritonclient(zoo_repository: Repository):
    with serving(zoo_repository.root, "--control", "explicit", "--load", "lstm") as server:
        loaded, unloaded, config, files, missing, damaged, index = talk("controlled", server)
    assert (loaded, unloaded) == (True, False)
    assert config[0] == files[0] == "StatusCode.INVALID_ARGUMENT"
    assert "'config' cannot replace what was published" in config[1]
    assert "cannot replace what was published" in files[1]
    assert missing[0] == "StatusCode.NOT_FOUND"
    assert damaged[0] == "StatusCode.FAILED_PRECONDITION"
    assert "LOAD_FAILED: model 'damaged' could not be loaded: version 1: model.onnx is not the file" in damaged[1]
    assert (index["lstm"], index["ledger"], index["damaged"]) == ("READY", "UNLOADING", "UNAVAILABLE")
    assert index["sum"] == "UNAVAILABLE"


def test_a_server_that_follows_its_repository_refuses_to_be_told(server: Serving):
    with grpc.insecure_channel(server.listen) as channel:
        calls = stubs.GRPCInferenceServiceStub(channel)
        with pytest.raises(grpc.RpcError) as failure:
            calls.RepositoryModelUnload(pb.RepositoryModelUnloadRequest(model_name="lstm"))
        assert failure.value.code() == grpc.StatusCode.FAILED_PRECONDITION
        assert "CONTROL_REFUSED" in failure.value.details()
        assert calls.ModelReady(pb.ModelReadyRequest(name="lstm")).ready


def test_a_replaced_version_goes_with_its_last_sequence(empty_repository: Repository):
    zoo.publish(empty_repository, "ledger", zoo.ledger())
    with (
        serving(empty_repository.root, "--poll-seconds", "0.1") as server,
        grpc.insecure_channel(server.listen) as channel,
    ):
        calls = stubs.GRPCInferenceServiceStub(channel)
        calls.ModelInfer(step("ledger", 1, np.array([[4]]), start=True))
        zoo.publish(empty_repository, "ledger", zoo.ledger())
        eventually(lambda: states(calls) == {"1": "UNLOADING", "2": "READY"})
        assert metric(server, 'recur_model_ready{model="ledger",version="1"}') == 0
        assert calls.ModelInfer(step("ledger", 2, np.array([[4]]), start=True)).model_version == "2"
        last = step("ledger", 1, np.array([[5]]))
        last.parameters["sequence_end"].bool_param = True
        assert calls.ModelInfer(last).model_version == "1"
        eventually(lambda: states(calls) == {"1": "UNAVAILABLE", "2": "READY"})
        assert calls.ModelInfer(step("ledger", 2, np.array([[5]]))).model_version == "2"


def test_check_prints_the_limits_of_each_model(zoo_repository: Repository, tmp_path):
    config = tmp_path / "recur.toml"
    config.write_text("max_queue = 7\n[models.lstm]\nmax_batch = 3\n[models.absent]\nmax_batch = 4\n")
    done = run("check", "--repository", str(zoo_repository.root), "--config", str(config))
    lines = done.stdout.splitlines()
    [lstm] = [line for line in lines if line.startswith("lstm: limits: ")]
    [ledger] = [line for line in lines if line.startswith("ledger: limits: ")]
    assert ("max_batch 3," in lstm, "max_queue 7," in lstm) == (True, True)
    assert ("max_batch 256," in ledger, "max_queue 7," in ledger) == (True, True)
    assert any(line.startswith("all models: limits: max_total_sequences 0,") for line in lines)
    assert "absent: the configuration file has a table for it, and it is not in the repository" in lines


def test_check_fails_for_a_model_to_load_that_is_not_there(zoo_repository: Repository):
    done = run("check", "--repository", str(zoo_repository.root), "--control", "explicit", "--load", "lstm,absent")
    assert done.returncode == 1
    assert "lstm 1: serves" in done.stdout
    assert "absent: refused: --load names it and it is not in the repository" in done.stdout
    assert "ledger 1: not loaded: nobody asked for it" in done.stdout
