"""The two integrals of the rotativities, harmonics averaged.

Kernels from Heyvaerts et al. 2013 (MNRAS 430, 3320); the leading Debye terms are subtracted, where
they integrate to zero for every f.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from synchrojax.exact._absorption import break_rows, jump_rows
from synchrojax.exact._phase_space import (
    DROP,
    Integrand,
    LabSlices,
    Node,
    Resolution,
    arccosh,
    bessel_at,
    bessel_exponent,
    chi_edges,
    chosen,
    follow,
    log_slope,
    panel_between,
    panels_between,
    scan_pieces,
)
from synchrojax.special import (
    debye_products,
    maximise,
    scan,
)

_DEBYE_FROM = 25.0  # xi from which the Debye products are used


def _rapidities(
    here: Integrand, frozen: Integrand, resolution: Resolution
) -> tuple[Float[Array, " slices"], Float[Array, " slices"], Float[Array, ""]]:
    """chi = arccosh(gamma) where f matters, its weights, and the highest logarithm of f gamma^3."""
    live: Any  # two ends, or edges

    def height(chi: Float[Array, ""]) -> Float[Array, ""]:
        mu = jnp.array([-1.0, -0.7, 0.0, 0.7, 1.0])
        return jnp.max(frozen.log_f(jnp.cosh(chi) + 0.0 * mu, mu, 1.0 - mu**2)) + 3.0 * jnp.log(
            jnp.sinh(chi) + 1e-300
        )

    if here.breaks is None:
        (lo, hi), live = ([arccosh(b) for b in i.bounds] for i in (frozen, here))
        _, end, top = scan(height, lo, hi, DROP + 6.0)
        panel = panel_between(here, live[0], follow(end, hi, live[1]), resolution.rotation_outer)
        return *panel, top
    fixed, live = chi_edges(frozen), chi_edges(here)
    _, hi, tops = scan_pieces(height, fixed, DROP + 6.0)
    top = jnp.max(tops)
    panels = panels_between(
        here, live[:-1], follow(hi, fixed[1:], live[1:]), resolution.rotation_outer
    )
    return *panels, top


def _kernels(
    here: Integrand, node: Node, small_orders: bool, debye: bool
) -> Float[Array, "2 nodes"]:
    """The kernels of rho_Q and rho_V, leading Debye terms removed."""
    root = here.s_perp * node.w  # sqrt(a^2 - z^2)
    if debye:
        jy, both, slope = debye_products((node.u_perp / node.w) ** 2, 1.0 / root)
    else:
        z = here.s_perp * node.u_perp
        pair = bessel_at(here, node, small_orders=small_orders)
        jy = -pair.j * pair.y * root * jnp.pi - 1.0
        both = jy + pair.dj * pair.dy * jnp.pi * z * z / root - 1.0
        slope = (pair.dj * pair.y + pair.j * pair.dy) * jnp.pi * z
    # u'^2 = w^2 - 1: each term is small where the wave runs along B, as rho_Q is
    k_q = (both * node.w - jy / node.w) / (jnp.pi * here.s_perp)
    return jnp.stack([k_q, node.u * slope / (jnp.pi * here.s_perp)])


def _transition(
    exponent: Callable, middle: Float[Array, ""], end: Float[Array, ""]
) -> Float[Array, ""]:
    """The rapidity between middle and end at which xi, rising, reaches _DEBYE_FROM."""

    def bisect(
        _: Any, state: tuple[Float[Array, ""], Float[Array, ""]]
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        inside, outside = state
        half = 0.5 * (inside + outside)
        far = exponent(half) > _DEBYE_FROM
        return jnp.where(far, inside, half), jnp.where(far, half, outside)

    outside = jax.lax.fori_loop(0, 20, bisect, (middle, end))[1]
    return jnp.where(exponent(middle) > _DEBYE_FROM, middle, outside)


def slice_rotation(
    here: Integrand,
    frozen: Integrand,
    resolution: Resolution,
    small_orders: bool,
    chi: Float[Array, ""],
    weight: Float[Array, ""],
    top: Float[Array, ""],
    slope: Callable,
) -> Float[Array, "2"]:
    """The part of electrons with gamma = cosh(chi), over exp(top).

    ``slope``: (here, node) -> D ln f there, or 1 for f itself. Bessel functions are taken in the
    middle, Debye products outside.
    """
    still = jax.lax.stop_gradient(chi)

    def exponent(v: Float[Array, ""]) -> Float[Array, ""]:
        return bessel_exponent(frozen, LabSlices.node(frozen, still, v))

    def integrate(
        outer: Float[Array, ""], inner: Float[Array, ""], nodes: int, debye: bool
    ) -> Float[Array, "2"]:
        # along B, f may vanish like a fractional power of the distance from the end of the
        # slice
        cluster = resolution.rotation_cluster if debye else 1
        x, slant, dx = chosen(here, nodes, lambda x, dx: (x**cluster, x ** (cluster - 1), dx))
        v = outer + (inner - outer) * x
        dv = jnp.abs(inner - outer) * cluster * slant * dx
        node = LabSlices.node(here, chi, v)
        f = weight * dv * node.w * jnp.exp(here.log_f(node.gamma, node.mu, node.across) - top)
        kernels = _kernels(here, node, small_orders, debye)
        return jnp.sum(kernels * (f * slope(here, node))[None], -1)

    left, right = LabSlices.limits(frozen, still)
    middle = maximise(lambda v: -exponent(v), left, right, 22)[0]
    near_left, near_right = (_transition(exponent, middle, end) for end in (left, right))
    left, right = LabSlices.limits(here, chi)
    near, far = resolution.rotation_inner
    return LabSlices.measure(here, chi) * (
        integrate(near_left, middle, near, False)
        + integrate(middle, near_right, near, False)
        + integrate(left, near_left, far, True)
        + integrate(right, near_right, far, True)
    )


def rotativity_sums(
    here: Integrand, frozen: Integrand, resolution: Resolution, small_orders: bool
) -> tuple[Float[Array, "2"], Float[Array, ""]]:
    """Int dg' du' Df {rho_Q, rho_V kernels}, harmonics averaged, and the logarithm of the unit."""
    chis, weights, top = _rapidities(here, frozen, resolution)

    def row(chi: Float[Array, ""], weight: Float[Array, ""], slope: Callable) -> Float[Array, "2"]:
        return slice_rotation(here, frozen, resolution, small_orders, chi, weight, top, slope)

    if here.breaks is None:
        total = jnp.sum(jax.vmap(lambda chi, weight: row(chi, weight, log_slope))(chis, weights), 0)
    else:  # the jumps at breaks in the same loop: it takes long to compile

        def any_row(
            chi: Float[Array, ""], weight: Float[Array, ""], jump: Bool[Array, ""]
        ) -> Float[Array, "2"]:
            return row(chi, weight, lambda here, node: jnp.where(jump, 1.0, log_slope(here, node)))

        jump_chis, jump_weights = break_rows(here)
        jump = np.arange(len(chis) + len(jump_chis)) >= len(chis)
        both = jnp.concatenate([chis, jump_chis]), jnp.concatenate([weights, jump_weights])
        total = jnp.sum(jax.vmap(any_row)(*both, jnp.asarray(jump)), 0)
    for chi, weight in jump_rows(here):
        total += row(chi[0], weight[0], lambda here, node: 1.0)
    return total, top
