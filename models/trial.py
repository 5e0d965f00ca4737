"""Tries a device before anything relies on it."""

import contextlib
import os
import re
from collections.abc import Callable, Iterator

import numpy as np

from models.device import CPU, providers
from models.device_array import DeviceArray
from models.errors import DeviceMissing
from models.onnx_bytes import Node, Tensor, graph_bytes
from models.session import open_session

STDERR = 2
_WITH_ERROR = re.compile(r"with error: (.+)")


def check_device(device: str) -> None:
    """Raise DeviceMissing, with the reason in one line, unless a graph runs there and rows come back as they went."""
    if device == CPU:
        return
    providers(device)
    with _stderr() as heard:
        try:
            _try(device)
        except Exception as error:  # ONNX Runtime's own classes derive from Exception alone
            raise DeviceMissing(
                f"device '{device}' cannot be used: {_reason(error, heard())}; install the card's driver and "
                "onnxruntime-gpu[cuda,cudnn], name a card that is there, or use the device 'cpu'"
            ) from error


def _try(device: str) -> None:
    tensors = [Tensor(name, "FP32", 2) for name in ("there", "back")]
    open_session(graph_bytes([Node("Identity", ("there",), "back")], tensors[:1], tensors[1:]), device=device)
    rows = np.arange(6, dtype=np.float32).reshape(2, 3)
    if DeviceArray.of(rows, device).numpy().tobytes() != rows.tobytes():
        raise DeviceMissing("it gives other numbers back than it was given")


def _reason(error: Exception, heard: str) -> str:
    """The first line of what went wrong: ONNX Runtime may have told its log alone."""
    if told := _WITH_ERROR.search(heard):
        return told[1].strip()
    return (str(error.__cause__ or error).strip() or type(error).__name__).splitlines()[0]


@contextlib.contextmanager
def _stderr() -> Iterator[Callable[[], str]]:
    """Keep what is written to stderr meanwhile, by ONNX Runtime's own code too, and give a way to read it."""
    # In memory: a container's file system may be read-only.
    before, kept = os.dup(STDERR), os.memfd_create("stderr")
    os.dup2(kept, STDERR)
    try:
        yield lambda: os.pread(kept, 2**16, 0).decode(errors="replace")
    finally:
        os.dup2(before, STDERR)
        os.close(before)
        os.close(kept)
