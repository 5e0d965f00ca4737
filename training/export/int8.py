"""A graph with its weights as int8, a quarter of the size: ONNX Runtime's dynamic quantization."""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
from onnxruntime.quantization import quantize_dynamic

from training.errors import TrainingError


def quantize(graph: bytes) -> bytes:
    """Quantize the weights of an ONNX file, those inside its Scan nodes too; activations are quantized as it runs.

    Raises:
        TrainingError: the result is no smaller.
    """
    with tempfile.TemporaryDirectory() as folder, _unheard():
        file = Path(folder, "int8.onnx")
        quantize_dynamic(
            onnx.load_from_string(graph),
            file,
            per_channel=True,
            # Seven bits of eight: with all of them, sums of two products overflow on processors without VNNI.
            reduce_range=True,
            extra_options={"EnableSubgraph": True},
        )
        quantized = file.read_bytes()
    if len(quantized) >= len(graph):
        raise TrainingError(
            f"int8 makes the graph no smaller, {len(quantized):,} bytes where it has {len(graph):,}: it has no weights "
            "that can be quantized, or few; leave `export.int8` out"
        )
    return quantized


@contextmanager
def _unheard() -> Iterator[None]:
    """Keep the quantizer's advice off stderr, and from giving the root logger a handler where that has none."""
    nobody, root = logging.NullHandler(), logging.getLogger()
    root.addHandler(nobody)
    try:
        yield
    finally:
        root.removeHandler(nobody)
