"""A diagnosis as a picture: a panel for each measure."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.diagnosis.band import Band
from training.diagnosis.measure import Diagnosis

# Below this a norm is drawn at the bottom.
LEAST, MOST = 1e-12, 1e6
CIRCLE = np.exp(1j * np.linspace(0, 2 * np.pi, 200))


def draw_diagnosis(path: Path, found: Diagnosis) -> None:
    """Draw all measures of one model into a PNG."""
    with mpl.rc_context({"axes.spines.top": False, "axes.spines.right": False, "font.size": 9}):
        figure = Figure(figsize=(12, 7), dpi=120, layout="constrained")
        when = "as trained" if found.trained else "as training begins"
        figure.suptitle(f"{found.recipe} ({found.architecture}), {when}")
        axes = figure.subplots(2, 3).flatten()
        draw_eigenvalues(axes[0], found)
        draw_flow(axes[1], found)
        draw_gradient(axes[2], found)
        _draw_gates(axes[3], found)
        draw_echo(axes[4], found)
        _draw_capacity(axes[5], found)
        figure.savefig(path)


def draw_eigenvalues(axes: Axes, found: Diagnosis) -> None:
    """Draw eigenvalues over the unit circle."""
    values = np.array(found.spectrum.eigenvalues)
    axes.plot(CIRCLE.real, CIRCLE.imag, color="0.6", linewidth=1)
    axes.scatter(values[:, 0], values[:, 1], s=3, alpha=0.5, linewidths=0)
    extent = 1.1 * max(1.0, float(np.hypot(*values.T).max()))
    axes.set(xlim=(-extent, extent), ylim=(-extent, extent), aspect="equal", xlabel="real", ylabel="imaginary")
    axes.set_title(f"eigenvalues of $ds_{{t+1}}/ds_t$, radius {found.spectrum.radius.median:.3g}")


def draw_flow(axes: Axes, found: Diagnosis) -> None:
    """Draw the norm of the products against k, with the chapter's line beside it."""
    flow = found.flow
    _draw_bands(axes, flow.distances, flow.norms, "median, quartiles")
    line = _shown([found.spectrum.radius.median**k for k in flow.distances])
    color = axes.get_lines()[-1].get_color()
    axes.plot(
        flow.distances,
        line,
        linestyle="--",
        linewidth=1,
        color=color,
        label=r"$\lambda^k$, $\lambda$ the median radius",
    )
    axes.set(yscale="log", xlabel="k", title=f"norm of $ds_t/ds_{{t-k}}$: {flow.word}, x {flow.rate:.3f} a step")
    _open_up(axes)
    axes.legend(loc="best")


def draw_gradient(axes: Axes, found: Diagnosis) -> None:
    """Draw the gradient's norm step by step back."""
    norms = found.gradient.norms
    _draw_bands(axes, range(len(norms)), norms, "median, quartiles")
    axes.set(yscale="log", xlabel="steps back from the last", title="norm of $dL_T/ds_t$")
    if not axes.xaxis_inverted():
        axes.invert_xaxis()
    _open_up(axes)


def draw_echo(axes: Axes, found: Diagnosis) -> None:
    """Draw how far two states are apart."""
    distances = found.echo.distances
    _draw_bands(axes, range(len(distances)), distances, "median, quartiles")
    passed = "passed" if found.echo.converges else "not passed"
    axes.set(yscale="log", xlabel="steps", title=f"two states under one input: {passed}", ylabel="distance")
    _open_up(axes)


def _draw_gates(axes: Axes, found: Diagnosis) -> None:
    axes.set_title("gates nearly shut and open")
    if not found.gates:
        _say(axes, "the cell names no gates")
        return
    places = np.arange(len(found.gates))
    for offset, share, label in ((-0.2, "shut", "below 0.1"), (0.2, "open", "above 0.9")):
        axes.bar(places + offset, [getattr(one, share) for one in found.gates.values()], 0.4, label=label)
    axes.set_xticks(places, list(found.gates), rotation=30 if len(found.gates) > 4 else 0)
    axes.set(ylim=(0, 1), ylabel="share of values")
    axes.legend(loc="upper right")


def _draw_capacity(axes: Axes, found: Diagnosis) -> None:
    if found.capacity is None:
        axes.set_title("memory capacity")
        _say(axes, "random inputs drive the state to no number")
        return
    axes.bar(range(len(found.capacity.of_delay)), found.capacity.of_delay, 1.0)
    axes.set(xlabel="delay k", ylabel="found of the inputs")
    axes.set_title(f"memory capacity {found.capacity.total:.3g} of at most {found.capacity.most}")


def _draw_bands(axes: Axes, places: Sequence[int], bands: Sequence[Band], label: str) -> None:
    low, median, high = (_shown([one[at] for one in bands]) for at in range(3))
    axes.fill_between(places, low, high, alpha=0.25, linewidth=0)
    axes.plot(places, median, label=label)


def _shown(values: Sequence[float]) -> list[float]:
    return [min(max(one, LEAST), MOST) for one in values]


def _open_up(axes: Axes) -> None:
    """Let a curve that hardly moves look flat: two decades are shown at least."""
    # Of all that is drawn so far: a panel may have several models.
    axes.autoscale(axis="y")
    low, high = axes.get_ylim()
    wider = max(1.0, (100 * low / high) ** 0.5)
    axes.set_ylim(low / wider, high * wider)


def _say(axes: Axes, text: str) -> None:
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes, color="0.4")
    axes.set_axis_off()
