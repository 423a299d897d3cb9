"""Polarized transfer along rays: Stokes parameters and depths from coefficients.

``solve``, ``depths`` and ``lengths`` take arrays along rays; ``transfer.rays`` reads rays from
tables and compares models with exact coefficients along them. It may import core and, for rays,
tables.
"""

from synchrojax.transfer import rays
from synchrojax.transfer._solve import METHODS, Depths, Stokes, depths, lengths, solve

__all__ = [
    "METHODS",
    "Depths",
    "Stokes",
    "depths",
    "lengths",
    "rays",
    "solve",
]
