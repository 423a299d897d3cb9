"""Training: from a table to a model file.

``train`` for the networks of a distribution, ``train_table`` for a table of the user's own. It may import generate,
model and what lies below them.
"""

from synchrojax.train._train import Options, TrainingError, split, train
from synchrojax.train._train_table import TableOptions, held_out, lock, train_table

__all__ = [
    "Options",
    "TableOptions",
    "TrainingError",
    "held_out",
    "lock",
    "split",
    "train",
    "train_table",
]
