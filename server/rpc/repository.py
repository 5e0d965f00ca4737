"""Reads the requests that load and unload models; what Recur does not do for them is refused by name."""

from server.errors import InvalidRequest
from server.pb import grpc_service_pb2 as pb

# tritonclient sends it with every call; no model here has dependents.
UNLOAD_DEPENDENTS = "unload_dependents"


def check_load(request: pb.RepositoryModelLoadRequest) -> None:
    """Raise InvalidRequest for a model that is not named, and for configurations and files of the client's own."""
    _check_names(request.repository_name, request.model_name)
    for name in sorted(request.parameters):
        raise InvalidRequest(
            f"parameter '{name}' cannot replace what was published: a model is loaded as its manifest says; publish a "
            "version that says otherwise"
        )


def check_unload(request: pb.RepositoryModelUnloadRequest) -> None:
    """Raise InvalidRequest for a model that is not named, and for unknown parameters."""
    _check_names(request.repository_name, request.model_name)
    for name in sorted(set(request.parameters).difference({UNLOAD_DEPENDENTS})):
        raise InvalidRequest(f"unknown parameter '{name}'; '{UNLOAD_DEPENDENTS}' is the only one")


def _check_names(repository: str, model: str) -> None:
    if repository:
        raise InvalidRequest(f"repository_name is '{repository}': this server has one repository; leave the name out")
    if not model:
        raise InvalidRequest("model_name is empty: the name of a model is expected")
