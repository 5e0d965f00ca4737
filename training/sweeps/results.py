"""What came of a sweep: a line for each recipe and setting, over its seeds; as a table, as JSON, and as a picture."""

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median, stdev
from typing import NamedTuple

from matplotlib.figure import Figure

from training.listing import figures
from training.recipe import Recipe
from training.run import RESULT, Run
from training.sweeps.work import Work, validations_of
from training.tasks import TASKS

TABLE, NUMBERS, PICTURE = "results.md", "results.json", "results.png"


class Line(NamedTuple):
    """What a recipe with some settings reached: of each seed that is done its figure, its time and its best validation.

    Settings are chosen by the validation, a loss; the figure is of the test part, in the task's metric.
    """

    recipe: Recipe
    varied: str
    figures: list[float]
    seconds: list[float]
    validations: list[float]
    is_best: bool

    @property
    def name(self) -> str:
        """The recipe, what it has of the grid, and whether a search found no better one."""
        return f"{self.recipe.name} {self.varied}".strip() + (" (best)" if self.is_best else "")


def lines_of(works: Sequence[Work]) -> list[Line]:
    """Gather the works that are done by recipe and settings."""
    found: dict[tuple[str, str], Line] = {}
    for work in works:
        planned = work.planned
        fresh = Line(planned.recipe, planned.varied, [], [], [], work.is_best)
        line = found.setdefault((planned.source, planned.varied), fresh)
        if work.standing == "done":
            result = Run(work.folder).read(RESULT, "train")
            line.figures.append(result["held_out"])
            line.seconds.append(result["seconds"])
            line.validations.extend(_best_validation(work.folder))
    return [line for line in found.values() if line.figures]


def _best_validation(folder: Path) -> list[float]:
    """Read the lowest validation loss of a run; none where an older version fitted it in closed form."""
    losses = [said.loss for said in validations_of(folder)]
    return [min(losses)] if losses else []


def table(lines: Sequence[Line]) -> str:
    """Write the lines as Markdown, the medians of the seeds with their mean and deviation."""
    names = (
        "recipe",
        "validation",
        "figure",
        "median",
        "mean",
        "deviation",
        "seeds",
        "seconds",
        "what the recipe says",
    )
    head = f"| {' | '.join(names)} |\n|{'---|' * len(names)}\n"
    return head + "".join(map(_row, lines))


def _row(line: Line) -> str:
    spread = f"{stdev(line.figures):.2g}" if len(line.figures) > 1 else ""
    cells = (
        line.name,
        f"{median(line.validations):.4g}" if line.validations else "",
        f"{TASKS[line.recipe.task].metric}, {TASKS[line.recipe.task].better} is better",
        f"{median(line.figures):.4g}",
        f"{mean(line.figures):.4g}",
        spread,
        str(len(line.figures)),
        f"{median(line.seconds):.0f}",
        figures(line.recipe),
    )
    return f"| {' | '.join(cells)} |\n"


def write_results(folder: Path, lines: Sequence[Line]) -> None:
    """Write the table, the numbers and the picture into a sweep's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / TABLE).write_text(table(lines), encoding="utf-8")
    numbers = [
        {"recipe": line.recipe.name, "settings": line.varied, "metric": TASKS[line.recipe.task].metric}
        | {"figures": line.figures, "seconds": line.seconds, "validations": line.validations}
        | ({"best": True} if line.is_best else {})
        for line in lines
    ]
    (folder / NUMBERS).write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
    draw(folder / PICTURE, lines)


def draw(path: Path, lines: Sequence[Line]) -> None:
    """Draw a panel for each metric: a row for each recipe and setting, a dot for each seed, a bar at their median."""
    metrics = list(dict.fromkeys(TASKS[line.recipe.task].metric for line in lines))
    rows = {metric: [line for line in lines if TASKS[line.recipe.task].metric == metric] for metric in metrics}
    heights = [len(rows[metric]) for metric in metrics]
    figure = Figure(figsize=(9, 1.2 * len(metrics) + 0.35 * sum(heights)), dpi=120, layout="constrained")
    panels = figure.subplots(len(metrics), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, metric in zip(panels, metrics, strict=True):
        for place, line in enumerate(rows[metric]):
            axes.plot(line.figures, [place] * len(line.figures), "o", color="tab:blue", alpha=0.6)
            axes.plot(median(line.figures), place, "|", color="tab:orange", markersize=16, markeredgewidth=2)
        axes.set_yticks(range(len(rows[metric])), [line.name for line in rows[metric]], fontsize=8)
        for label, line in zip(axes.get_yticklabels(), rows[metric], strict=True):
            label.set_fontweight("bold" if line.is_best else "normal")
        axes.set_ylim(len(rows[metric]) - 0.5, -0.5)
        axes.set_xlabel(f"{metric.replace('_', ' ')}, {TASKS[rows[metric][0].recipe.task].better} is better")
        axes.grid(axis="x", alpha=0.3)
    figure.savefig(path)
