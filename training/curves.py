"""The learning curve as a picture, with the baselines as lines to get below."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

FILE = "learning_curve.png"


def draw_curve(
    path: Path, history: Sequence[tuple[int, float, float]], references: Mapping[str, float], *, unit: str, title: str
) -> None:
    """Draw the loss against updates, and write a PNG.

    Args:
        path: the PNG.
        history: rows of update, training and validation loss.
        references: losses by name, drawn as horizontal lines.
        unit: of the loss.
        title: above the picture.
    """
    with mpl.rc_context({"axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
        axes = figure.add_subplot()
        updates = [row[0] for row in history]
        axes.plot(updates, [row[1] for row in history], marker="o", markersize=3, label="training (with dropout)")
        axes.plot(updates, [row[2] for row in history], marker="o", markersize=3, label="validation")
        for (name, value), style in zip(references.items(), ("--", ":", "-."), strict=False):
            axes.axhline(value, linestyle=style, color="0.5", linewidth=1)
            axes.annotate(
                f"{name} {value:.2f}", (1, value), xycoords=("axes fraction", "data"), ha="right", va="bottom"
            )
        axes.set(title=title, xlabel="updates", ylabel=unit)
        axes.set_ylim(bottom=0)
        axes.legend(loc="lower left")
        figure.savefig(path)
