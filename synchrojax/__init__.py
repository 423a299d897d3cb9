"""synchrojax: polarized synchrotron transfer coefficients, exact, fast and differentiable.

``load("thermal").coefficients(params)`` evaluates a trained network, ``exact.coefficients`` the
integrals. CGS, fluid frame; signs and shapes are described in the README.
"""

import importlib
from typing import Any

from synchrojax import (
    core,
    distributions,
    exact,
    families,
    model,
    networks,
    special,
    tables,
    transfer,
)
from synchrojax.core import Coefficients, LogCoefficients, SkyCoefficients, as_array, rotate
from synchrojax.families import Family
from synchrojax.model import Model, load, models

__all__ = [
    "Coefficients",
    "Family",
    "LogCoefficients",
    "Model",
    "SkyCoefficients",
    "as_array",
    "core",
    "distributions",
    "exact",
    "families",
    "generate",
    "load",
    "model",
    "models",
    "networks",
    "rotate",
    "special",
    "tables",
    "train",
    "transfer",
    "validate",
]
__version__ = "0.1.0"

# imported where they are used, since they bring SciPy's statistics and Optax along
_LATER = ("generate", "train", "validate")


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return importlib.import_module(f"synchrojax.{name}")
    raise AttributeError(f"module 'synchrojax' has no attribute {name!r}")
