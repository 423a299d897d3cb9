"""What is known of thermal electrons, and how network output becomes physics and back."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from synchrojax.core import (
    ELECTRON_CHARGE,
    SPEED_OF_LIGHT,
    Arrays,
    Points,
    at_least,
    at_most,
    cold,
    from_plane,
    reciprocal,
    smooth_step,
    softplus,
)
from synchrojax.families._harmonics import Harmonics, harmonics
from synchrojax.families.thermal._point import Point
from synchrojax.special import scaled_k012

_MAHADEVAN = (4.0505, 0.40, 0.5316)  # Mahadevan, Narayan & Yi 1996 (ApJ 465, 327), eq. 33


# Baselines -----------------------------------------------------------------------------


def log_emissivity(p: Point, exponent: Points) -> Points:
    """ln of the approximate j_I at nu = 1 Hz, n_e = 1 cm^-3.

    Mahadevan, Narayan & Yi 1996 (ApJ 465, 327), eqs. 31 and 33, with their ultrarelativistic
    exponent replaced by the exact one of the saddle.
    """
    x = _log_x(p) + math.log(2.0 / 3.0)
    power, c1, c2 = _MAHADEVAN
    decay = jnp.exp(-x / 4.0)
    shape = 1.0 + decay * (c1 + c2 * decay)
    norm = math.log(4.0 * np.pi * ELECTRON_CHARGE**2 / (np.sqrt(3.0) * SPEED_OF_LIGHT) * power)
    per_k2 = reciprocal(scaled_k012(reciprocal(p.theta_e))[2])
    return norm - x / 6.0 + jnp.log(shape * per_k2) - exponent


def faraday_ratios(p: Point) -> tuple[Points, Points]:
    """rho_Q and rho_V at high frequency over those of cold plasma.

    Shcherbakov 2008 (ApJ 688, 695).
    """
    k0, k1, k2 = scaled_k012(reciprocal(p.theta_e))
    per_k2 = reciprocal(k2)
    return k1 * per_k2 + 6.0 * p.theta_e, k0 * per_k2


def faraday_limits(p: Point) -> tuple[Points, Points]:
    """rho_Q and rho_V at high frequency for nu = 1 Hz, n_e = 1 cm^-3."""
    (cold_q, cold_v), (ratio_q, ratio_v) = cold(p.s, p.sine, p.cosine), faraday_ratios(p)
    return cold_q * ratio_q, cold_v * ratio_v


def harmonics_of(p: Point) -> Harmonics:
    """``Harmonics``, which fade out where they are unlearned: from theta_e = 0.1 down to 0.05."""
    count = smooth_step(20.0 * p.theta_e - 1.0)
    steep = reciprocal(at_least(p.theta_e, 0.05) * p.sine)
    return harmonics(p.s * p.sine, p.cosine, steep, count)


# Network input -------------------------------------------------------------------------


def _log_x(p: Point) -> Points:
    return p.log_s - 2.0 * p.log_theta_e - p.log_sine


def _log_y(p: Point) -> Points:
    """ln of s / (1 + theta_e^2 sin(theta)): distance from the cyclotron or the synchrotron peak."""
    return p.log_s - jnp.log1p(p.theta_e * p.theta_e * p.sine)


def emission_features(p: Point, highest_x: float = math.inf) -> list[Points]:
    # centres and widths bring the box to about -1..1; the network learns the rest. Corrections fall
    # as q^(-2/3): they end softly at q = e^9. The last two count where single harmonics are seen
    log_x = at_most(_log_x(p), math.log(highest_x))
    log_q = p.log_s + p.log_theta_e + 2.0 * p.log_sine
    return [
        (log_x - 4.0) / 8.0,
        (7.0 - softplus(9.0 - log_q)) / 4.0,
        p.log_theta_e / 4.0,
        1.0 - 2.0 * p.sine * p.sine,
        4.0 * jnp.exp(-p.log_s - p.log_sine),
        0.2 * jnp.exp(-p.log_theta_e),
    ]


def rotation_features(p: Point) -> list[Points]:
    # likewise; they end at y = 1e4 and s' = 1e5, a choice, since what is learned falls with y
    # (``rotation_frame``)
    log_y = at_most(_log_y(p), math.log(1e4))
    log_s = at_most(p.log_s + p.log_sine, math.log(1e5))
    return [
        (log_y - 3.0) / 4.0,
        (log_s - 5.0) / 4.0,
        jnp.log(p.theta_e + 0.03) / 4.0,
        1.0 - 2.0 * p.sine * p.sine,
    ]


# Bijections between network output and physics -------------------------------------------


def decode_stokes(
    y: Float[Arrays, "3 *points"], log_base: Points, cosine: Points, sinh: Points
) -> tuple[Points, Points, Points]:
    """Three free numbers -> ln j_I, j_Q / j_I, j_V / j_I, V odd in cos(theta).

    They satisfy sqrt(j_Q^2 + j_V^2) < j_I. The last two are a point of the plane, the logarithm of
    its two coordinates.
    """
    size = jnp.exp(y[1:])
    return log_base + y[0], *from_plane(-size[0], cosine * sinh * size[1])


# rho_Q stays above minus this times its low-frequency law, but for single harmonics: a choice below
# the exact lowest, -0.024
LOWEST = 0.04


def rotation_frame(p: Point) -> tuple[Points, Points, Points]:
    """The low-frequency law of rho_Q and the envelopes of both corrections, which vanish far up."""
    log_x, log_y = _log_x(p), _log_y(p)
    # rho_Q ~ x^(4/3) of its limit at low frequency; that of rho_V is cut off where it is below
    # 1e-6, so that its d/d theta vanishes at small angles too. 100 is a choice of scale: from there
    # on the correction of rho_Q falls as 1 / y
    cut = jax.nn.sigmoid(2.0 * (math.log(3000.0) - log_y))
    return (
        jax.nn.sigmoid(4.0 / 3.0 * log_x),
        jax.nn.sigmoid(math.log(100.0) - log_y),
        jax.nn.sigmoid(-log_y) * cut,
    )


def rotation_q(mean: Points, added: Points, scale: Points) -> Points:
    """rho_Q over its low-frequency law of two free numbers: a mean, and what harmonics add."""
    return (1.0 + LOWEST) * jnp.exp(scale * mean) - LOWEST + added


def decode_rotation(y: Float[Arrays, "3 *points"], p: Point) -> tuple[Points, Points]:
    """Free numbers of either sign -> rho_Q and rho_V over their high-frequency limits.

    Two of rho_Q (``rotation_q``), one of rho_V.
    """
    low, scale_q, scale_v = rotation_frame(p)
    return low * rotation_q(y[0], y[1], scale_q), 1.0 + scale_v * y[2]
