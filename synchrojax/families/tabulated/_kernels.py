"""Coefficients of one electron: the ultrarelativistic limit, its exponent exact, and what is learned.

The exponent of emission is that of Bessel functions at the angle from B at which an electron of
that energy radiates most towards the observer. With its x in place of nu / nu_crit, the
ultrarelativistic formulas hold down to gamma of a few; what is left is learned, and falls as
1 / (gamma sin(theta))^2 or 1 / (s sin(theta)).
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from synchrojax.core import (
    ABSORPTION,
    E2_OVER_MC,
    EMISSION,
    Points,
    at_least,
    from_plane,
    reciprocal,
    square_root,
    stacked,
)
from synchrojax.families.tabulated._limits import Limits, cubic, limits

_LOG_EMISSION = float(np.log(EMISSION / (4.0 * np.sqrt(3.0) * np.pi**2)))
_LOG_ABSORPTION = float(np.log(ABSORPTION / (2.0 * np.sqrt(3.0) * np.pi**2)))
_SERIES = tuple(1.0 / (2 * k + 3) for k in range(8))  # of (artanh(q) - q) / q^3 in q^2
_SMALL = 0.3  # q below which the series holds: 0.3^16 / 19


class Direction(NamedTuple):
    """s = nu / nu_c, sin(theta), cos(theta)."""

    s: Points
    sine: Points
    cosine: Points


class Electron(NamedTuple):
    """One electron as seen from a direction."""

    log_gamma: Points
    gamma: Points
    beta: Points
    across: Points  # gamma sin(theta)
    log_x: Points
    q: Points  # w / g' where it radiates most: from 0, ultrarelativistic, to 1, at rest
    tilt: Points  # -u' there, of the sign of cos(theta)
    bend: Points  # d^2 x / dv^2 / (3 x), v the rapidity of u'
    steep: Points  # -d ln x / d ln gamma / 2


class Kernels(NamedTuple):
    """The eight of one electron at nu = 1 Hz and n_e = 1 cm^-3.

    Logarithms of emission and absorption, Q and V over I of both; rotativities in ``turn_units``.
    """

    log_j: Points
    j_q: Points
    j_v: Points
    log_alpha: Points
    alpha_q: Points
    alpha_v: Points
    rho_q: Points
    rho_v: Points


def electron(p: Direction, log_gamma: Points) -> Electron:
    """x and q at the saddle of the exponent s' (g' artanh(w / g') - w) over parallel momentum."""
    gamma = jnp.exp(log_gamma)
    slow = reciprocal(gamma) * reciprocal(gamma)  # 1 / gamma^2
    square = -jnp.expm1(-2.0 * log_gamma)  # beta^2
    beta = square_root(square)
    across = gamma * p.sine
    along = p.cosine * p.cosine
    # near the saddle, a fit: u' = -cos(theta) lag / (gamma sin(theta)); what is missing is less
    # than a Newton step, which the exponent is taken after
    behind = 1.0 / 3.0 + 0.13 * reciprocal(1.0 + 4.0 * across)
    lag = 1.0 - beta * behind
    width = square_root(across * across + along * lag * lag)  # w gamma sin(theta)
    energy = across * across + along * lag  # g' gamma sin(theta)
    over = reciprocal(energy)
    q = width * over
    # 1 - q^2 without cancellation
    rest = square * (1.0 - 2.0 * beta * behind - behind * behind * slow)
    rest = rest + (across * (1.0 - lag * slow)) * (across * (1.0 - lag * slow))
    rest = (rest * over) * (across * across * over)
    small = q < _SMALL
    q_far, q_near = jnp.where(small, 0.5, q), jnp.where(small, q, 0.0)
    rest_far = jnp.where(small, 0.75, rest)
    series = _SERIES[-1]
    for c in _SERIES[-2::-1]:
        series = series * (q_near * q_near) + c
    grow = jnp.where(
        small,
        q_near * q_near * q_near * series,
        0.5 * jnp.log((1.0 + q_far) * (1.0 + q_far) * reciprocal(rest_far)) - q_far,
    )
    # slope and curvature with u', times 1 - q^2 and its square
    turn = lag * reciprocal(width)
    slope = q * q * (q - turn) - rest * grow
    ratio = across * reciprocal(width)
    bend = 2.0 * q * (along * (q - turn) * (q - turn) * over) + q * q * rest * (
        ratio * ratio * reciprocal(width)
    )
    step = slope * reciprocal(bend)
    least = energy * grow - 0.5 * along * slope * step
    log_x = jnp.log(at_least(2.0 * (p.s * reciprocal(gamma)) * least, 1e-30))
    per = width * reciprocal(rest)
    return Electron(
        log_gamma,
        gamma,
        beta,
        across,
        log_x,
        q,
        p.cosine * (lag + rest * step) * reciprocal(across),
        (per * bend) * (per * reciprocal(3.0 * least)),
        0.5 * (across * (q * q * q * reciprocal(rest) - grow)) * (across * reciprocal(least)),
    )


def features(
    p: Direction, e: Electron, m: Points, near: Points
) -> tuple[Float[Array, "features *points"], Points, Points]:
    """Network input, and what the learned corrections of emission and rotativities scale with."""
    falling = e.q * e.q * (1.0 + jnp.exp(-2.0 * near))
    fading = reciprocal(1.0 + jnp.exp(3.0 * near) / 3.0)
    turning = falling * fading, e.q * e.q * m * fading
    low = jnp.exp((float(np.log(5.0)) - jnp.log(p.s * p.sine)) / 3.0)
    rows = [
        2.0 * m - 1.0,
        2.0 * e.q - 1.0,
        jnp.broadcast_to(2.0 * p.sine * p.sine - 1.0, m.shape),
        jnp.broadcast_to(2.0 * low - 1.0, m.shape),
    ]
    return stacked(rows), falling, turning


def kernels(
    p: Direction, e: Electron, limit: Limits, learned: Float[Array, "outputs *points"]
) -> Kernels:
    """``learned``: what is added to the logarithms and to the rotativities' limits."""
    x = jnp.exp(e.log_x)
    wide = square_root(1.0 + e.tilt * e.tilt)
    circular = 2.0 * e.tilt * wide  # V / |Q| where it radiates most
    narrow = square_root(e.bend)
    j_q, j_v = from_plane(
        -narrow * jnp.exp(limit.emission_q + learned[1]),
        narrow * circular * jnp.exp(limit.emission_v + learned[2]),
    )
    alpha_q, alpha_v = from_plane(
        -narrow * jnp.exp(limit.absorption_q + learned[4]),
        narrow * circular * jnp.exp(limit.absorption_v + learned[5]),
    )
    # ln of (1 + 2 u'^2) / (gamma^2 beta) / sqrt(bend)
    common = jnp.log((1.0 + 2.0 * e.tilt * e.tilt) * reciprocal(e.beta * narrow)) - x
    common = common - e.log_x - 2.0 * e.log_gamma
    per_gamma = reciprocal(e.gamma)
    # d ln G / d ln gamma / 2 of the slice that emits: of what stands before the exponential, as in
    # the limit, and of the exponential
    growth = jnp.exp(limit.absorption - limit.emission) - x + e.steep * x
    return Kernels(
        common + limit.emission + learned[0] + _LOG_EMISSION,
        j_q,
        j_v,
        common + limit.emission + jnp.log(growth) - e.log_gamma + learned[3] + _LOG_ABSORPTION,
        alpha_q,
        alpha_v,
        (2.0 * e.gamma - per_gamma) * (limit.turn_q + learned[6]),
        (e.log_gamma + jnp.log1p(e.beta) + limit.turn_v + learned[7])
        * (per_gamma * per_gamma * reciprocal(e.beta)),
    )


def turn_units(p: Direction) -> tuple[Points, Points]:
    """What the rotativities of ``Kernels`` are in units of.

    Limits for high frequency of one electron: those of Shcherbakov & Huang 2011 (MNRAS 410, 1052)
    are their averages over thermal electrons.
    """
    ratio = p.sine * reciprocal(p.s)
    return -E2_OVER_MC * ratio * ratio, 2.0 * E2_OVER_MC * p.cosine * reciprocal(p.s)
