"""Opens a graph in ONNX Runtime and holds its tensors against the manifest's."""

import os

import onnxruntime as ort

from models.errors import ModelDamaged
from models.manifest import Manifest
from models.tensors import ONNX_RUNTIME, DType

WARNING = 2


def open_session(graph: bytes, threads: int = 1) -> ort.InferenceSession:
    """Load an ONNX file's bytes; raises ModelDamaged."""
    ort.disable_telemetry_events()
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = WARNING
    # Spinning threads would take the cores from the transport between two batches.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # A graph without a folder of its own may have its data in any file below the working folder; here there are none.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
    try:
        return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own classes derive from Exception alone
        raise ModelDamaged("the graph is not one that ONNX Runtime can load") from error


def check_tensors(manifest: Manifest, session: ort.InferenceSession) -> None:
    """Raise ModelDamaged unless the graph has the manifest's tensors, and no other input."""
    into = {tensor.name: tensor.dtype for tensor in manifest.inputs}
    into |= {state.input: state.dtype for state in manifest.states}
    if manifest.lengths is not None:
        into[manifest.lengths] = "INT64"
    out = {tensor.name: tensor.dtype for tensor in manifest.outputs}
    out |= {state.output: state.dtype for state in manifest.states}
    _compare("input", into, session.get_inputs())
    _compare("output", out, session.get_outputs())


def _compare(side: str, expected: dict[str, DType], found: list[ort.NodeArg]) -> None:
    types = {node.name: node.type for node in found}
    for name, dtype in expected.items():
        if name not in types:
            raise ModelDamaged(f"the graph has no {side} '{name}', which the manifest names")
        if types[name] != ONNX_RUNTIME[dtype]:
            raise ModelDamaged(f"the graph's {side} '{name}' is {types[name]}, but the manifest says {dtype}")
    if side == "input" and (extra := sorted(types.keys() - expected.keys())):
        raise ModelDamaged(f"the graph has an input '{extra[0]}' that the manifest does not name")


def scalars(manifest: Manifest, session: ort.InferenceSession) -> tuple[str, ...]:
    """Name the inputs that are one number for a whole run in the graph, and one for each row to callers."""
    ranks = {node.name: len(node.shape) for node in session.get_inputs()}
    return tuple(tensor.name for tensor in manifest.inputs if not tensor.shape and ranks[tensor.name] == 0)
