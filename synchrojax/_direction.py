"""What the distributions with a scale-free tail share: direction, polarization maps, sampling of s and theta."""

import jax
import jax.numpy as jnp
import numpy as np

S_RANGE = (1e1, 1e8)
S_PERP = 5.0  # lowest s sin(theta)
THETA_RANGE = (0.0, float(np.pi))


def clamp_direction(s, sine):
    """s inside its range, then sin(theta) up to the lowest s sin(theta)."""
    s = jnp.clip(s, *S_RANGE)
    return s, jnp.clip(sine, S_PERP / s, 1.0)


def features(s, sine):
    """Network input for the direction: it saturates where only s / sin(theta) matters any more."""
    return [2.0 * jnp.exp((float(np.log(S_PERP)) - jnp.log(s * sine)) / 3.0) - 1.0, 1.0 - 2.0 * sine * sine]


def from_plane(a, b):
    """The plane onto the open unit disk: (a, b) / sqrt(1 + a^2 + b^2)."""
    inside = jax.lax.rsqrt(1.0 + a * a + b * b) * (1.0 - 4.0 * jnp.finfo(a.dtype).eps)  # strict after rounding
    return a * inside, b * inside


def to_plane(q, v):
    """Inverse of ``from_plane``."""
    outside = 1.0 / jnp.sqrt((1.0 - q) * (1.0 + q) - v * v)
    return q * outside, v * outside


def limit_polarization(q, v):
    """The nearest point of the unit disk, along the radius."""
    degree = jnp.sqrt(q * q + v * v)
    most = 1.0 - 4.0 * jnp.finfo(q.dtype).eps
    inside = degree <= most
    scale = jnp.where(inside, 1.0, most / jnp.where(inside, 1.0, degree))
    return q * scale, v * scale


def sample(u_s, u_theta, margin):
    """Unit numbers to s and theta <= pi/2: theta half uniform, half logarithmic; more points at low s."""
    # nothing is sampled below S_PERP: other rules hold there
    lowest, right = np.arcsin(S_PERP / S_RANGE[1] / margin), 0.5 * np.pi
    t = 2.0 * u_theta % 1.0
    theta = np.where(u_theta < 0.5, lowest + (right - lowest) * t, lowest * (right / lowest) ** t)
    sine = np.sin(theta)
    low = np.maximum(S_RANGE[0] / margin * sine, S_PERP)
    high = np.maximum(S_RANGE[1] * sine * margin, low)
    return low * (high / low) ** (u_s**1.5) / sine, theta
