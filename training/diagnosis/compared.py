"""The cells that docs/long_term_dependencies.md sets side by side: one task, one size, one budget."""

from collections.abc import Mapping

# The adding problem over fifty steps, 64 units, 1,600 updates of 100 rows: what no line below changes.
BASE = "adding_gru"

# What each changes of it.
COMPARED: Mapping[str, tuple[str, ...]] = {
    "RNN": ("name=adding_rnn", "architecture=elman", "training.learning_rate=1e-3"),
    "IRNN": ("name=adding_irnn", "architecture=irnn", "training.learning_rate=1e-3"),
    "LSTM": ("name=adding_lstm", "architecture=lstm"),
    "GRU": (),
    "leaky": ("name=adding_leaky", "architecture=leaky"),
    "echo state": ("name=adding_esn", "architecture=echo_state"),
    "NTM": (
        "name=adding_ntm",
        "architecture=neural_turing_machine",
        "cell.controller=feed_forward",
        "cell.slots=16",
        "cell.width=8",
        "training.learning_rate=3e-3",
        "training.clip=10",
    ),
}
