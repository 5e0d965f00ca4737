import pytest

from server.catalogue import Catalogue, ServedModel
from server.errors import InvalidRequest, LoadFailed
from server.pb import grpc_service_pb2 as pb
from server.rpc.repository import check_load, check_unload
from server.types import ModelKey
from tests.server.rpc.fakes import FakeControl, service


def load(**parameters: str | bytes) -> pb.RepositoryModelLoadRequest:
    request = pb.RepositoryModelLoadRequest(model_name="charlm")
    for name, value in parameters.items():
        if isinstance(value, str):
            request.parameters[name].string_param = value
        else:
            request.parameters[name].bytes_param = value
    return request


async def test_models_are_loaded_and_unloaded_as_tritonclient_asks():
    control = FakeControl()
    served = service(control=control)
    assert await served.RepositoryModelLoad(load()) == pb.RepositoryModelLoadResponse()
    unload = pb.RepositoryModelUnloadRequest(model_name="charlm")
    unload.parameters["unload_dependents"].bool_param = True
    assert await served.RepositoryModelUnload(unload) == pb.RepositoryModelUnloadResponse()
    assert control.asked == [("load", "charlm"), ("unload", "charlm")]


@pytest.mark.parametrize("request_", [load(config="{}"), load(**{"file:1/model.onnx": b"graph"})])
async def test_a_configuration_and_files_of_the_clients_own_are_refused_by_name(request_):
    control = FakeControl()
    [name] = request_.parameters
    with pytest.raises(InvalidRequest, match=f"parameter '{name}' cannot replace what was published"):
        await service(control=control).RepositoryModelLoad(request_)
    assert control.asked == []


def test_what_is_no_model_or_no_parameter_is_refused():
    with pytest.raises(InvalidRequest, match="model_name is empty"):
        check_load(pb.RepositoryModelLoadRequest())
    with pytest.raises(InvalidRequest, match="repository_name is 'other'"):
        check_load(pb.RepositoryModelLoadRequest(repository_name="other", model_name="charlm"))
    unload = pb.RepositoryModelUnloadRequest(model_name="charlm")
    unload.parameters["now"].bool_param = True
    with pytest.raises(InvalidRequest, match="unknown parameter 'now'"):
        check_unload(unload)


async def test_why_a_load_failed_is_the_calls_error():
    control = FakeControl()
    control.refusal = LoadFailed("version 2: its digest differs")
    with pytest.raises(LoadFailed, match="its digest differs"):
        await service(control=control).RepositoryModelLoad(load())


async def test_the_index_tells_every_state_and_its_reason():
    catalogue = Catalogue()
    for version in (1, 2):
        catalogue.add(ServedModel(ModelKey("charlm", version), None, None, None))
    catalogue.retire(ModelKey("charlm", 1), "version 2 serves in its place")
    catalogue.refuse(ModelKey("charlm", 3), "its digest differs")
    catalogue.unload(ModelKey("other", 1), "nobody asked for it")
    catalogue.loading(ModelKey("other", 2))
    served = service(catalogue=catalogue)
    index = await served.RepositoryIndex(pb.RepositoryIndexRequest())
    assert [(entry.name, entry.version, entry.state, entry.reason) for entry in index.models] == [
        ("charlm", "1", "UNLOADING", "version 2 serves in its place"),
        ("charlm", "2", "READY", ""),
        ("charlm", "3", "UNAVAILABLE", "its digest differs"),
        ("other", "1", "UNAVAILABLE", "nobody asked for it"),
        ("other", "2", "LOADING", "it is being loaded"),
    ]
    ready = await served.RepositoryIndex(pb.RepositoryIndexRequest(ready=True))
    assert [(entry.name, entry.version) for entry in ready.models] == [("charlm", "2")]


@pytest.mark.parametrize(("version", "ready"), [("", True), ("1", False), ("2", True), ("3", False), ("4", False)])
async def test_a_model_is_ready_while_a_version_takes_new_sequences(version, ready):
    catalogue = Catalogue()
    for number in (1, 2):
        catalogue.add(ServedModel(ModelKey("charlm", number), None, None, None))
    catalogue.retire(ModelKey("charlm", 1), "version 2 serves in its place")
    catalogue.refuse(ModelKey("charlm", 3), "its digest differs")
    served = service(catalogue=catalogue)
    answer = await served.ModelReady(pb.ModelReadyRequest(name="charlm", version=version))
    assert answer.ready is ready
    catalogue.retire(ModelKey("charlm", 2), "its unloading was asked for")
    assert not (await served.ModelReady(pb.ModelReadyRequest(name="charlm", version=version))).ready
