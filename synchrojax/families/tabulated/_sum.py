"""The kernels of one electron times N, summed over a grid."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from synchrojax.core import Arrays, Points, kept, reciprocal
from synchrojax.families._base import Dimensionless
from synchrojax.families.monoenergetic import kernels as physics
from synchrojax.families.tabulated._grid import Grid, interpolated
from synchrojax.families.tabulated._spectrum import NOTHING, Spectrum, at_nodes, near_end


def _stokes(
    log_i: Float[Array, "dense *points"],
    q: Float[Array, "dense *points"],
    v: Float[Array, "dense *points"],
) -> tuple[Points, Points, Points]:
    """ln I, Q / I and V / I of a sum of what has these."""
    top = jax.lax.stop_gradient(jnp.max(log_i, 0))
    size = jnp.exp(log_i - top[None])
    total, linear, circular = (jnp.sum(term, 0) for term in (size, size * q, size * v))
    over = reciprocal(total)
    return top + jnp.log(total), linear * over, circular * over


def _at(
    network: physics.Network, p: physics.Direction, log_gamma: Float[Array, "any *points"]
) -> physics.Smooth:
    each = jax.tree.map(lambda v: jnp.broadcast_to(v[None], log_gamma.shape), p)
    return physics.Smooth(*kept(list(physics.smooth(network, each, log_gamma))))


def summed(
    network: physics.Network, p: physics.Direction, grid: Grid, spectrum: Spectrum
) -> Dimensionless:
    """The eight for one electron per cm^3."""
    ones = (1,) * p.s.ndim
    log_gamma, part = (v.reshape(-1, *ones) for v in (grid.log_gamma, grid.part))
    nodes = jnp.broadcast_to(grid.nodes.reshape(-1, *ones), (grid.nodes.size, *p.s.shape))
    rows = _at(network, p, nodes)
    shape = (*grid.nodes.shape, *p.s.shape)
    found = physics.Smooth(*kept([interpolated(grid, v.reshape(shape)) for v in rows]))
    shared = jax.tree.map(lambda v: v[None], p)
    c = physics.kernels(shared, log_gamma, found)
    log_number = at_nodes(spectrum, grid)
    # towards the end of the spectrum emission may rise by many orders in its last part
    top = jax.lax.stop_gradient(grid.top[spectrum.end])
    steepness = 4.0 / 3.0 * jnp.exp(jnp.log(p.s) - jnp.log(p.aside) - 2.0 * top)
    log_gamma, log_few = near_end(spectrum, grid, steepness)
    few = physics.kernels(shared, log_gamma, _at(network, p, log_gamma))
    log_rest = jnp.where(part == grid.last[spectrum.end][None], NOTHING, log_number)

    def joined(
        rest: Float[Arrays, "rest *points"], end: Float[Arrays, "end *points"]
    ) -> Float[Array, "all *points"]:
        return jnp.concatenate([rest, end])

    number = jnp.exp(log_number)
    return Dimensionless(
        *_stokes(
            joined(c.log_j + log_rest, few.log_j + log_few),
            joined(c.j_q, few.j_q),
            joined(c.j_v, few.j_v),
        ),
        *_stokes(
            joined(c.log_alpha + log_rest, few.log_alpha + log_few),
            joined(c.alpha_q, few.alpha_q),
            joined(c.alpha_v, few.alpha_v),
        ),
        jnp.sum(number * c.rho_q, 0),
        jnp.sum(number * c.rho_v, 0),
        p.s,
        p.sine,
        p.cosine,
    )
