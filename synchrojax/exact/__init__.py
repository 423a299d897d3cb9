"""The truth: all eight coefficients of any gyrotropic f(gamma, mu), by quadrature in float64.

``coefficients`` takes what models take, ``at_unit_frequency`` rows of a table (nu = 1 Hz, n_e = 1
cm^-3). ``Resolution`` is how many nodes the integrals have, ``FEW`` the number of points up to
which a call is compiled to be ready soon, ``bessel`` the Bessel functions that they need. Phase
space is ``_phase_space``, the integrands are ``_absorption`` and ``_rotativities``, what runs them
is ``_evaluate``, what judges them ``_errors``. It may import core, special and distributions.
"""

from synchrojax.exact._coefficients import at_unit_frequency, coefficients
from synchrojax.exact._evaluate import FEW
from synchrojax.exact._phase_space import Resolution
from synchrojax.special import bessel

__all__ = [
    "FEW",
    "Resolution",
    "at_unit_frequency",
    "bessel",
    "coefficients",
]
