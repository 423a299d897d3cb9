"""Electron distributions f(gamma, mu), normalised to one electron: integral d^3u f = 1.

d^3u = 2 pi gamma sqrt(gamma^2 - 1) dgamma dmu with u = p / (m_e c); mu is the cosine of the
pitch angle. Isotropic: f = N(gamma) / (4 pi gamma sqrt(gamma^2 - 1)).

This room may import core and special.

Adding a distribution: a final class below ``Distribution`` in ``_packaged``, its name here in
``__all__``, an instance under its name in ``_NAMES`` (``_names``), and a line in ``UNITS``
(``core/_params``) for each new parameter. ``exact.coefficients(NAME, params)`` knows it then. What
it needs beside f to become a model is in the docstring of ``families``. Work in a clone that is
installed by ``pip install -e .``: a plain ``pip install .`` copies the package and does not see
what you edit. An f that need not be packaged is a ``Function``.
"""

from synchrojax.distributions._base import RESERVED, Absent, Distribution, require_names
from synchrojax.distributions._function import Function, written_in_jax
from synchrojax.distributions._mixture import Mixture
from synchrojax.distributions._names import PitchAngle, get_distribution
from synchrojax.distributions._packaged import (
    HIGHEST_GAMMA,
    Kappa,
    Monoenergetic,
    PowerLaw,
    Thermal,
)
from synchrojax.distributions._tabulated import (
    MOST_NODES,
    Spectra,
    Tabulated,
    cells_of,
    checked_spectrum,
    log_number,
)

__all__ = [
    "HIGHEST_GAMMA",
    "MOST_NODES",
    "RESERVED",
    "Absent",
    "Distribution",
    "Function",
    "Kappa",
    "Mixture",
    "Monoenergetic",
    "PitchAngle",
    "PowerLaw",
    "Spectra",
    "Tabulated",
    "Thermal",
    "cells_of",
    "checked_spectrum",
    "get_distribution",
    "log_number",
    "require_names",
    "written_in_jax",
]
