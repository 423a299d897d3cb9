"""The kernels of one electron times N, summed over a grid."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from synchrojax.core import Points, kept, product, reciprocal, square_root
from synchrojax.families._base import Dimensionless
from synchrojax.families.monoenergetic import kernels as physics
from synchrojax.families.tabulated._grid import Grid


def _stokes(
    log_i: Float[Array, "dense *points"],
    q: Float[Array, "dense *points"],
    v: Float[Array, "dense *points"],
) -> tuple[Points, Points, Points]:
    """ln I, Q / I and V / I of a sum of what has these."""
    top = jax.lax.stop_gradient(jnp.max(log_i, 0))
    size = jnp.exp(log_i - top)
    total, linear, circular = (jnp.sum(term, 0) for term in (size, size * q, size * v))
    over = reciprocal(total)
    return top + jnp.log(total), linear * over, circular * over


def summed(
    network: physics.Network,
    p: physics.Direction,
    grid: Grid,
    log_number: Float[Array, "dense *points"],
) -> Dimensionless:
    """The eight for one electron per cm^3.

    ``log_number``: ln of N d gamma at the nodes of the sum.
    """
    ones = (1,) * p.s.ndim
    nodes, log_gamma = (v.reshape(-1, *ones) for v in (grid.nodes, grid.log_gamma))
    nodes = jnp.broadcast_to(nodes, (len(nodes), *p.s.shape))
    each = physics.Direction(*(jnp.broadcast_to(v[None], nodes.shape) for v in p))
    found = jnp.stack(kept(list(physics.smooth(network, each, nodes))), 1)
    found = physics.Smooth(*jnp.moveaxis(product(grid.between, found), 1, 0))
    c = physics.kernels(p.cosine[None], log_gamma, found)
    number = jnp.exp(log_number)
    unit_q, unit_v = physics.turn_units(p)
    return Dimensionless(
        *_stokes(c.log_j + log_number, c.j_q, c.j_v),
        *_stokes(c.log_alpha + log_number, c.alpha_q, c.alpha_v),
        unit_q * jnp.sum(number * c.rho_q, 0),
        unit_v * jnp.sum(number * c.rho_v, 0),
    )
