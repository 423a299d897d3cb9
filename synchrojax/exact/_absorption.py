"""The six integrals of emission and absorption.

Two outer rules share one integrand: Gauss-Legendre in the laboratory Lorentz factor where harmonics
overlap, and the sum over harmonics n = a where they do not. There the rotativities gain the
principal value of cot(pi a) times the absorption kernels (Newberger's sum rule). Kernels from
Leung, Gammie & Noble 2011 (ApJ 737, 21).
"""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import erfc
from jaxtyping import Array, Float

from synchrojax.core import Reals
from synchrojax.distributions import HIGHEST_GAMMA
from synchrojax.exact._phase_space import (
    DROP,
    GROWTH,
    HarmonicSlices,
    Integrand,
    LabSlices,
    Resolution,
    Slices,
    arccosh,
    bessel_at,
    best,
    chi_edges,
    follow,
    log_slope,
    panel_between,
    panels_between,
    scan_pieces,
    slice_nodes,
)
from synchrojax.special import (
    gregory_weights,
    scan,
)

_SIDE = 1e-12  # relative distance from a break at which f is taken for its limit
# of f with breaks: harmonics above s' that are summed, half of the last ones; over how many that
# share falls; and the most of them, at which 1e-10 of it is left
_SUMMED, _BLUR, _MOST_ORDERS = 30.0, 10.0, 128
_PHASES = 8, 16  # samples of the harmonic phase in the principal value: s' >= 5, below


def absorption_sums(
    here: Integrand,
    frozen: Integrand,
    slices: Slices,
    outer: Float[Array, " slices"],
    weight: Float[Array, " slices"],
    top: Float[Array, ""],
    nodes: int,
    small_orders: bool,
    share: Callable | None = None,
) -> Float[Array, "6"]:
    """[f k_I, f k_Q, f k_V, Df k_I, Df k_Q, Df k_V] summed over slices, divided by exp(top).

    ``share``: of a node, by its Bessel order.
    """

    def row(outer: Float[Array, ""], weight: Float[Array, ""]) -> Float[Array, "6"]:
        v, dv = slice_nodes(here, frozen, slices, outer, nodes)
        node = slices.node(here, outer, v)
        pair = bessel_at(here, node, small_orders=small_orders, second_kind=False)
        f = slices.measure(here, outer) * weight * dv * node.w
        # the bound matters only where exp(top) underflows and the scan missed a needle of a peak
        f = f * jnp.exp(
            jnp.minimum(here.log_f(node.gamma, node.mu, node.across) - 2.0 * pair.xi - top, 300.0)
        )
        f = f if share is None else f * share(here.s_perp * node.g)
        parallel, perpendicular = (node.u * pair.j) ** 2, (node.u_perp * pair.dj) ** 2
        cross = -2.0 * node.u * node.u_perp * pair.j * pair.dj
        kernels = jnp.stack([parallel + perpendicular, parallel - perpendicular, cross])
        return jnp.concatenate(
            [
                jnp.sum(kernels * f[None], -1),
                jnp.sum(kernels * (f * log_slope(here, node))[None], -1),
            ]
        )

    return jnp.sum(jax.vmap(row)(outer, weight), 0)


def jump_rows(here: Integrand) -> Iterator[tuple[Float[Array, "1"], Float[Array, "1"]]]:
    """Outer nodes and weights with which sums over slices give the delta functions at jumps.

    df/dgamma = +-f delta(gamma - edge), and dgamma = sinh(chi) dchi. No electron moves at gamma =
    1.
    """
    for gamma, sign in here.jumps if here.edges == "keep" else ():
        moving = gamma > 1.0 + 1e-12
        chi = arccosh(jnp.where(moving, gamma, 2.0))
        yield chi[None], jnp.where(moving, sign / jnp.sinh(chi), 0.0)[None]


def break_rows(here: Integrand) -> tuple[Float[Array, " slices"], Float[Array, " slices"]]:
    """The same for the jumps at breaks: what f is just above less what it is just below."""
    gamma = jnp.cosh(chi_edges(here)[1:-1])
    chi = arccosh(jnp.concatenate([gamma * (1.0 + _SIDE), gamma * (1.0 - _SIDE)]))
    return chi, jnp.repeat(jnp.array([1.0, -1.0]), len(gamma)) / jnp.sinh(chi)


def absorption_jumps(
    here: Integrand, frozen: Integrand, top: Float[Array, ""], nodes: int, small_orders: bool
) -> Float[Array, "6"]:
    """What the jumps of f add to the last three of ``absorption_sums``, harmonics averaged."""
    total = jnp.zeros(3)
    for chi, weight in [*jump_rows(here), *([] if here.breaks is None else [break_rows(here)])]:
        total += absorption_sums(here, frozen, LabSlices, chi, weight, top, nodes, small_orders)[:3]
    return jnp.concatenate([jnp.zeros(3), total])


