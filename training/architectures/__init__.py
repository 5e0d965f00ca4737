"""The table of architectures: a name in a recipe, and the cell it builds."""

from collections.abc import Mapping

from training.architectures.lstm import LSTM
from training.cell import Cell

ARCHITECTURES: Mapping[str, type[Cell]] = {
    "lstm": LSTM,
}
