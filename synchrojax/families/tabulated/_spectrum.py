"""N(gamma) on a grid: a power law in each cell, its norm, and N where it is summed."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from synchrojax.core import Arrays, at_least
from synchrojax.families.tabulated._grid import Grid
from synchrojax.special import log_power_until

_NOTHING = -1e30  # ln of N where it is zero


class Spectrum(NamedTuple):
    """N / (the number of electrons) of each point: logarithm and slope of each cell.

    A cell with N = 0 at an end is empty, the limit of ever steeper power laws. ``log_total``: ln of
    the number of electrons.
    """

    log_n: Float[Array, "cells *points"]
    slope: Float[Array, "cells *points"]
    log_total: Float[Array, "*points"]


def spectrum_of(gamma: Float[Arrays, " k"], n: Float[Arrays, "k *points"]) -> Spectrum:
    """Of N >= 0 at increasing Lorentz factors, above 0 at two neighbours at least."""
    there: Bool[Array, "k *points"] = n > 0.0
    full = there[:-1] & there[1:]
    log_n = jnp.log(jnp.where(there, n, 1.0))

    def column(values: Float[Array, " any"]) -> Float[Array, "any *ones"]:
        return values.reshape(-1, *(1,) * (n.ndim - 1))

    length = column(jnp.log1p((gamma[1:] - gamma[:-1]) / gamma[:-1]))
    rise = jnp.where(full, log_n[1:] - log_n[:-1], 0.0)
    slope = rise / length
    number = log_n[:-1] + column(jnp.log(gamma[:-1])) + log_power_until(slope + 1.0, length)
    number = jnp.where(full, number, _NOTHING)
    top = jax.lax.stop_gradient(jnp.max(number, 0))
    total = top + jnp.log(at_least(jnp.sum(jnp.exp(number - top), 0), 1e-30))
    return Spectrum(jnp.where(full, log_n[:-1] - total, _NOTHING), slope, total)


def at_nodes(spectrum: Spectrum, grid: Grid) -> Float[Array, "dense *points"]:
    """ln of N d gamma where it is summed, for one electron."""
    ones = (1,) * (spectrum.log_n.ndim - 1)
    along, weight = (v.reshape(-1, *ones) for v in (grid.along, grid.weight))
    here = spectrum.log_n[grid.cell] + spectrum.slope[grid.cell] * along
    return at_least(here, _NOTHING) + jnp.log(weight)
