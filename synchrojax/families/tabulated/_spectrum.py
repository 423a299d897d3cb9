"""N(gamma) on a grid: a power law in each cell, its norm, and N where it is summed."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from synchrojax.core import Arrays, at_least, within
from synchrojax.distributions import cells_of, log_number
from synchrojax.families.tabulated._grid import Grid
from synchrojax.special import legendre

_FEW = 8  # nodes near the end of the spectrum
_STEEPEST = 60.0  # power of gamma across a part that they are placed for
NOTHING = -1e30  # ln of N where it is zero


class Spectrum(NamedTuple):
    """N / (the number of electrons) of each point: logarithm and slope of each cell.

    A cell with N = 0 at an end is empty, the limit of ever steeper power laws. ``end``: the
    uppermost cell that is not empty.
    """

    log_n: Float[Array, "cells *points"]
    slope: Float[Array, "cells *points"]
    end: Int[Array, "*points"]


def spectrum_of(gamma: Float[Arrays, " k"], log_n: Float[Arrays, "k *points"]) -> Spectrum:
    """Of ln(N) at increasing Lorentz factors, N > 0 at two neighbours at least."""
    cells = cells_of(gamma, log_n)
    end = len(cells.full) - 1 - jnp.argmax(cells.full[::-1], axis=0)
    log_n = jnp.where(cells.full, cells.log_n - log_number(gamma, cells)[None], NOTHING)
    return Spectrum(log_n, cells.slope, end)


def at_nodes(spectrum: Spectrum, grid: Grid) -> Float[Array, "dense *points"]:
    """ln of N d gamma where it is summed, for one electron."""
    ones = (1,) * (spectrum.log_n.ndim - 1)
    along, weight = (v.reshape(-1, *ones) for v in (grid.along, grid.weight))
    here = spectrum.log_n[grid.cell] + spectrum.slope[grid.cell] * along
    return at_least(here, NOTHING) + jnp.log(weight)


def near_end(
    spectrum: Spectrum, grid: Grid, steepness: Float[Arrays, "*points"]
) -> tuple[Float[Array, "few *points"], Float[Array, "few *points"]]:
    """(ln(gamma), ln of N d gamma) in the uppermost part that is not empty, nodes close to its end.

    ``steepness``: about the power of gamma that the kernels grow with there.
    """
    end = spectrum.end
    log_n, slope = (
        jnp.take_along_axis(v, end[None], 0)[0] for v in (spectrum.log_n, spectrum.slope)
    )
    depth, top = grid.depth[end], grid.top[end]
    length = grid.length[end]
    power = jax.lax.stop_gradient(within((steepness + slope + 1.0) * depth, 0.01, _STEEPEST))
    x, w = (v.reshape(-1, *(1,) * end.ndim).astype(log_n.dtype) for v in legendre(_FEW))
    # equal steps of exp(power ln(gamma) / depth)
    share = -jnp.expm1(-power)
    back = -jnp.log1p(-share[None] * x) * (depth / power)[None]
    weight = (share * depth / power)[None] * w / (1.0 - share[None] * x)
    log_gamma = top[None] - back
    here = log_n[None] + slope[None] * (length[None] - back)
    return log_gamma, here + jnp.log(weight) + log_gamma
