"""What distributions with a scale-free tail share: box of the directions, its features, its sampling."""

import functools
from collections.abc import Mapping
from types import MappingProxyType

import jax
import jax.numpy as jnp
import numpy as np

S_RANGE = (1e1, 1e8)
S_PERP = 5.0  # lowest s sin(theta)
THETA_RANGE = (0.0, float(np.pi))
FLOOR = 0.03  # of the scale of rho_Q: below, its errors are not relative any more


def features(s, sine):
    """Network input for the direction: it saturates where only s / sin(theta) matters any more."""
    return [2.0 * jnp.exp((float(np.log(S_PERP)) - jnp.log(s * sine)) / 3.0) - 1.0, 1.0 - 2.0 * sine * sine]


# rho_Q of one ultrarelativistic electron over its high-frequency limit is m^2 h(m), m = x^(2/3) / (1 + x^(2/3)) and
# x = (gamma_0 / gamma)^2. h by AAA (Nakatsukasa et al. 2018, SIAM J. Sci. Comput. 40, A1494) from ``exact`` at s = 1e8,
# to 3e-6: a constant and, for each pair of poles, (a m + b) / (m^2 + c m + d)
_KERNEL = -0.003570652
_KERNEL_POLES = (
    (-0.747745109, 0.574379667, -1.570415172, 0.902580033),
    (1.353060063, -1.110283308, -1.602252679, 0.719252314),
    (-0.567590777, 0.559891733, -1.653307238, 0.712596896),
    (0.004788665, -0.020194585, -1.705839851, 0.739303432),
    (0.003899997, -0.003119111, -1.757851791, 0.777034164),
)


def conversion_kernel(log_x):
    """rho_Q of one ultrarelativistic electron over its high-frequency limit, x = gamma_0^2 / gamma^2."""
    m = jax.nn.sigmoid(2.0 / 3.0 * log_x)
    return m * m * (_KERNEL + sum((a * m + b) / ((m + c) * m + d) for a, b, c, d in _KERNEL_POLES))


# the same for the mean square angle of that electron's rho_Q from the line of sight: m h(m); made by
# data/make_pitch_smear.py
_CONE = 0.26676104
_CONE_POLES = (
    (0.21270746, -0.03792847, -1.525950912, 0.684281053),
    (-0.09626651, 0.07333062, -1.600231124, 0.661988105),
)


def conversion_cone(log_x):
    """Angle^2 weighted by rho_Q of one ultrarelativistic electron, over its high-frequency limit; to 2e-3."""
    m = jax.nn.sigmoid(2.0 / 3.0 * log_x)
    return m * (_CONE + sum((a * m + b) / ((m + c) * m + d) for a, b, c, d in _CONE_POLES))


def power_until(exponent, length):
    """Int_0^length exp(exponent t) dt."""
    z = exponent * length
    small = jnp.abs(z) < 1e-3
    return length * jnp.where(small, 1.0 + 0.5 * z, jnp.expm1(z) / jnp.where(small, 1.0, z))


def angle_weight(sine):
    """Weight of rho_V at small angles: d/d theta is 1 / sin(theta) times the slope with the logarithm that is seen."""
    return np.clip(0.05 / np.maximum(sine, 1e-4), 1.0, 4.0)


def oblique(theta):
    """Where V carries information: not at right angles."""
    return np.abs(np.cos(theta)) > 1e-12


def _wider(low, high):
    """A range three times as wide, in the logarithm where it starts above zero."""
    return (low * low / high, high * high / low) if low > 0.0 else (2.0 * low - high, 2.0 * high - low)


class Family:
    """A distribution as training and evaluation need it (see ``_families``): its names and its box.

    ``own``: parameter -> (low, high). ``REACH``: the same where corrections run on beyond it.
    """

    REACH: Mapping[str, tuple[float, float]] = MappingProxyType({})

    def __init__(self, name, own, *, s=S_RANGE):
        self.NAME, self.PARAMETERS = name, tuple(own)
        self.DOMAIN = {
            "s": s,
            "theta": THETA_RANGE,
            **own,
            "s_sin_theta": (S_PERP, s[1]),
        }
        self.DIMENSIONS = 2 + len(own)

    def coordinates(self, p):
        """The values of ``DOMAIN``; theta is never outside."""
        return p.s, jnp.zeros_like(p.s), *(getattr(p, n) for n in self.PARAMETERS), p.s * p.sine

    def clamp(self, p):
        """The nearest point of the box: s and the parameters, then sin(theta) up to the lowest s sin(theta)."""
        s = jnp.clip(p.s, *self.DOMAIN["s"])
        own = {n: jnp.clip(getattr(p, n), *self.DOMAIN[n]) for n in self.PARAMETERS}
        return p._replace(s=s, sine=jnp.clip(p.sine, S_PERP / s, 1.0), **own)

    def within_reach(self, p):
        """The same of a box so wide that corrections run on, but no number leaves its range."""
        low, high = self.DOMAIN["s"]
        s = jnp.clip(p.s, low / 10.0, high * 1e3)
        own = {n: jnp.clip(getattr(p, n), *self.REACH.get(n, _wider(*self.DOMAIN[n]))) for n in self.PARAMETERS}
        lowest = 0.1 * S_PERP / jnp.minimum(s, high)
        return p._replace(s=s, sine=jnp.clip(p.sine, jnp.minimum(lowest, 1.0), 1.0), **own)

    def invalid(self, outside, p):
        """Where the policy "nan" applies: (emission and absorption, rotativities)."""
        return (functools.reduce(jnp.logical_or, outside),) * 2

    def combine(self, head, output, extra):
        """Network output to the target: nothing in between."""
        return output

    def lessons(self, u, margin):
        """A sample to learn from."""
        return self.sample(u, margin)

    def stretch(self, name, u, margin):
        """Unit numbers to the range of a parameter, widened on both sides by half of ``margin`` - 1."""
        low, high = self.DOMAIN[name]
        widen = 0.5 * (margin - 1.0)
        return low - widen + (high - low + 2.0 * widen) * u

    def sample_direction(self, u, margin, crowding=1.5, highest_x=np.inf):
        """Unit numbers to s and theta <= pi/2: theta half uniform, half logarithmic; more points at low s.

        ``highest_x``: of s / sin(theta).
        """
        # nothing is sampled below S_PERP: other rules hold there
        s_low, s_high = self.DOMAIN["s"]
        lowest, right = np.arcsin(max(S_PERP / s_high / margin, np.sqrt(S_PERP / highest_x))), 0.5 * np.pi
        t = 2.0 * u[:, 1] % 1.0
        theta = np.where(u[:, 1] < 0.5, lowest + (right - lowest) * t, lowest * (right / lowest) ** t)
        sine = np.sin(theta)
        low = np.maximum(s_low / margin * sine, S_PERP)
        high = np.maximum(np.minimum(s_high * margin, highest_x * sine) * sine, low)
        return {"s": low * (high / low) ** (u[:, 0] ** crowding) / sine, "theta": theta}
