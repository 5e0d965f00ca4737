"""Small ONNX models laid out as other tools export them: other batch axes, scalars, float16, no time, no lengths."""

import numpy as np

from models.manifest import StateSpec, TensorSpec
from models.runner import Arrays
from tests.zoo import ZooModel, build, recurrent_weights, uniform


def layered_lstm(features: int = 3, hidden: int = 4, layers: int = 2) -> ZooModel:
    """Make stacked LSTM nodes that keep their states as `[layers, batch, hidden]` and take no lengths."""
    random = np.random.default_rng(3)
    sizes = [features, *[hidden] * (layers - 1)]
    weights = {
        f"{part}{layer}": array
        for layer, size in enumerate(sizes)
        for part, array in recurrent_weights(4, size, hidden, 1, layer).items()
        if part in "WRB"
    }
    nodes = "".join(
        f"""
      n{layer}, hn_{layer}, cn_{layer} = LSTM <hidden_size = {hidden}>
        (s{layer}, W{layer}, R{layer}, B{layer}, , h_{layer}, c_{layer})
      s{layer + 1} = Squeeze (n{layer}, one)"""
        for layer in range(layers)
    )
    state = f"float[{layers}, batch, {hidden}]"
    each = {part: ", ".join(f"{part}_{layer}" for layer in range(layers)) for part in ("h", "c", "hn", "cn")}
    graph = f"""
    layered (float[batch, time, {features}] input, {state} h0, {state} c0)
      => (float[batch, time, {hidden}] output, {state} hn, {state} cn)
    {{
      one = Constant <value = int64[1] {{1}}> ()
      {each["h"]} = Split <axis = 0, num_outputs = {layers}> (h0)
      {each["c"]} = Split <axis = 0, num_outputs = {layers}> (c0)
      s0 = Transpose <perm = [1, 0, 2]> (input)
      {nodes}
      output = Transpose <perm = [1, 0, 2]> (s{layers})
      hn = Concat <axis = 0> ({each["hn"]})
      cn = Concat <axis = 0> ({each["cn"]})
    }}"""
    begin = {name: uniform(random, (3, layers, hidden)) for name in ("h0", "c0")}
    return ZooModel(
        architecture="onnx",
        graph=build(graph, weights),
        inputs=(TensorSpec("input", "FP32", ("time", features)),),
        outputs=(TensorSpec("output", "FP32", ("time", hidden)),),
        states=tuple(StateSpec(f"{s}0", f"{s}n", "FP32", (layers, hidden), batch_axis=1) for s in "hc"),
        fed={"input": uniform(random, (3, 5, features)), "lengths": np.array([5, 5, 5]), **begin},
        lengths=None,
        reference=lambda fed: _layered_answers(fed, weights, layers),
    )


def _layered_answers(fed: Arrays, weights: dict[str, np.ndarray], layers: int) -> Arrays:
    xs, ends = fed["input"], []
    for layer in range(layers):
        w, r, b = (weights[f"{part}{layer}"][0] for part in "WRB")
        h, c, steps = fed["h0"][:, layer], fed["c0"][:, layer], []
        for t in range(xs.shape[1]):
            i, o, f, z = np.split(xs[:, t] @ w.T + h @ r.T + b.reshape(2, -1).sum(0), 4, axis=1)
            c = c / (1 + np.exp(-f)) + np.tanh(z) / (1 + np.exp(-i))
            h = np.tanh(c) / (1 + np.exp(-o))
            steps.append(h)
        xs = np.stack(steps, 1)
        ends.append((h, c))
    hs, cs = zip(*ends, strict=True)
    return {"output": xs, "hn": np.stack(hs, 1), "cn": np.stack(cs, 1)}


