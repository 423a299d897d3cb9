"""Training: from a table to a model file.

``train`` for the networks of a distribution, ``train_table`` for a table of the user's own; both
are the one loop ``run`` with an optimiser that makes its steps. It may import generate, model and
what lies below them.

Adding an optimiser: an object with ``start``, ``update`` and ``exhausted`` (``Optimiser``), beside
``LevenbergMarquardt`` and ``Gradient``, which takes whatever Optax has. ``run`` gives it
checkpoints, history, patience and progress.
"""

from synchrojax.train._around import split
from synchrojax.train._distribution import fit, train
from synchrojax.train._loop import Optimiser, Plan, State, TrainingError, run
from synchrojax.train._optimisers import Gradient, LevenbergMarquardt, blocks_of
from synchrojax.train._options import Options, TableOptions
from synchrojax.train._table import held_out, lock, train_table

__all__ = [
    "Gradient",
    "LevenbergMarquardt",
    "Optimiser",
    "Options",
    "Plan",
    "State",
    "TableOptions",
    "TrainingError",
    "blocks_of",
    "fit",
    "held_out",
    "lock",
    "run",
    "split",
    "train",
    "train_table",
]
