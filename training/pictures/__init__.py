"""The table of pictures: what a model has learnt, drawn for its task, and what was measured to draw it."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from training.architectures.memory_network import MemoryNetwork
from training.data.data import Data
from training.model import SequenceModel
from training.pictures.answers import draw_answers
from training.pictures.confusion import draw_confusion
from training.pictures.fields import draw_fields
from training.pictures.free_run import draw_free_run
from training.pictures.memory import draw_memory
from training.pictures.parses import draw_parses
from training.pictures.piano_roll import draw_piano_roll
from training.pictures.stories import draw_stories
from training.pictures.transcripts import draw_transcripts
from training.pictures.writing import draw_writing

FILE = "learned.png"

# Draws into a PNG from the test part; gives further figures by name.
Draw = Callable[[Path, SequenceModel, Data], Mapping[str, float]]


def _draw_classes(path: Path, model: SequenceModel, data: Data) -> Mapping[str, float]:
    """Draw what was taken for what; of stories and of grids what was looked at."""
    draw: Draw = draw_fields if model.cell.across else draw_confusion
    return (draw_stories if isinstance(model.cell, MemoryNetwork) else draw)(path, model, data)


PICTURES: Mapping[str, Draw] = {
    "classify": _draw_classes,
    "classify_tree": draw_parses,
    "forecast": draw_free_run,
    "next_frame": draw_piano_roll,
    "recall_bits": draw_memory,
    "regress": draw_answers,
    "rewrite": partial(draw_writing, "rewrite"),
    "transcribe": draw_transcripts,
    "translate": partial(draw_writing, "translate"),
}
