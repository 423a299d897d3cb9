"""Coefficients of one electron: limits, exact exponent and learned corrections put together."""

from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from synchrojax.core import (
    ABSORPTION,
    EMISSION,
    Arrays,
    Points,
    at_least,
    at_most,
    reciprocal,
    sine_cosine,
    square_root,
    stacked,
)
from synchrojax.families._base import Dimensionless, Network
from synchrojax.families._box import S_PERP
from synchrojax.families.monoenergetic._limits import Limits, cubic, limits
from synchrojax.special import horner

# for all points along some axes
Shared: TypeAlias = Float[Arrays, "*#points"]

_LOG_EMISSION = float(np.log(EMISSION / (4.0 * np.sqrt(3.0) * np.pi**2)))
_LOG_ABSORPTION = float(np.log(ABSORPTION / (2.0 * np.sqrt(3.0) * np.pi**2)))
_LOWEST = 1.1  # of (5 / s')^(1/3), as far as it is learned
_SERIES = tuple(1.0 / (2 * k + 3) for k in range(8))  # of (artanh(q) - q) / q^3 in q^2
_SMALL = 0.3  # q below which the series holds: 0.3^16 / 19


class Direction(NamedTuple):
    """s = nu / nu_c, sin(theta) and cos(theta).

    ``aside``: sin(theta), where s sin(theta) is at least 1. Closer to B electrons that are not
    quite aligned emit into the line of sight, and kernels that are averages over harmonics would
    diverge or vanish.
    """

    s: Points
    sine: Points
    cosine: Points
    aside: Points


class Electron(NamedTuple):
    """One electron as seen from a direction, with u' where it radiates most towards the observer.

    ``across`` = gamma sin(theta); ``q`` = w / g': from 0, ultrarelativistic, to 1, at rest;
    ``lag`` = -u' gamma tan(theta); ``narrow`` = d^2 x / dv^2 / (3 x), v the rapidity of u';
    ``steep`` = -d ln x / d ln gamma / 2. The last two are 1 in the ultrarelativistic limit.
    """

    log_gamma: Points
    across: Points
    log_x: Points
    q: Points
    lag: Points
    narrow: Points
    steep: Points


class Smooth(NamedTuple):
    """What changes slowly with gamma of an electron's coefficients.

    ``log_x``; logarithms of emission and absorption but for exp(-x) and powers of gamma and beta;
    of |Q| and of |V / cos(theta)| of both in the plane (``from_plane``); rotativities over their
    limits for high frequency, and beside ln(gamma + u).
    """

    log_x: Points
    log_j: Points
    log_j_q: Points
    log_j_v: Points
    log_alpha: Points
    log_alpha_q: Points
    log_alpha_v: Points
    turn_q: Points
    turn_v: Points


def electron(p: Direction, log_gamma: Points) -> Electron:
    """x and q at the saddle of the exponent s' (g' artanh(w / g') - w) over parallel momentum."""
    square = -jnp.expm1(-2.0 * log_gamma)  # beta^2
    slow, beta, gamma = 1.0 - square, square_root(square), jnp.exp(log_gamma)
    across, along = gamma * p.aside, p.cosine * p.cosine
    # a rough form of the saddle, chosen by hand: a Newton step follows, the rest is learned
    behind = 1.0 / 3.0 + 0.13 * reciprocal(1.0 + 4.0 * across)
    lag = 1.0 - beta * behind
    # in units of gamma sin(theta), where that is large, for the range of float32: powers of q come
    # in units of its inverse
    unit = at_least(across, 1.0)
    per_unit = reciprocal(unit)
    share, less = across * per_unit, per_unit * per_unit
    # w and g' times gamma sin(theta), and 1 - q^2 = far * rest without cancellation
    width = square_root(share * share + along * lag * lag * less)
    energy = share * share + along * lag * less
    over, per_width = reciprocal(energy), reciprocal(width)
    large, far = width * over, (share * over) * share
    q = large * per_unit
    forward = share * (1.0 - lag * slow)
    rest = square * (1.0 - 2.0 * beta * behind - behind * behind * slow) * less + forward * forward
    rest = rest * over
    small = q < _SMALL
    near, distant = jnp.where(small, q, 0.0), jnp.where(small, 0.5, q)
    log_rest = jnp.log(jnp.where(small, 0.75, far * rest))
    cube = jnp.where(small, 1.0, unit)
    grow = jnp.where(  # artanh(q) - q
        small,
        large * large * large * horner(_SERIES, near * near),
        (jnp.log1p(distant) - 0.5 * log_rest - distant) * (cube * cube * cube),
    )
    # slope and curvature of the exponent with u', over far and far^2
    turn = beta * behind * per_width
    slope = large * large * turn - rest * grow
    bend = 2.0 * large * along * (turn * turn) * (over * less) + (large * large * rest) * (
        (energy * per_width) * per_width * per_width
    )
    step = slope * reciprocal(bend)
    least = energy * grow - 0.5 * along * slope * step * less
    per_least = reciprocal(least)
    log_x = jnp.log(least * per_unit) + (jnp.log(p.s) - log_gamma) + float(np.log(2.0))
    per_rest = width * reciprocal(rest)
    return Electron(
        log_gamma,
        across,
        log_x,
        q,
        lag + rest * step,
        (per_rest * bend) * (per_rest * per_least / 3.0),
        0.5
        * (energy * (large * large * large) * reciprocal(rest) - share * share * grow)
        * per_least,
    )


