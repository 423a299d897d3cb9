"""The truth: all eight transfer coefficients of any gyrotropic f(gamma, mu), by quadrature in float64.

``coefficients`` takes what models take, ``at_unit_frequency`` rows of a table (nu = 1 Hz, n_e = 1 cm^-3). It may import
core, special and distributions.
"""

from synchrojax.exact._integrals import FEW, at_unit_frequency, coefficients
from synchrojax.special import bessel

__all__ = [
    "FEW",
    "at_unit_frequency",
    "bessel",
    "coefficients",
]
