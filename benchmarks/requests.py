"""The request that every server is driven with: one step of the model LSTM 32 -> 128 -> 32."""

import numpy as np

from server.pb import grpc_service_pb2 as pb

MODEL = "bench"
FEATURES, HIDDEN = 32, 128


def request(sequence: int, *, start: bool = False) -> bytes:
    """Serialise one step of a sequence, as tritonclient writes it."""
    message = pb.ModelInferRequest(model_name=MODEL, id=str(sequence))
    message.parameters["sequence_id"].int64_param = sequence
    message.parameters["sequence_start"].bool_param = start
    message.parameters["sequence_end"].bool_param = False
    message.inputs.add(name="x", datatype="FP32", shape=[1, 1, FEATURES])
    values = np.random.default_rng(sequence).standard_normal(FEATURES).astype(np.float32)
    message.raw_input_contents.append(values.tobytes())
    return message.SerializeToString()
