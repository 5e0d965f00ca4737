"""Where a graph runs: the CPU, or a graphics card through ONNX Runtime's CUDA provider."""

import re
from typing import Any

import onnxruntime as ort

from models.errors import DeviceMissing

CPU = "cpu"
_CUDA = re.compile(r"cuda(?::(\d+))?")
_CPU_PROVIDER, _CUDA_PROVIDER = "CPUExecutionProvider", "CUDAExecutionProvider"

Provider = tuple[str, dict[str, Any]]


def providers(device: str) -> list[Provider]:
    """Name ONNX Runtime's providers for `cpu`, `cuda` or `cuda:N`, best first; raises DeviceMissing."""
    on_cpu: Provider = (_CPU_PROVIDER, {})
    if device == CPU:
        return [on_cpu]
    card = _CUDA.fullmatch(device)
    if card is None:
        raise DeviceMissing(f"device '{device}' must be 'cpu', 'cuda' or 'cuda:N'")
    if _CUDA_PROVIDER not in ort.get_available_providers():
        raise DeviceMissing(
            f"device '{device}' needs ONNX Runtime with its CUDA provider, which this one lacks; "
            "install onnxruntime-gpu in onnxruntime's place"
        )
    # TensorFloat-32 rounds to 10 bits: golden answers of float32 would differ by far more than their tolerance.
    return [(_CUDA_PROVIDER, {"device_id": int(card[1] or 0), "use_tf32": 0}), on_cpu]


def check_provider(session: ort.InferenceSession, device: str) -> None:
    """Raise DeviceMissing where ONNX Runtime took the CPU instead, as it does silently when a device is not there."""
    if device != CPU and _CUDA_PROVIDER not in session.get_providers():
        raise DeviceMissing(f"device '{device}' cannot be used: ONNX Runtime finds no such card, or no CUDA libraries")
