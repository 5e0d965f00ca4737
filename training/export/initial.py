"""What states begin with, where that is learnt or otherwise not zero."""

import io

import numpy as np

from models.tensors import Arrays
from training.model import SequenceModel


def initial_states(model: SequenceModel) -> Arrays:
    """Give a row of each state that does not begin at zero, `[…]` by its name."""
    rows = {name: tensor[0].detach().cpu().numpy() for name, tensor in model.cell.init_state(1).items()}
    return {name: row for name, row in rows.items() if row.any()}


def export_initial(model: SequenceModel) -> bytes | None:
    """Write those rows as an .npz; None where all states begin at zero."""
    rows, file = initial_states(model), io.BytesIO()
    np.savez(file, **rows)  # type: ignore[arg-type]  # savez types its keywords as its own flag
    return file.getvalue() if rows else None
