"""Special functions and quadrature in JAX.

Modified Bessel functions, J_a and Y_a of real order (uniform expansions, series for small orders,
Debye products) and the rules that the integrals are taken by. It may import core.

Adding a function: write it in the precision of its argument, with finite derivatives, and test it
against SciPy or mpmath beside the others.
"""

from synchrojax.special._bessel import bessel, debye_angle, debye_products, scaled_bessel
from synchrojax.special._modified_bessel import horner, scaled_k012
from synchrojax.special._powers import log_power_until, power_until
from synchrojax.special._quadrature import (
    composite,
    gregory_weights,
    kinks,
    legendre,
    maximise,
    scan,
    trim,
)

__all__ = [
    "bessel",
    "composite",
    "debye_angle",
    "debye_products",
    "gregory_weights",
    "horner",
    "kinks",
    "legendre",
    "log_power_until",
    "maximise",
    "power_until",
    "scaled_bessel",
    "scaled_k012",
    "scan",
    "trim",
]
