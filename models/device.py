"""Where a graph runs: the CPU, or a graphics card through ONNX Runtime's CUDA provider."""

import contextlib
import io
import re
from typing import Any

import onnxruntime as ort

from models.errors import DeviceMissing

CPU, CUDA = "cpu", "cuda"
_DEVICE = re.compile(r"(cpu|cuda)|cuda:(\d{1,4})")
_CPU_PROVIDER, _CUDA_PROVIDER = "CPUExecutionProvider", "CUDAExecutionProvider"

Provider = tuple[str, dict[str, Any]]


def place_of(device: str) -> tuple[str, int]:
    """Give a device as ONNX Runtime takes it, `cuda` and its number; raises DeviceMissing for what is no device."""
    found = _DEVICE.fullmatch(device)
    if found is None:
        raise DeviceMissing(f"device '{device}' must be 'cpu', 'cuda' or 'cuda:N'")
    return found[1] or CUDA, int(found[2] or 0)


def providers(device: str) -> list[Provider]:
    """Name ONNX Runtime's providers for `cpu`, `cuda` or `cuda:N`, best first; raises DeviceMissing."""
    kind, number = place_of(device)
    on_cpu: Provider = (_CPU_PROVIDER, {})
    if kind == CPU:
        return [on_cpu]
    if _CUDA_PROVIDER not in ort.get_available_providers():
        raise DeviceMissing(
            f"device '{device}' needs ONNX Runtime with its CUDA provider, which this one lacks; "
            "install onnxruntime-gpu in onnxruntime's place, or use the device 'cpu'"
        )
    # TensorFloat-32 rounds to 10 bits: golden answers of float32 would differ by far more than their tolerance.
    return [(_CUDA_PROVIDER, {"device_id": number, "use_tf32": 0}), on_cpu]


def load_libraries(device: str) -> None:
    """Let ONNX Runtime find CUDA's libraries where pip has put them; what is missing is told by `check_provider`."""
    if device != CPU:
        # It prints what it does not find.
        with contextlib.redirect_stdout(io.StringIO()):
            ort.preload_dlls()


def check_provider(session: ort.InferenceSession, device: str) -> None:
    """Raise DeviceMissing where ONNX Runtime took the CPU instead, as it does silently when a device is not there."""
    if device != CPU and _CUDA_PROVIDER not in session.get_providers():
        raise DeviceMissing(
            f"device '{device}' cannot be used: ONNX Runtime finds no such card, or not the CUDA libraries; "
            "install the driver and onnxruntime-gpu[cuda,cudnn], or use the device 'cpu'"
        )