def inputs(
    p: Direction, e: Electron, near: Points, m: Points
) -> tuple[Float[Array, "features *points"], Float[Array, "outputs *points"]]:
    """(network input, what each of its outputs is multiplied by).

    ``near``, ``m``: of ``cubic``.
    """
    # as corrections fall: of emission as x^(1/3) / s' at low x, as 1 / (gamma sin(theta))^2 at
    # high x
    square = e.q * e.q
    fading = reciprocal(1.0 + jnp.exp(3.0 * near) / 3.0)
    emitted = square * (1.0 + jnp.exp(-2.0 * near))
    low = at_most(jnp.exp((float(np.log(S_PERP)) - jnp.log(p.s * p.aside)) / 3.0), _LOWEST)
    across = jnp.broadcast_to(2.0 * p.aside * p.aside - 1.0, m.shape)
    rows = [2.0 * m - 1.0, 2.0 * e.q - 1.0, across, jnp.broadcast_to(2.0 * low - 1.0, m.shape)]
    scales = [*[emitted] * 6, square * m * fading, emitted * fading]
    return stacked(rows), jnp.stack(scales)


def limiting(p: Direction, e: Electron, limit: Limits) -> Smooth:
    """Without what is learned."""
    x, along = jnp.exp(e.log_x), p.cosine * p.cosine
    log_across = e.log_gamma + jnp.log(p.aside)
    log_unit = at_least(log_across, 0.0)
    # (gamma sin(theta))^2 and cos(theta)^2 lag^2, whose ratio is u'^2, in units as above
    square, tilt = jnp.exp(2.0 * (log_across - log_unit)), along * jnp.exp(-2.0 * log_unit)
    tilt = tilt * e.lag * e.lag
    log_narrow = 0.5 * jnp.log(e.narrow)
    # V / |Q| where it radiates most is 2 u' sqrt(1 + u'^2)
    log_circular = jnp.log(2.0 * e.lag) + 0.5 * jnp.log(square + tilt)
    log_circular = log_circular + log_unit - 2.0 * log_across
    log_circular = log_circular + log_narrow
    # d ln / d ln gamma / 2: of what stands before the exponential, as in the limit, and of that
    growth = jnp.exp(limit.absorption - limit.emission) - x + e.steep * x
    log_wide = jnp.log(square + 2.0 * tilt) + 2.0 * (log_unit - log_across)
    log_j = limit.emission - e.log_x - log_narrow + log_wide
    return Smooth(
        e.log_x,
        log_j,
        limit.emission_q + log_narrow,
        limit.emission_v + log_circular,
        log_j + jnp.log(growth),
        limit.absorption_q + log_narrow,
        limit.absorption_v + log_circular,
        limit.turn_q,
        limit.turn_v,
    )


def smooth(network: Network, p: Direction, log_gamma: Points) -> Smooth:
    """``Smooth`` of an electron, learned corrections included."""
    e = electron(p, log_gamma)
    near, far, m = cubic(e.log_x)
    found = limiting(p, e, limits(near, far, m))
    features, scales = inputs(p, e, near, m)
    learned = network(features) * scales
    return Smooth(found.log_x, *(value + learned[k] for k, value in enumerate(found[1:])))


def kernels(p: Direction, log_gamma: Shared, found: Smooth) -> Dimensionless:
    """Put together at the electron's gamma.

    Limits of the rotativities for high frequency: those of Shcherbakov & Huang 2011 (MNRAS 410,
    1052) are their averages over thermal electrons.
    """
    gamma, x = jnp.exp(log_gamma), jnp.exp(found.log_x)
    beta = square_root(-jnp.expm1(-2.0 * log_gamma))
    per_gamma = reciprocal(gamma)
    log_both = -x - 2.0 * log_gamma - jnp.log(beta)
    return Dimensionless(
        found.log_j + log_both + _LOG_EMISSION,
        *polarization(p.cosine, found.log_j_q, found.log_j_v),
        found.log_alpha + log_both - log_gamma + _LOG_ABSORPTION,
        *polarization(p.cosine, found.log_alpha_q, found.log_alpha_v),
        (2.0 * gamma - per_gamma) * found.turn_q,
        (log_gamma + jnp.log1p(beta) + found.turn_v) * (per_gamma * per_gamma * reciprocal(beta)),
        p.s,
        p.sine,
        p.cosine,
    )


def polarization(cosine: Shared, log_q: Points, log_v: Points) -> tuple[Points, Points]:
    """(Q, V) / I of logarithms of ``Smooth``, strictly inside the unit disk."""
    unit = jax.lax.stop_gradient(at_least(jnp.maximum(log_q, log_v), 0.0))
    q, v, one = (jnp.exp(value - unit) for value in (log_q, log_v, 0.0))
    circular = cosine * v
    inside = jax.lax.rsqrt(one * one + q * q + circular * circular) * (
        1.0 - 4.0 * jnp.finfo(q.dtype).eps
    )
    return -inside * q, inside * circular


def direction(s: Points, theta: Points) -> Direction:
    """As seen at s = nu / nu_c and theta [rad]."""
    sine, cosine = sine_cosine(theta)
    least = at_most(reciprocal(at_least(s, 1.0)), 1.0)
    return Direction(s, sine, cosine, at_least(sine, least))
