"""synchrojax: polarized synchrotron transfer coefficients, exact, fast and differentiable.

``load("thermal").coefficients(params)`` evaluates a trained network, ``exact.coefficients`` the
integrals. CGS, fluid frame; signs and shapes are described in the README.
"""

from synchrojax import distributions, exact, transfer
from synchrojax.core import Coefficients, SkyCoefficients, as_array, rotate
from synchrojax.families import Family
from synchrojax.model import Model, load, models

__all__ = [
    "Coefficients",
    "Family",
    "Model",
    "SkyCoefficients",
    "as_array",
    "distributions",
    "exact",
    "load",
    "models",
    "rotate",
    "transfer",
]
__version__ = "0.1.0"
