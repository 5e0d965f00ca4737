"""Opens ONNX Runtime's sessions, and runs them on tensors that stay where they are."""

import os
from collections.abc import Mapping

import numpy as np
import onnxruntime as ort

from models.device import CPU, check_provider, load_libraries, place_of, providers
from models.errors import ModelDamaged
from models.tensors import Array

WARNING, FATAL = 2, 4


def open_session(data: bytes, threads: int = 1, device: str = CPU) -> ort.InferenceSession:
    """Load an ONNX file's bytes; raises ModelDamaged or DeviceMissing."""
    wanted = providers(device)
    load_libraries(device)
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
        # ONNX Runtime would answer a card's failure by going on with the CPU, for good and with a print.
        session = ort.InferenceSession(data, options, providers=wanted, enable_fallback=False)
    except Exception as error:  # ONNX Runtime's own classes derive from Exception alone
        raise ModelDamaged("the graph is not one that ONNX Runtime can load") from error
    check_provider(session, device)
    return session


def quiet() -> ort.RunOptions:
    """Give options for runs whose failures raise; ONNX Runtime's own line on stderr would let a client fill the log."""
    options = ort.RunOptions()
    options.log_severity_level = FATAL
    return options


def run_bound(
    session: ort.InferenceSession,
    feeds: Mapping[str, Array | ort.OrtValue],
    places: Mapping[str, str | ort.OrtValue],
    options: ort.RunOptions,
) -> list[ort.OrtValue]:
    """Run a session and give the outputs that `places` names.

    Args:
        session: what to run.
        feeds: arrays of the host, or values on the session's device.
        places: by output, the device that shall have it, or the value whose memory is written to: where an input is
            the same value, what is not written to is neither read nor copied.
        options: of the run.
    """
    binding = session.io_binding()
    for name, value in feeds.items():
        if isinstance(value, np.ndarray):
            binding.bind_cpu_input(name, np.asarray(value, order="C"))
        else:
            binding.bind_ortvalue_input(name, value)
    for name, place in places.items():
        if isinstance(place, str):
            binding.bind_output(name, *place_of(place))
        else:
            binding.bind_ortvalue_output(name, place)
    session.run_with_iobinding(binding, options)
    outputs: list[ort.OrtValue] = binding.get_outputs()
    return outputs
