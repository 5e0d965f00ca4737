"""Builds a recipe's model for its data."""

import msgspec
import torch
from torch import nn

from training.architectures import ARCHITECTURES, build_cell
from training.data.data import Data
from training.errors import WrongUse
from training.model import AsTheyAre, Embedding, Fields, Numbers, SequenceModel
from training.recipe import ModelSettings, Recipe
from training.tasks import TASKS


class Shape(msgspec.Struct, frozen=True):
    """What a model must fit: symbols or numbers in, so many outputs.

    Attributes:
        symbols: kinds of an input's symbol; 0 for numbers.
        features: numbers of an input; 0 for symbols.
        outputs: numbers of an answer.
        context: numbers that say what a sequence is about; 0 where nothing is said.
        fields: symbols of an input where there are several; 0 otherwise.
        source_symbols: kinds of a source's symbol; 0 where there is no source.
        classes: whether the answers are logits, which have no units.
    """

    symbols: int
    features: int
    outputs: int
    classes: bool
    context: int = 0
    fields: int = 0
    source_symbols: int = 0


def shape_of(data: Data) -> Shape:
    """Give the shape of models for some data."""
    return Shape(
        data.symbols, data.features, data.outputs, bool(data.classes), data.context, data.fields, data.source_symbols
    )


def build_model(recipe: Recipe, shape: Shape) -> SequenceModel:
    """Build the recipe's model with fresh parameters; raises WrongUse where sizes and options do not fit."""
    sizes = recipe.model
    if shape.symbols and not sizes.embedding_size and "symbols" not in ARCHITECTURES[recipe.architecture].options:
        raise WrongUse(f"recipe '{recipe.name}': model.embedding_size must be at least 1 for symbols")
    try:
        embeds = "symbols" in ARCHITECTURES[recipe.architecture].options
        read = (shape.fields or 1) if embeds else (sizes.embedding_size or shape.features) * (shape.fields or 1)
        cell = build_cell(recipe.architecture, read, sizes.hidden_size, recipe.cell | _told(recipe, shape))
        embedding = AsTheyAre(shape.symbols, shape.fields) if embeds else _embedding(sizes, shape)
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
    if model.source_symbols and not shape.source_symbols:
        raise WrongUse(f"recipe '{recipe.name}': {recipe.architecture} writes from a source, and the data has none")
    if shape.context and model.context != shape.context:
        said = f"the data says {shape.context} numbers of each sequence, and the cell takes {model.context}"
        raise WrongUse(f"recipe '{recipe.name}': {said}")
    return model


def fresh_model(recipe: Recipe, data: Data) -> SequenceModel:
    """Build a recipe's model as training begins with it: the parameters of its seed, the units of its data."""
    torch.manual_seed(recipe.training.seed)
    model = build_model(recipe, shape_of(data))
    take_units(model, data)
    return model


def _told(recipe: Recipe, shape: Shape) -> dict[str, int]:
    """Give the options that the data decides."""
    taken = ARCHITECTURES[recipe.architecture].options
    told = {
        "source_symbols": shape.source_symbols,
        "symbols": shape.symbols,
        "classes": shape.outputs if shape.classes else 0,
    }
    return {name: count for name, count in told.items() if name in taken and count}


def _embedding(sizes: ModelSettings, shape: Shape) -> Embedding:
    if shape.fields:
        return Fields(shape.symbols, sizes.embedding_size, shape.fields)
    if shape.symbols:
        return nn.Embedding(shape.symbols, sizes.embedding_size)
    return Numbers(shape.features, sizes.embedding_size, normalise=sizes.normalise)


def take_units(model: SequenceModel, data: Data) -> None:
    """Measure the units that a model takes off its inputs and gives to its answers."""
    if isinstance(model.embedding, Numbers) and model.embedding.units is not None:
        model.embedding.units.set(*map(torch.from_numpy, data.input_units()))
    if model.units is not None:
        model.units.set(*map(torch.from_numpy, data.target_units()))
