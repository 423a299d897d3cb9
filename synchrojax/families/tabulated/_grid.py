"""Where the kernels of one electron are evaluated for a grid of gamma, and where N is summed.

Kernels change slowly but for one exponential, which has a logarithm. They are evaluated at the
nodes of a few panels between both ends of the grid, whatever lies between, and their logarithms are
interpolated to Gauss-Legendre nodes in each cell. The positions are those of the grid alone: all
points of a call share them.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from synchrojax.core import Arrays
from synchrojax.special import legendre

PANELS, ORDER = 20, 6  # of kernels: 20 panels of 6 Chebyshev nodes
_DENSE = 320  # nodes at which N is summed, about; at least ``_FEWEST`` in each cell
_FEWEST = 2
_MILD = 0.05  # gamma - 1 below which the coordinate is gamma itself, above its logarithm
_CHEBYSHEV = 0.5 - 0.5 * np.cos(np.pi * (np.arange(ORDER) + 0.5) / ORDER)


class Grid(NamedTuple):
    """Positions of one grid of gamma.

    ``nodes``: ln(gamma) of the kernels, a row for each panel; ``panel``, ``between``: where what is
    summed lies, and what interpolates there from a panel's nodes; ``log_gamma``,
    ``weight``: ln(gamma) and d gamma of what is summed, ``cell``: of which cell of the grid,
    ``along``: ln(gamma) above its lower end, and ``part``: of which part of the sum. Parts lie
    between neighbouring ends of cells and panels; ``last`` is the uppermost part of each cell,
    ``depth`` its length in ln(gamma); ``length``, ``top``: that of the cell, and ln(gamma)
    at its upper end.
    """

    nodes: Float[Array, "panels order"]
    panel: Int[Array, " dense"]
    between: Float[Array, "dense order"]
    log_gamma: Float[Array, " dense"]
    weight: Float[Array, " dense"]
    cell: Int[Array, " dense"]
    along: Float[Array, " dense"]
    part: Int[Array, " dense"]
    last: Int[Array, " cells"]
    depth: Float[Array, " cells"]
    top: Float[Array, " cells"]
    length: Float[Array, " cells"]


def _cardinal(position: Float[Array, " dense"]) -> Float[Array, "dense order"]:
    """Lagrange polynomials of the Chebyshev nodes on [0, 1]."""
    apart = position[:, None] - _CHEBYSHEV.astype(position.dtype)[None]
    rows = []
    for i, node in enumerate(_CHEBYSHEV):
        others = np.delete(np.arange(ORDER), i)
        scale = float(1.0 / np.prod(node - _CHEBYSHEV[others]))
        rows.append(scale * jnp.prod(apart[:, others], axis=1))
    return jnp.stack(rows, -1)


def grid_of(gamma: Float[Arrays, " k"]) -> Grid:
    """``Grid`` of increasing Lorentz factors from 1 up."""
    k = gamma.shape[0]
    # positions count from there, and stay where it moves
    lowest = jax.lax.stop_gradient(gamma[0])
    scale = (lowest - 1.0) + _MILD
    # distances from the lowest gamma, so that narrow grids keep their digits
    ends = jnp.log1p((gamma - lowest) / scale)
    width = jax.lax.stop_gradient(ends[-1]) / PANELS
    inner = width * jnp.arange(1, PANELS, dtype=gamma.dtype)
    edges = jnp.sort(jnp.concatenate([ends, inner]))
    middle = jax.lax.stop_gradient(0.5 * (edges[:-1] + edges[1:]))
    x, w = (a.astype(gamma.dtype) for a in legendre(max(_DENSE // (k + PANELS), _FEWEST)))
    wide = edges[1:] - edges[:-1]
    y = (edges[:-1, None] + wide[:, None] * x[None]).ravel()
    cell = jnp.clip(jnp.searchsorted(ends, middle) - 1, 0, k - 2)
    panel = jnp.clip((middle / width).astype(int), 0, PANELS - 1)
    last = jnp.clip(jnp.searchsorted(edges, ends[1:]) - 1, 0, len(wide) - 1)
    part = jnp.arange(len(wide))
    cell, panel, part = (jnp.repeat(v, len(x)) for v in (cell, panel, part))
    above = scale * jnp.expm1(y)
    base = gamma[cell]
    nodes = width * (jnp.arange(PANELS)[:, None] + _CHEBYSHEV.astype(gamma.dtype)[None])
    start, below = jnp.log(lowest), lowest + scale * jnp.expm1(edges[:-1])

    def log_gamma(y: Float[Array, "*any"]) -> Float[Array, "*any"]:
        return start + jnp.log1p(scale * jnp.expm1(y) / lowest)

    return Grid(
        jax.lax.stop_gradient(log_gamma(nodes)),
        panel,
        _cardinal(y / width - panel),
        log_gamma(y),
        scale * jnp.exp(y) * (wide[:, None] * w[None]).ravel(),
        cell,
        jnp.log1p((above - (base - lowest)) / base),
        part,
        last,
        jnp.log1p(scale * jnp.exp(edges[last]) * jnp.expm1(wide[last]) / below[last]),
        jnp.log(gamma[1:]),
        jnp.log1p((gamma[1:] - gamma[:-1]) / gamma[:-1]),
    )


def interpolated(
    grid: Grid, values: Float[Arrays, "panels order *rows"]
) -> Float[Array, "dense *rows"]:
    """From the nodes of the kernels to those of the sum."""
    ones = (1,) * (values.ndim - 2)
    # few nodes count at each position: a full matrix would be nearly all zeros
    terms = (grid.between[:, i].reshape(-1, *ones) * values[:, i][grid.panel] for i in range(ORDER))
    return functools.reduce(jnp.add, terms)
