"""Builds a recipe's model for its data."""

import msgspec
import torch
from torch import nn

from training.architectures import build_cell
from training.data.data import Data
from training.errors import WrongUse
from training.model import Numbers, SequenceModel
from training.recipe import Recipe
from training.tasks import TASKS


class Shape(msgspec.Struct, frozen=True):
    """What a model must fit: symbols or numbers in, so many outputs.

    Attributes:
        symbols: kinds of an input's symbol; 0 for numbers.
        features: numbers of an input; 0 for a symbol.
        outputs: numbers of an answer.
        context: numbers that say what a sequence is about; 0 where nothing is said.
        classes: whether the answers are logits, which have no units.
    """

    symbols: int
    features: int
    outputs: int
    classes: bool
    context: int = 0


def shape_of(data: Data) -> Shape:
    """Give the shape of models for some data."""
    return Shape(data.symbols, data.features, data.outputs, bool(data.classes), data.context)


def build_model(recipe: Recipe, shape: Shape) -> SequenceModel:
    """Build the recipe's model with fresh parameters; raises WrongUse where sizes and options do not fit."""
    sizes = recipe.model
    if shape.symbols and not sizes.embedding_size:
        raise WrongUse(f"recipe '{recipe.name}': model.embedding_size must be at least 1 for symbols")
    try:
        cell = build_cell(recipe.architecture, sizes.embedding_size or shape.features, sizes.hidden_size, recipe.cell)
        embedding = (
            nn.Embedding(shape.symbols, sizes.embedding_size)
            if shape.symbols
            else Numbers(shape.features, sizes.embedding_size, normalise=sizes.normalise)
        )
        model = SequenceModel(
            embedding=embedding,
            cell=cell,
            outputs=shape.outputs,
            dropout=sizes.dropout,
            readout=sizes.readout,
            normalise=sizes.normalise and not shape.classes and not TASKS[recipe.task].task.logits,
        )
    except ValueError as error:
        raise WrongUse(f"recipe '{recipe.name}': {error}") from error
    if shape.context and model.context != shape.context:
        said = f"the data says {shape.context} numbers of each sequence, and the cell takes {model.context}"
        raise WrongUse(f"recipe '{recipe.name}': {said}")
    return model


def take_units(model: SequenceModel, data: Data) -> None:
    """Measure the units that a model takes off its inputs and gives to its answers."""
    if isinstance(model.embedding, Numbers) and model.embedding.units is not None:
        model.embedding.units.set(*map(torch.from_numpy, data.input_units()))
    if model.units is not None:
        model.units.set(*map(torch.from_numpy, data.target_units()))