def continuous_sums(
    here: Integrand,
    frozen: Integrand,
    resolution: Resolution,
    small_orders: bool,
    share: Callable | None = None,
) -> tuple[Float[Array, "6"], Float[Array, ""]]:
    """The six absorption integrals and the logarithm of their unit."""
    fixed: Any  # two ends, or edges
    live: Any

    def height(chi: Float[Array, ""]) -> Float[Array, ""]:
        return best(frozen, LabSlices, chi) + GROWTH * chi

    if here.breaks is None:
        fixed, live = ([arccosh(b) for b in i.bounds] for i in (frozen, here))
        *ends, top = scan(height, fixed[0], fixed[1], DROP)
        low, high = map(follow, ends, fixed, live)
        chi, weight = panel_between(here, low, high, resolution.outer)
    else:
        fixed, live = chi_edges(frozen), chi_edges(here)
        lo, hi, tops = scan_pieces(height, fixed, DROP)
        top = jnp.max(tops)
        lo, hi = follow(lo, fixed[:-1], live[:-1]), follow(hi, fixed[1:], live[1:])
        chi, weight = panels_between(here, lo, hi, resolution.outer)
    return absorption_sums(
        here, frozen, LabSlices, chi, weight, top, resolution.inner, small_orders, share
    ), top


def _orders(
    here: Integrand, start: Float[Array, ""], end: Float[Array, ""], count: int
) -> tuple[Float[Array, " orders"], Float[Array, " orders"]]:
    """Bessel orders and weights of the sum over start, start + 1, ... up to ``end``.

    Of more than twice ``count``, the first few and an integral with Gregory's correction.
    """
    each = start + jnp.arange(2 * count)
    each_weight = jnp.where(each <= end, 1.0, 0.0)
    corner = start + (count - 1.0)
    log_a, tail_weight = panel_between(
        here, jnp.log(corner), jnp.log(jnp.maximum(end, corner)), count
    )
    mixed = jnp.concatenate([each[:count], jnp.exp(log_a)])
    mixed_weight = jnp.concatenate([gregory_weights(count, 9), tail_weight * jnp.exp(log_a)])
    few = end - start < 2 * count
    return jnp.where(few, each, mixed), jnp.where(few, each_weight, mixed_weight)


def _after(value: Float[Array, ""], edge: Float[Array, ""], phase: Reals) -> Float[Array, ""]:
    """The first n + phase that matters and is beyond an edge."""
    start = jnp.floor(value - phase) + phase
    return jnp.where(start <= edge, start + 1.0, start)


def summed_share(s_perp: Float[Array, ""]) -> Callable:
    """Bessel order -> which share of f with breaks is summed over harmonics.

    What is left is smooth over many harmonics, so that its sum is its integral.
    """
    middle = s_perp + _SUMMED

    def share(order: Float[Array, "*nodes"]) -> Float[Array, "*nodes"]:
        return 0.5 * erfc(jnp.log(order / middle) * (middle / _BLUR))

    return share


def harmonic_sums(
    here: Integrand, frozen: Integrand, resolution: Resolution, small_orders: bool
) -> tuple[Float[Array, "6"], Float[Array, ""], Float[Array, "3"]]:
    """The same as sums over harmonics, and the principal values that the rotativities gain."""
    if here.breaks is None:
        highest = arccosh(jnp.maximum(2.0 * frozen.bounds[1], 2.0 + 4.0 / frozen.s_perp))

        def order(eta: Float[Array, "*edges"]) -> Float[Array, "*edges"]:
            return frozen.s_perp * jnp.cosh(eta)

        def height(eta: Float[Array, ""]) -> Float[Array, ""]:
            return best(frozen, HarmonicSlices, order(eta)) + GROWTH * eta

        lo, hi, top = scan(height, jnp.zeros(()), highest, DROP)

        def orders(phase: Reals, count: int) -> tuple[Float[Array, " orders"], ...]:
            start = _after(order(lo), frozen.s_perp, phase)
            return _orders(here, start, jnp.maximum(order(hi), start) + 2.0, count)
    else:
        share = summed_share(frozen.s_perp)

        def orders(phase: Reals, count: int) -> tuple[Float[Array, " orders"], ...]:
            a = _after(frozen.s_perp, frozen.s_perp, phase) + jnp.arange(_MOST_ORDERS)
            return a, share(a)

        places = orders(0.5, 0)[0]
        top = jnp.max(jax.lax.map(lambda a: best(frozen, HarmonicSlices, a), places))

    def total(phase: Reals, count: int, nodes: int) -> Float[Array, "6"]:
        """Sum of K(n + phase) over integers n."""
        a, weight = orders(phase, count)
        return absorption_sums(here, frozen, HarmonicSlices, a, weight, top, nodes, small_orders)

    count = _PHASES[small_orders]
    phases = (np.arange(count) + 0.5) / count
    shifted = jax.lax.map(
        lambda phase: total(phase, *resolution.principal)[3:], jnp.asarray(phases)
    )
    # principal value of Int da cot(pi a) K(a): exact for the first count - 1 Fourier modes
    cot = jnp.asarray(1.0 / np.tan(np.pi * phases)) / count
    return total(0.0, resolution.harmonics, resolution.inner), top, jnp.tensordot(cot, shifted, 1)


def without_end(here: Integrand) -> tuple[Integrand, Any]:
    """f continued above its upper jump, and the part above, or None without such a jump.

    A sharp end far up, where harmonics overlap by far, would cut single ones off: it is taken by
    the integral.
    """
    tops = [gamma for gamma, sign in here.jumps if sign < 0.0]
    if not tops:
        return here, None
    end = jnp.full_like(tops[0], 10.0 * HIGHEST_GAMMA)
    return here._replace(bounds=(here.bounds[0], end)), here._replace(bounds=(tops[0], end))
