"""Polarized transfer along rays: Stokes parameters and depths from coefficients.

``solve``, ``depths`` and ``lengths`` take arrays along rays; ``sphere`` and ``cylinder`` give the
mean over the face of uniform ones; ``transfer.rays`` reads rays from tables and compares models
with exact coefficients along them. It may import core and, for rays, tables.
"""

from synchrojax.transfer import rays
from synchrojax.transfer._solve import (
    METHODS,
    Depths,
    Stokes,
    cylinder,
    depths,
    lengths,
    solve,
    sphere,
)

__all__ = [
    "METHODS",
    "Depths",
    "Stokes",
    "cylinder",
    "depths",
    "lengths",
    "rays",
    "solve",
    "sphere",
]
