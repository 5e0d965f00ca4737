"""The table of pictures: what a model has learnt, drawn for its task, and what was measured to draw it."""

from collections.abc import Callable, Mapping
from pathlib import Path

from training.data.data import Data
from training.model import SequenceModel
from training.pictures.answers import draw_answers
from training.pictures.confusion import draw_confusion
from training.pictures.free_run import draw_free_run
from training.pictures.memory import draw_memory
from training.pictures.piano_roll import draw_piano_roll

FILE = "learned.png"

# Draws into a PNG from the test part; gives further figures by name.
Draw = Callable[[Path, SequenceModel, Data], Mapping[str, float]]

PICTURES: Mapping[str, Draw] = {
    "classify": draw_confusion,
    "forecast": draw_free_run,
    "next_frame": draw_piano_roll,
    "recall_bits": draw_memory,
    "regress": draw_answers,
}
