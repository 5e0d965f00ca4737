"""Small ONNX models that need more of the contract: step, start and peek graphs, free axes, decoding."""

import numpy as np
import onnx

from models.manifest import Decode, StateSpec, TensorSpec
from tests.zoo import Role, ZooModel, build, uniform

ALPHABET = "\n abcdef"

_NOTHING = "nothing = Constant <value = float {0.0}> ()"
_KEPT = """
      h_next = Where (mask, moved, h)
      y_t = Where (mask, answer, nothing)
"""

_LEAK = """
      from_x = MatMul (x_t, W)
      from_h = MatMul (h, R)
      sum = Add (from_x, from_h)
      new = Tanh (sum)
      old = Mul (h, kept)
      entered = Mul (new, leak)
      moved = Add (old, entered)
      answer = MatMul (moved, V)
"""


def leaky(features: int = 3, hidden: int = 8, outputs: int = 2) -> ZooModel:
    """Make a leaky cell, `h = 0.75 h + 0.25 tanh(x W + h R)`, of plain operators: a Scan, and its step graph."""
    random = np.random.default_rng(11)
    weights = {
        "W": uniform(random, (features, hidden)),
        "R": uniform(random, (hidden, hidden)),
        "V": uniform(random, (hidden, outputs)),
        "kept": np.array(0.75, np.float32),
        "leak": np.array(0.25, np.float32),
    }
    into = f"float[batch, {hidden}] h, float[batch, {features}] x_t"
    out = f"float[batch, {hidden}] h_next, float[batch, {outputs}] y_t"
    body = _scan_body(_LEAK, into, out, f"{_NOTHING}{_KEPT}")
    graph = f"""
    leaky (float[batch, time, {features}] x, int64[batch] lengths, float[batch, {hidden}] "state.h")
      => (float[batch, time, {outputs}] y, float[batch, {hidden}] "next_state.h")
    {{
      begin = Constant <value = int64 {{0}}> ()
      steps, "next_state.h", y = Scan <
        num_scan_inputs = 1, scan_input_axes = [1], scan_output_axes = [1], {body}
      > (begin, "state.h", x)
    }}"""
    step = f"""
    leaky_step (float[batch, {features}] x, float[batch, {hidden}] "state.h")
      => (float[batch, {outputs}] y, float[batch, {hidden}] "next_state.h")
    {{
      h = Identity ("state.h")
      x_t = Identity (x)
      {_LEAK}
      y = Identity (answer)
      "next_state.h" = Identity (moved)
    }}"""
    return ZooModel(
        architecture="leaky",
        graph=build(graph, weights),
        inputs=(TensorSpec("x", "FP32", ("time", features)),),
        outputs=(TensorSpec("y", "FP32", ("time", outputs)),),
        states=(StateSpec("state.h", "next_state.h", "FP32", (hidden,)),),
        fed={
            "x": uniform(random, (3, 4, features)),
            "lengths": np.array([4, 1, 3]),
            "state.h": uniform(random, (3, hidden)),
        },
        roles={"step": Role(build(step, weights))},
    )


def _scan_body(cell: str, into: str, out: str, masked: str) -> str:
    """Write the body of a Scan that counts its steps and leaves a row past its length as it is."""
    return f"""body = step (int64 t, {into}) => (int64 t_next, {out})
    {{
      one = Constant <value = int64 {{1}}> ()
      last_axis = Constant <value = int64[1] {{-1}}> ()
      t_next = Add (t, one)
      within = Less (t, lengths)
      mask = Unsqueeze (within, last_axis)
      {cell}
      {masked}
    }}"""


# The query is asked twice: a product with one row on its left sums in an order that depends on how many sources there
# are, padding too, and so its last bits would depend on the batch.
_ATTEND = f"""
      {_NOTHING}
      middle = Constant <value = int64[1] {{1}}> ()
      lowest = Constant <value = float {{-1e30}}> ()
      zero = Constant <value = int64 {{0}}> ()
      query = MatMul (h, Q)
      asked = Unsqueeze (query, middle)
      twice = Concat <axis = 1> (asked, asked)
      keys = Transpose <perm = [0, 2, 1]> (annotations)
      scores = MatMul (twice, keys)
      seen_scores = Where (seen, scores, lowest)
      shares = Softmax <axis = -1> (seen_scores)
      seen_shares = Where (seen, shares, nothing)
      read = MatMul (seen_shares, annotations)
      context = Gather <axis = 1> (read, zero)
      from_x = MatMul (x_t, W)
      from_h = MatMul (h, R)
      from_context = MatMul (context, C)
      before = Add (from_x, from_h)
      sum = Add (before, from_context)
      moved = Tanh (sum)
      answer = MatMul (moved, V)
"""


