"""The truth: all eight transfer coefficients of any gyrotropic f(gamma, mu), by quadrature in float64.

``coefficients`` takes what models take, ``hatted`` rows at unit frequency and density. It may import core, special and
distributions.
"""

from synchrojax.exact._integrals import FEW, coefficients, hatted
from synchrojax.special import bessel

__all__ = [
    "FEW",
    "bessel",
    "coefficients",
    "hatted",
]
