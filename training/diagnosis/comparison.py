"""Several cells on one task, each diagnosed before and after training, and drawn side by side."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import msgspec
from matplotlib.figure import Figure

from training.diagnosis.compared import BASE, COMPARED
from training.diagnosis.measure import Diagnosis, Extent, Say
from training.diagnosis.picture import draw_echo, draw_eigenvalues, draw_flow, draw_gradient
from training.diagnosis.subject import open_subject
from training.run import RESULT

PICTURE = "long_term_dependencies.png"


class Pair(msgspec.Struct, frozen=True):
    """A cell before and after training, and the figure that it reached."""

    before: Diagnosis
    after: Diagnosis
    reached: float
    learning_rate: float


def compare(
    runs: Path,
    extent: Extent,
    say: Say,
    *,
    base: str = BASE,
    compared: Mapping[str, Sequence[str]] = COMPARED,
) -> dict[str, Pair]:
    """Train what is not trained yet, diagnose all, and draw them into a picture among the runs."""
    found = {}
    for label, overrides in compared.items():
        say(f"diagnose: {label}\n")
        subject, _ = open_subject(base, overrides, runs, say)
        subject.train()
        before, after = (subject.diagnose(extent, trained=trained) for trained in (False, True))
        reached = float(subject.run.read(RESULT, "train")["held_out"])
        found[label] = Pair(before, after, reached, subject.run.recipe.training.learning_rate)
    draw_comparison(runs / PICTURE, found)
    say(f"diagnose: {runs / PICTURE}\n")
    return found


def draw_comparison(path: Path, found: Mapping[str, Pair]) -> None:
    """Draw a row for each cell: eigenvalues before and after training, then all else with both in one panel."""
    with mpl.rc_context({"axes.spines.top": False, "axes.spines.right": False, "font.size": 8}):
        figure = Figure(figsize=(16, 3 * len(found)), dpi=100, layout="constrained")
        rows = figure.subplots(len(found), 5, squeeze=False)
        for axes, (label, pair) in zip(rows, found.items(), strict=True):
            for at, (one, when) in enumerate(((pair.before, "before"), (pair.after, "after"))):
                draw_eigenvalues(axes[at], one)
                axes[at].set_title(f"{label} {when}: radius {one.spectrum.radius.median:.3g}")
                for panel, draw in zip(axes[2:], (draw_flow, draw_gradient, draw_echo), strict=True):
                    draw(panel, one)
            axes[2].set_title(f"norm of $ds_t/ds_{{t-k}}$: {pair.before.flow.word}, then {pair.after.flow.word}")
            axes[2].legend(axes[2].get_lines(), ("before", r"its $\lambda^k$", "after", r"its $\lambda^k$"), loc="best")
            axes[3].set_title("norm of $dL_T/ds_t$")
            axes[4].set_title("distance of two states under one input")
        figure.savefig(path)