def scaled_sum() -> ZooModel:
    """Make a running sum that answers times `rate`, an input of rank 0 in the graph: one number for a whole run."""
    graph = """
    scaled_sum (float[batch, time] x, int64 rate, float[batch] state) => (float[batch, time] y, float[batch] stateN)
    {
      one = Constant <value = int64 {1}> ()
      last = Constant <value = int64 {-1}> ()
      ones = Constant <value = int64[1] {1}> ()
      rest = Constant <value = int64[1] {9223372036854775807}> ()
      before = Unsqueeze (state, ones)
      entries = Concat <axis = 1> (before, x)
      sums = CumSum (entries, one)
      after = Slice (sums, ones, rest, ones)
      factor = Cast <to = 1> (rate)
      y = Mul (after, factor)
      stateN = Gather <axis = 1> (after, last)
    }"""

    def reference(fed: Arrays) -> Arrays:
        after = fed["state"][:, None] + np.cumsum(fed["x"], 1)
        return {"y": after * fed["rate"][:, None].astype(np.float32), "stateN": after[:, -1]}

    return ZooModel(
        architecture="onnx",
        graph=build(graph),
        inputs=(TensorSpec("x", "FP32", ("time",)), TensorSpec("rate", "INT64", ())),
        outputs=(TensorSpec("y", "FP32", ("time",)),),
        states=(StateSpec("state", "stateN", "FP32", ()),),
        fed={
            "x": np.arange(12, dtype=np.float32).reshape(4, 3),
            "rate": np.array([2, 5, 2, 3]),
            "lengths": np.array([3, 3, 3, 3]),
            "state": np.array([0, 1, 2, 3], np.float32),
        },
        lengths=None,
        reference=reference,
    )


def half() -> ZooModel:
    """Make the leaky sum `h = h / 2 + x` in float16, whose small inputs are exact."""
    graph = """
    half (float16[batch, time, 2] x, float16[batch, 2] past_h)
      => (float16[batch, time, 2] y, float16[batch, 2] present_h)
    {
      present_h, y = Scan <
        num_scan_inputs = 1, scan_input_axes = [1], scan_output_axes = [1],
        body = step (float16[batch, 2] h, float16[batch, 2] x_t) => (float16[batch, 2] h_next, float16[batch, 2] y_t)
        {
          two = Constant <value = float {2.0}> ()
          divisor = Cast <to = 10> (two)
          rest = Div (h, divisor)
          h_next = Add (rest, x_t)
          y_t = Identity (h_next)
        }
      > (past_h, x)
    }"""

    def reference(fed: Arrays) -> Arrays:
        h, steps = fed["past_h"], []
        for t in range(fed["x"].shape[1]):
            h = h / np.float16(2) + fed["x"][:, t]
            steps.append(h)
        return {"y": np.stack(steps, 1), "present_h": h}

    return ZooModel(
        architecture="onnx",
        graph=build(graph),
        inputs=(TensorSpec("x", "FP16", ("time", 2)),),
        outputs=(TensorSpec("y", "FP16", ("time", 2)),),
        states=(StateSpec("past_h", "present_h", "FP16", (2,)),),
        fed={
            "x": np.arange(12, dtype=np.float16).reshape(2, 3, 2),
            "lengths": np.array([3, 3]),
            "past_h": np.array([[1, 2], [3, 4]], np.float16),
        },
        lengths=None,
        reference=reference,
    )


def one_step() -> ZooModel:
    """Make a step of an Elman network, `h = tanh(x W + h U)`, whose tensors have no time axis."""
    graph = """
    one_step (float[batch, 3] x, float[batch, 4] h_in) => (float[batch, 4] y, float[batch, 4] h_out)
    {
      entered = MatMul (x, W)
      kept = MatMul (h_in, U)
      sum = Add (entered, kept)
      h_out = Tanh (sum)
      y = Neg (h_out)
    }"""
    random = np.random.default_rng(5)
    w, u = uniform(random, (3, 4)), uniform(random, (4, 4))

    def reference(fed: Arrays) -> Arrays:
        h = np.tanh(fed["x"] @ w + fed["h_in"] @ u)
        return {"y": -h, "h_out": h}

    return ZooModel(
        architecture="onnx",
        graph=build(graph, {"W": w, "U": u}),
        inputs=(TensorSpec("x", "FP32", (3,)),),
        outputs=(TensorSpec("y", "FP32", (4,)),),
        states=(StateSpec("h_in", "h_out", "FP32", (4,)),),
        fed={"x": uniform(random, (3, 3)), "lengths": np.array([1, 1, 1]), "h_in": uniform(random, (3, 4))},
        lengths=None,
        reference=reference,
    )
