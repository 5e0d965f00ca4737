import json
import subprocess
import sys

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from server.pb import grpc_service_pb2 as pb
from tests.conftest import ROOT

# tritonclient registers the same names: in one process the two would clash.
DUMP = """
import json
from tritonclient.grpc import model_config_pb2, service_pb2
print(json.dumps([module.DESCRIPTOR.serialized_pb.hex() for module in (model_config_pb2, service_pb2)]))
"""


def described(files) -> tuple[dict, dict, dict]:
    """Fields, enum values and methods by full name, from descriptors."""
    fields, values, methods = {}, {}, {}

    def enum(prefix, found):
        values.update({f"{prefix}{found.name}.{value.name}": value.number for value in found.value})

    def message(prefix, found):
        name = f"{prefix}{found.name}"
        for field in found.field:
            fields[f"{name}.{field.name}"] = (field.number, field.type, field.label, field.type_name)
        for nested in found.nested_type:
            message(f"{name}.", nested)
        for nested in found.enum_type:
            enum(f"{name}.", nested)

    for file in files:
        for found in file.message_type:
            message("", found)
        for found in file.enum_type:
            enum("", found)
        for service in file.service:
            for method in service.method:
                streams = (method.client_streaming, method.server_streaming)
                methods[f"{service.name}.{method.name}"] = (method.input_type, method.output_type, *streams)
    return fields, values, methods


@pytest.fixture(scope="module")
def ours():
    return described([FileDescriptorProto.FromString(pb.DESCRIPTOR.serialized_pb)])


@pytest.fixture(scope="module")
def theirs():
    done = subprocess.run([sys.executable, "-c", DUMP], cwd=ROOT, capture_output=True, text=True, check=True)
    return described([FileDescriptorProto.FromString(bytes.fromhex(data)) for data in json.loads(done.stdout)])


@pytest.mark.parametrize("part", [0, 1, 2], ids=["fields", "enum values", "methods"])
def test_what_we_have_is_as_the_clients_have_it(part, ours, theirs):
    assert ours[part]
    other = {name: theirs[part].get(name) for name, found in ours[part].items() if theirs[part].get(name) != found}
    assert other == {}


def test_we_have_every_call_that_clients_make(ours, theirs):
    assert ours[2].keys() == theirs[2].keys()


@pytest.mark.parametrize(
    "message",
    ["ModelInferRequest", "ModelInferResponse", "ModelStreamInferResponse", "InferParameter", "InferTensorContents"],
)
def test_messages_of_inference_lack_no_field(message, ours, theirs):
    def of(fields):
        return {name for name in fields if name.startswith(f"{message}.")}

    assert of(ours[0]) == of(theirs[0])