def annotations(features: int = 3, hidden: int = 8, source_features: int = 5) -> ZooModel:
    """Make a decoder with attention: its start graph annotates `source` [batch, source, features], of any size, and
    every step reads what lies within `state.source_length` of `state.annotations`.
    """
    random = np.random.default_rng(12)
    shapes = {
        "Q": (hidden, hidden),
        "W": (features, hidden),
        "R": (hidden, hidden),
        "C": (hidden, hidden),
        "V": (hidden, features),
    }
    weights = {name: uniform(random, shape) for name, shape in shapes.items()}
    start_weights = {"A": uniform(random, (source_features, hidden))}
    source = uniform(random, (2, 4, source_features))
    # The start graph's states need rows of one shape; here a shorter row has what a batch pads it with.
    lengths = np.array([4, 2, 3])
    within = np.arange(4)[:, None] < lengths[:, None, None]
    return ZooModel(
        architecture="attention_decoder",
        graph=build(_annotations_graph(features, hidden), weights),
        inputs=(TensorSpec("x", "FP32", ("time", features)),),
        outputs=(TensorSpec("y", "FP32", ("time", features)),),
        states=(
            StateSpec("state.h", "next_state.h", "FP32", (hidden,)),
            StateSpec(
                "state.annotations",
                "next_state.annotations",
                "FP32",
                ("source", hidden),
                length_of="state.source_length",
            ),
            StateSpec("state.source_length", "next_state.source_length", "INT64", ()),
        ),
        fed={
            "x": uniform(random, (3, 4, features)),
            "lengths": np.array([4, 1, 3]),
            "state.h": uniform(random, (3, hidden)),
            "state.annotations": uniform(random, (3, 4, hidden)) * within.astype(np.float32),
            "state.source_length": lengths,
        },
        roles={"start": Role(build(_annotate_graph(source_features, hidden), start_weights), {"source": source})},
    )


def _annotate_graph(source_features: int, hidden: int) -> str:
    return f"""
    annotate (float[batch, source, {source_features}] source)
      => (float[batch, source, {hidden}] "state.annotations", int64[batch] "state.source_length")
    {{
      projected = MatMul (source, A)
      "state.annotations" = Tanh (projected)
      rows = Shape <start = 0, end = 1> (source)
      length = Shape <start = 1, end = 2> (source)
      "state.source_length" = Expand (length, rows)
    }}"""


def _annotations_graph(features: int, hidden: int) -> str:
    annotations_type = f"float[batch, source, {hidden}]"
    body = _scan_body(
        _ATTEND,
        f"float[batch, {hidden}] h, float[batch, {features}] x_t",
        f"float[batch, {hidden}] h_next, float[batch, {features}] y_t",
        _KEPT,
    )
    return f"""
    decoder (float[batch, time, {features}] x, int64[batch] lengths, float[batch, {hidden}] "state.h",
        {annotations_type} "state.annotations", int64[batch] "state.source_length")
      => (float[batch, time, {features}] y, float[batch, {hidden}] "next_state.h",
        {annotations_type} "next_state.annotations", int64[batch] "next_state.source_length")
    {{
      begin = Constant <value = int64 {{0}}> ()
      next = Constant <value = int64 {{1}}> ()
      other_axes = Constant <value = int64[2] {{1, 2}}> ()
      places = Shape <start = 1, end = 2> ("state.annotations")
      size = Squeeze (places)
      ticks = Range (begin, size, next)
      ends = Unsqueeze ("state.source_length", other_axes)
      seen = Less (ticks, ends)
      annotations = Identity ("state.annotations")
      steps, "next_state.h", y = Scan <
        num_scan_inputs = 1, scan_input_axes = [1], scan_output_axes = [1], {body}
      > (begin, "state.h", x)
      "next_state.annotations" = Identity (annotations)
      "next_state.source_length" = Identity ("state.source_length")
    }}"""


