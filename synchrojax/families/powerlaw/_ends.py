"""Both ends of a power law, joined without losing digits."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float

from synchrojax.core import (
    Arrays,
    Points,
    Reals,
    at_least,
    at_most,
    fused,
    kept,
    limit_polarization,
    reciprocal,
    within,
)
from synchrojax.families._base import Dimensionless, Networks
from synchrojax.families._box import above
from synchrojax.families.powerlaw import _anisotropy
from synchrojax.families.powerlaw import _cumulative as physics

# s and s sin(theta) down to which corrections run on below the box
LOWEST = 2.0


def _shares(a: Reals, b: Reals, gap: Reals) -> tuple[Reals, ...]:
    """exp(-|a|), 1 / (1 + exp(-|a|)), the same of b, exp(-gap) and 1 - exp(-gap)."""
    near, far = jnp.exp(-jnp.abs(a)), jnp.exp(-jnp.abs(b))
    return near, reciprocal(1.0 + near), far, reciprocal(1.0 + far), -jnp.expm1(-gap)


@jax.custom_jvp
def _log_between(a: Reals, b: Reals, gap: Reals) -> Reals:
    """ln of sigma(a) sigma(-b) (1 - exp(-gap)), without overflow."""
    _, near, _, far, between = _shares(a, b, gap)
    return at_most(a, 0.0) - at_least(b, 0.0) + jnp.log(near * far * between)


@_log_between.defjvp
def _log_between_slope(
    primals: tuple[Reals, Reals, Reals], tangents: tuple[Reals, Reals, Reals]
) -> tuple[Reals, Reals]:
    (a, b, gap), (da, db, dgap) = primals, tangents
    small_a, near, small_b, far, between = _shares(a, b, gap)
    by_a = jnp.where(a > 0.0, small_a, 1.0) * near
    by_b = jnp.where(b > 0.0, 1.0, small_b) * far
    by_gap = (1.0 - between) * reciprocal(between)
    return _log_between(a, b, gap), by_a * da - by_b * db + by_gap * dgap


class _Start(NamedTuple):
    """A point, the logarithm of its norm, and what goes into the networks that know no end."""

    p: physics.Point
    log_norm: Points
    isotropic: physics.Features
    turned: Any  # like the inputs of ``_anisotropy.Known``, or none


def _start_of(p: physics.Point) -> _Start:
    turned = None if p.k is None else _anisotropy.total_inputs(p)
    return _Start(p, physics.log_norm(p), physics.total_features(p), turned)


class _Ends(NamedTuple):
    """A point, its two ends along a new first axis, and what is known there."""

    p: physics.Point
    edge: physics.Edge
    isotropic: physics.Known
    turned: Any  # ``_anisotropy.Known``, or none


def _ends_of(p: physics.Point, total: physics.Features, gamma: Points) -> _Ends:
    edge = kept(physics.edge_at(p, gamma))
    known = physics.known_at(p, edge, total)
    turned = None if p.k is None else _anisotropy.known_at(p, edge, known)
    return _Ends(p, edge, known, turned)


class _Learned(NamedTuple):
    """What networks make of ``_Start`` and ``_Ends``."""

    total: Float[Arrays, "6 *points"]
    isotropic: physics.Learned
    total_turned: Any
    turned: Any


def _learned(networks: Networks, start: _Start, ends: _Ends) -> _Learned:
    total = networks["total"](jnp.stack(start.isotropic))
    following = physics.following(networks, start.isotropic)
    both = jnp.stack([following, following])
    isotropic = physics.learned_at(networks, ends.p, ends.edge, ends.isotropic, both)
    if start.turned is None:
        return _Learned(total, isotropic, None, None)
    total_turned = networks["pitch_total"](jnp.stack(start.turned[0]))
    turned = _anisotropy.learned_at(networks, ends.p, ends.edge, ends.turned)
    return _Learned(total, isotropic, total_turned, turned)


def _joined(true: physics.Point, start: _Start, ends: _Ends, learned: _Learned) -> Dimensionless:
    (p, norm, *_), edge = start, ends.edge
    found = physics.cumulative(ends.p, edge, ends.isotropic, learned.isotropic)
    total: Points = learned.total
    if start.turned is not None:
        found = _anisotropy.changed(ends.turned, learned.turned, found)
        extra = jnp.stack(start.turned[1])
        total = total + _anisotropy.combine("pitch_total", learned.total_turned, extra)
    found, known = kept((found, physics.log_odds(ends.p, edge)))
    (a, b), (high, low) = (jnp.moveaxis(v, 1, 0) for v in (found.odds, known))
    # L falls with gamma; the networks may err on that where the two ends meet. A fifth of what the
    # asymptotes fall by and 0.01 ln(gamma_max / gamma_min) are choices below what L itself does
    gap = at_least(a - b, 0.2 * (high - low))
    gap = at_least(gap, 0.01 * jnp.log(p.gamma_max / p.gamma_min)[None])
    log_j, j_q, j_v, log_alpha, alpha_q, alpha_v = (
        physics.log_totals(p) + total + _log_between(a, b, gap)
    )
    # beyond the highest s their powers of s go on, with V / I as s^(-1/2)
    rise = above(true, p)
    ratios_v = jnp.exp(j_v - log_j - 0.5 * rise), jnp.exp(alpha_v - log_alpha - 0.5 * rise)
    j = limit_polarization(-jnp.exp(j_q - log_j), p.cosine * ratios_v[0])
    alpha = -jnp.exp(alpha_q - log_alpha), p.cosine * ratios_v[1]
    # with the norm in the same exponential, since each alone may leave the range of the numbers
    unit_q, unit_v = (
        jnp.exp(norm[None] + power[None] * edge.log_gamma) for power in (2.0 - p.p, -1.0 - p.p)
    )
    above_q, above_v = (v[0] - v[1] for v in (unit_q * found.rho_q, unit_v * found.rho_v))
    fall_j, fall_alpha = _fall(true, p)
    log_j = log_j + norm + fall_j - 0.5 * (p.p + 1.0) * rise
    log_alpha = log_alpha + norm + fall_alpha - 0.5 * (p.p + 2.0) * rise
    seen = at_least(true.s, p.s), true.sine, p.cosine
    return Dimensionless(log_j, *j, log_alpha, *alpha, above_q, above_v, *seen)


def _fall(true: physics.Point, p: physics.Point) -> tuple[Points, Points]:
    """What ln j and ln alpha lose between the lowest s sin(theta) that is seen and the true one.

    Fitted to the exact harmonics down to the fundamental: within a factor of 3 for 99 % of
    electrons.
    """
    perp = p.s * p.sine
    below = jnp.log(within(true.s * true.sine / at_most(perp, LOWEST), 0.01, 1.0))
    j, alpha = (0.4 + 0.1 * p.p) * below, (0.5 + 0.12 * p.p) * below
    if p.k is None:
        return j, alpha
    # an angle that was raised has more electrons
    raised = jnp.where(perp < 1.01 * LOWEST, within(true.sine / p.sine, 0.5, 1.0), 1.0)
    turned = p.k * (jnp.log(raised) - 0.5 * below)
    return j + turned, alpha + turned


def coefficients(
    networks: Networks, true: physics.Point, clamp: Callable[[physics.Point], physics.Point]
) -> Dimensionless:
    """What the family evaluates; ``clamp``: to the nearest point of its box."""
    start = fused(lambda p: _start_of(clamp(p)), true)
    p = start.p
    both = jax.tree.map(lambda v: jnp.stack([v, v]), (p, start.isotropic))
    ends = fused(_ends_of, *kept((*both, jnp.stack([p.gamma_min, p.gamma_max]))))
    return fused(_joined, true, start, ends, _learned(networks, start, ends))
