"""Trained models: their files, and the one call from parameters to coefficients.

It may import families, networks and what lies below them.
"""

from synchrojax.model._call import Model, blockwise, load, models
from synchrojax.model._files import (
    MODEL_FILE,
    ModelFileError,
    packaged,
    read_model,
    require_readable,
    write_model,
)
from synchrojax.model._neurosynchro import import_neurosynchro, read_dense

__all__ = [
    "MODEL_FILE",
    "Model",
    "ModelFileError",
    "blockwise",
    "import_neurosynchro",
    "load",
    "models",
    "packaged",
    "read_dense",
    "read_model",
    "require_readable",
    "write_model",
]