def memory(slots: int = 4, features: int = 4) -> ZooModel:
    """Make a memory: each step writes `x` into the next slot and answers how many were written; its peek graph answers
    `question` [batch, features] with the sum of the slots, each as much as it agrees with the question.
    """
    body = _scan_body(
        """
      slot = Mod (count, slot_count)
      rows = Unsqueeze (slot, last_axis)
      here = Equal (rows, slot_numbers)
      place = Unsqueeze (here, last_axis)
      middle = Constant <value = int64[1] {1}> ()
      entry = Unsqueeze (x_t, middle)
      written = Where (place, entry, memory)
      after = Add (count, one)
      masks = Unsqueeze (mask, last_axis)
      no_count = Constant <value = int64 {0}> ()
""",
        f"float[batch, {slots}, {features}] memory, int64[batch] count, float[batch, {features}] x_t",
        f"float[batch, {slots}, {features}] memory_next, int64[batch] count_next, int64[batch] y_t",
        """memory_next = Where (masks, written, memory)
      count_next = Where (within, after, count)
      y_t = Where (within, after, no_count)""",
    )
    graph = f"""
    memory (float[batch, time, {features}] x, int64[batch] lengths,
        float[batch, {slots}, {features}] "state.memory", int64[batch] "state.count")
      => (int64[batch, time] y, float[batch, {slots}, {features}] "next_state.memory", int64[batch] "next_state.count")
    {{
      begin = Constant <value = int64 {{0}}> ()
      steps, "next_state.memory", "next_state.count", y = Scan <
        num_scan_inputs = 1, scan_input_axes = [1], scan_output_axes = [1], {body}
      > (begin, "state.memory", "state.count", x)
    }}"""
    peek = f"""
    recall (float[batch, {features}] question, float[batch, {slots}, {features}] "state.memory")
      => (float[batch, {features}] answer)
    {{
      middle = Constant <value = int64[1] {{1}}> ()
      asked = Unsqueeze (question, middle)
      keys = Transpose <perm = [0, 2, 1]> ("state.memory")
      scores = MatMul (asked, keys)
      read = MatMul (scores, "state.memory")
      answer = Squeeze (read, middle)
    }}"""
    random = np.random.default_rng(13)
    written = uniform(random, (3, slots, features))
    constants = {"slot_count": np.array(slots), "slot_numbers": np.arange(slots)}
    asked = {"question": uniform(random, (3, features)), "lengths": np.array([1, 1, 1])}
    states = {"state.memory": written, "state.count": np.array([0, 3, 9])}
    return ZooModel(
        architecture="memory",
        graph=build(graph, constants),
        inputs=(TensorSpec("x", "FP32", ("time", features)),),
        outputs=(TensorSpec("y", "INT64", ("time",)),),
        states=(
            StateSpec("state.memory", "next_state.memory", "FP32", (slots, features)),
            StateSpec("state.count", "next_state.count", "INT64", ()),
        ),
        fed={"x": uniform(random, (3, 6, features)), "lengths": np.array([6, 1, 3]), **states},
        roles={"peek": Role(build(peek), asked | states)},
    )


def characters(hidden: int = 8, *, broken: bool = False) -> ZooModel:
    """Make an Elman network over the characters of `ALPHABET`: it answers logits of the next one, or some NaN."""
    random = np.random.default_rng(14)
    size = len(ALPHABET)
    weights = {
        "table": uniform(random, (size, hidden)),
        "W": uniform(random, (1, hidden, hidden)),
        "R": uniform(random, (1, hidden, hidden)),
        "B": uniform(random, (1, 2 * hidden)),
        "V": uniform(random, (hidden, size)),
    }
    if broken:
        weights["V"][:, 3] = np.nan
    graph = f"""
    characters (int64[batch, time] x, int64[batch] lengths, float[batch, {hidden}] "state.h")
      => (float[batch, time, {size}] y, float[batch, {hidden}] "next_state.h")
    {{
      first = Constant <value = int64[1] {{0}}> ()
      second = Constant <value = int64[1] {{1}}> ()
      embedded = Gather (table, x)
      by_time = Transpose <perm = [1, 0, 2]> (embedded)
      h = Unsqueeze ("state.h", first)
      valid = Cast <to = {onnx.TensorProto.INT32}> (lengths)
      hs, last = RNN <hidden_size = {hidden}> (by_time, W, R, B, valid, h)
      steps = Squeeze (hs, second)
      by_row = Transpose <perm = [1, 0, 2]> (steps)
      y = MatMul (by_row, V)
      "next_state.h" = Squeeze (last, first)
    }}"""
    return ZooModel(
        architecture="elman",
        graph=build(graph, weights),
        inputs=(TensorSpec("x", "INT64", ("time",)),),
        outputs=(TensorSpec("y", "FP32", ("time", size)),),
        states=(StateSpec("state.h", "next_state.h", "FP32", (hidden,)),),
        fed={
            "x": np.array([[0, 2, 3, 4], [5, 0, 0, 0], [7, 1, 6, 0]]),
            "lengths": np.array([4, 1, 3]),
            "state.h": uniform(random, (3, hidden)),
        },
        decode=Decode("y", "x", "categorical", start=0),
    )


def models() -> dict[str, ZooModel]:
    """Give every model here by its name."""
    return {make.__name__: make() for make in (leaky, annotations, memory, characters)}
