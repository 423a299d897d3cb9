"""Thermal electrons, between physical and network space.

The network never sees raw coefficients. Emission is a saddle-point exponential times a smooth
correction; its polarization is a point of the unit disk, reached by a map that cannot leave it;
rotativities are their cold/hot limits times smooth corrections that vanish at high frequency. All
coefficients depend on (s' = s sin(theta), tau = theta_e sin(theta), cos^2(theta)) only, apart from
the sign of V. Everything here is a pure function of one point, with arrays broadcasting.
"""

import functools
import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from synchrojax.core import (
    E2_OVER_MC,
    ELECTRON_CHARGE,
    ELECTRON_MASS,
    SPEED_OF_LIGHT,
    Arrays,
    Columns,
    Masks,
    Points,
    Reals,
    at_least,
    at_most,
    complex_root,
    cosine_sine,
    from_plane,
    fused,
    reciprocal,
    sine_cosine,
    square_root,
    to_plane,
    within,
)
from synchrojax.distributions import get_distribution
from synchrojax.families._base import (
    Comparison,
    Cube,
    Dimensionless,
    Eight,
    Ends,
    Head,
    Networks,
    PackagedFamily,
    Rows,
    Sample,
    only_of_rho_q,
)
from synchrojax.special import scaled_k012

# the trained box, a choice: s, theta and theta_e, then two combinations; below s sin(theta) = 5
# harmonics are seen one by one, and above x = 1e5 the emission has fallen by e^-62 or more
DOMAIN = {
    "s": (10.0, 1e8),
    "theta": (0.0, float(np.pi)),
    "theta_e": (0.1, 100.0),
    "s_sin_theta": (5.0, 1e8),
    "x": (0.0, 1e5),  # s / (theta_e^2 sin(theta))
}
ROTATION_THETA_E = 1e-3  # rotativities: lowest theta_e, a choice, and any x
_MAHADEVAN = (4.0505, 0.40, 0.5316)  # Mahadevan, Narayan & Yi 1996 (ApJ 465, 327), eq. 33


class Point(NamedTuple):
    """A direction and a temperature; all that the coefficients depend on.

    Logarithms go with them, so that each is taken once, whatever is cut off.
    """

    s: Points
    sine: Points
    cosine: Points
    theta_e: Points
    log_s: Points
    log_sine: Points
    log_theta_e: Points


def x_of(p: Point) -> Points:
    """s / (theta_e^2 sin(theta))."""
    return p.s / p.theta_e / (p.theta_e * at_least(p.sine, 1e-30))


def clamp(p: Point, *, s: Ends, theta_e: Ends) -> Point:
    """The nearest point with s and theta_e inside given ranges, then sin(theta) up to s' = 5."""
    perp, highest = DOMAIN["s_sin_theta"]
    clipped = within(p.s, *s)
    lowest = at_least(perp * reciprocal(clipped), perp / highest)
    log_s, log_theta_e = (
        within(value, *map(math.log, ends))
        for value, ends in ((p.log_s, s), (p.log_theta_e, theta_e))
    )
    log_lowest = at_least(math.log(perp) - log_s, math.log(perp / highest))
    return Point(
        clipped,
        at_least(p.sine, lowest),
        p.cosine,
        within(p.theta_e, *theta_e),
        log_s,
        at_least(p.log_sine, log_lowest),
        log_theta_e,
    )


# The saddle of the emission integrand --------------------------------------------------


class Saddle(NamedTuple):
    """Where f J^2 peaks: sinh(alpha), the exponent above 1 / theta_e, and the harmonic ripple."""

    sinh: Points
    exponent: Points
    ripple_cos: Points
    ripple_sin: Points


def hyperbolic(alpha: Points) -> tuple[Points, Points, Points]:
    """sinh(alpha), 1 / sinh(alpha) and coth(alpha) for alpha > 0."""
    decay, square = jnp.exp(-alpha), -jnp.expm1(-2.0 * alpha)
    over = reciprocal(square)
    return (
        0.5 * square * reciprocal(decay),
        2.0 * decay * over,
        (1.0 + decay * decay) * over,
    )


def _excess(alpha: Reals) -> Float[Array, "..."]:
    """sinh(2 alpha) - 2 alpha for alpha > 0, without cancellation."""
    # the series is right to 3e-8 at 0.7
    small = alpha < 0.7
    a = jnp.where(small, alpha, 0.5)
    b = jnp.where(small, 1.0, alpha)
    a2 = a * a
    cubic = a * a2 * (4 / 3 + a2 * (4 / 15 + a2 * (8 / 315 + a2 * (4 / 2835 + a2 * (8 / 155925)))))
    return jnp.where(small, cubic, jnp.sinh(2.0 * b) - 2.0 * b)


def _coth_excess(alpha: Points, coth: Points) -> Float[Array, "*points"]:
    """alpha coth(alpha) - 1 for alpha > 0, without cancellation."""
    # the series is right to 2e-7 at 0.7
    small = alpha < 0.7
    a = jnp.where(small, alpha, 0.5)
    a2 = a * a
    series = a2 * (1 / 3 - a2 * (1 / 45 - a2 * (2 / 945 - a2 * (1 / 4725 - a2 * (2 / 93555)))))
    return jnp.where(small, series, jnp.where(small, 1.0, alpha) * coth - 1.0)


@jax.custom_jvp  # the derivative follows from the root, whatever the steps to it
def _real_root(y: Reals) -> Float[Array, "..."]:
    """sinh(2 alpha) - 2 alpha = y."""
    # starts from the two ends of the equation, exp(2 alpha) / 2 = y + ln(2 y) and 4/3 alpha^3 = y;
    # three steps of Newton's method then reach 4e-7 of alpha
    large = y > 4.0
    yl = jnp.where(large, y, 4.0)
    alpha = jnp.where(
        large,
        0.5 * jnp.log(2.0 * yl + 2.0 * jnp.log(2.0 * yl)),
        jnp.exp(jnp.log(0.75 * jnp.where(large, 4.0, y)) / 3.0),
    )
    for _ in range(3):
        alpha = alpha - (_excess(alpha) - y) / (4.0 * jnp.sinh(alpha) ** 2)
    return alpha


@_real_root.defjvp
def _real_root_slope(
    primals: tuple[Reals], tangents: tuple[Reals]
) -> tuple[Float[Array, "..."], Any]:
    alpha = _real_root(*primals)
    per_sinh = hyperbolic(alpha)[1]
    return alpha, 0.25 * per_sinh * per_sinh * tangents[0]


# made by data/make_ripple.py: poles and residues, and a parabola
_RIPPLE = (
    (1.986049653, -7.184714701, 6.32901664, -23.15885959),
    (-2.366565819, -3.665550286, 125.61948880, 336.00702560),
    (1.556612230, 1.905794647, -0.31284638, -0.61028865),
    (0.269090147, 2.851423085, -0.44340467, -17.10330223),
    (-2.278714401, 1.911850391, 194.66197226, 173.86222605),
    (-3.154026501, -0.694080966, -390.34493276, -479.12141902),
)
_RIPPLE_SMOOTH = (
    1.906623788 - 12.624095776j,
    1.946181821 + 0.008602180j,
    0.000488063 - 0.000132199j,
)


def ripple_square(y: Points) -> tuple[Points, Points]:
    """Square of the exponent of the first Poisson term over s'^2 (1 + y), to 4e-7.

    Its real and its imaginary part.
    """
    t = jnp.log1p(y)
    a, b, c = _RIPPLE_SMOOTH
    real, imag = a.real + t * (b.real + t * c.real), a.imag + t * (b.imag + t * c.imag)
    for pole, turned, strength, twist in _RIPPLE:
        d = t - pole
        over = reciprocal(d * d + turned * turned)
        real = real + (strength * d - twist * turned) * over
        imag = imag + (strength * turned + twist * d) * over
    return real, imag


def saddle(p: Point) -> Saddle:
    """The stationary point of gamma / theta_e + 2 xi over phase space.

    With s' = s sin(theta), tau = theta_e sin(theta) and q = s' tau it lies at sinh(2 alpha) - 2
    alpha = 1 / q, and the exponent is sqrt(A^2 - cot^2(theta) / theta_e^2), A = coth(alpha) / tau +
    2 s' (alpha coth(alpha) - 1). The saddle of the first Poisson term exp(2 pi i n) of the sum over
    harmonics (1 / q -> 1 / q - 2 pi i) gives strength and phase of the ripple that harmonics leave
    on the coefficients.
    """
    s_perp, tau, cold = p.s * p.sine, p.theta_e * p.sine, reciprocal(p.theta_e)
    per_tau, y = reciprocal(tau), reciprocal(s_perp * tau)
    alpha = _real_root(y)

    # A^2 - cot^2 / theta_e^2 - 1 / theta_e^2, every term positive
    sinh, per_sinh, coth = hyperbolic(alpha)
    h = 2.0 * s_perp * _coth_excess(alpha, coth)
    square = (per_sinh * per_tau) ** 2 + 2.0 * h * coth * per_tau + h * h
    total = square_root(square + cold * cold)

    # the ripple is gone long before s' = 200, and unlearned below theta_e = 0.05: there a plain
    # point takes its place, which keeps float32 in range
    fade = within(20.0 * p.theta_e - 1.0, 0.0, 1.0)
    fade = jnp.where(s_perp < 200.0, fade * fade * (3.0 - 2.0 * fade), 0.0)
    live = fade > 0.0
    near, yr = jnp.where(live, s_perp, 200.0), jnp.where(live, y, 1.0)
    size = near * near * (1.0 + yr)
    real, imag = (size * part for part in ripple_square(yr))
    near_square, near_total = jnp.where(live, square, 0.0), jnp.where(live, total, cold)
    root_real, root_imag = complex_root(real + cold * cold, imag)
    # (real + i imag - near_square) / (root + near_total)
    a, b, c = real - near_square, root_real + near_total, root_imag
    over = reciprocal(b * b + c * c)
    decay, phase = within((a * b + imag * c) * over, 0.0, 80.0), (imag * b - a * c) * over
    strength, (cosine, sine) = fade * jnp.exp(-decay), cosine_sine(phase)
    exponent = square * reciprocal(total + cold)
    # where nothing is left of the emission its slope would leave the range of float32
    exponent = jnp.where(exponent < 1e6, exponent, jax.lax.stop_gradient(exponent))
    return Saddle(sinh, exponent, strength * cosine, -strength * sine)


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


def faraday_limits(p: Point) -> tuple[Points, Points]:
    """rho_Q and rho_V at high frequency for nu = 1 Hz, n_e = 1 cm^-3.

    Shcherbakov 2008 (ApJ 688, 695). Cold plasma and hot plasma are the two ends of the ratios of
    modified Bessel functions.
    """
    k0, k1, k2 = scaled_k012(reciprocal(p.theta_e))
    per_s, per_k2 = reciprocal(p.s), reciprocal(k2)
    ratio = p.sine * per_s
    return (
        -E2_OVER_MC * ratio * ratio * (k1 * per_k2 + 6.0 * p.theta_e),
        2.0 * E2_OVER_MC * p.cosine * per_s * (k0 * per_k2),
    )


# Network input -------------------------------------------------------------------------


def _log_x(p: Point) -> Points:
    return p.log_s - 2.0 * p.log_theta_e - p.log_sine


def _log_y(p: Point) -> Points:
    """ln of s / (1 + theta_e^2 sin(theta)): distance from the cyclotron or the synchrotron peak."""
    return p.log_s - jnp.log1p(p.theta_e * p.theta_e * p.sine)


def emission_features(p: Point, highest_x: float = math.inf) -> list[Points]:
    # centres and widths bring the box to about -1..1; the network learns the rest
    log_x = at_most(_log_x(p), math.log(highest_x))
    log_q = p.log_s + p.log_theta_e + 2.0 * p.log_sine
    return [
        (log_x - 2.0) / 6.0,
        (log_q - 2.0) / 4.0,
        p.log_theta_e / 4.0,
        1.0 - 2.0 * p.sine * p.sine,
    ]


def rotation_features(p: Point) -> list[Points]:
    # likewise; they end at y = 1e4 and s' = 1e5, a choice, since what is learned falls with y
    # (``_rotation_frame``)
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


def encode_stokes(
    log_j: Points, q: Points, v: Points, log_base: Points, cosine: Points, sinh: Points
) -> Float[Array, "3 *points"]:
    """Inverse of ``decode_stokes`` for j_Q < 0 and j_V cos(theta) > 0."""
    a, b = to_plane(q, v)
    return jnp.stack([log_j - log_base, jnp.log(-a), jnp.log(b / (cosine * sinh))])


# rho_Q stays above minus this times its low-frequency law: a choice below the exact lowest, -0.024
_LOWEST = 0.04


def _rotation_frame(p: Point) -> tuple[Points, Points, Points]:
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


def decode_rotation(y: Float[Arrays, "2 *points"], p: Point) -> tuple[Points, Points]:
    """Two free numbers of either sign -> rho_Q and rho_V over their high-frequency limits."""
    low, scale_q, scale_v = _rotation_frame(p)
    return low * ((1.0 + _LOWEST) * jnp.exp(scale_q * y[0]) - _LOWEST), 1.0 + scale_v * y[1]


def encode_rotation(ratio_q: Points, ratio_v: Points, p: Point) -> Float[Array, "2 *points"]:
    """Inverse of ``decode_rotation`` where the ratios are physical."""
    low, scale_q, scale_v = _rotation_frame(p)
    return jnp.stack(
        [jnp.log((ratio_q / low + _LOWEST) / (1.0 + _LOWEST)) / scale_q, (ratio_v - 1.0) / scale_v]
    )


# With the networks ---------------------------------------------------------------------------


class _Known(NamedTuple):
    """What goes into the coefficients beside networks: the true point and what is known there.

    ``emission`` and ``rotation``: features of the networks, at the nearest point of their box.
    ``log_base``: of j_I. ``limits``: of rho_Q and rho_V.
    """

    true: Point
    wave: Saddle
    log_base: Points
    limits: tuple[Points, Points]
    emission: list[Points]
    rotation: list[Points]


def _known_at(clip: bool, p: Point) -> _Known:
    lowest = DOMAIN["s"][0]
    true = clamp(p, s=(lowest, 1e14), theta_e=(1e-5, 1e6))
    inner = outer = true
    if clip:
        inner = clamp(p, s=DOMAIN["s"], theta_e=DOMAIN["theta_e"])
        outer = clamp(p, s=DOMAIN["s"], theta_e=(ROTATION_THETA_E, DOMAIN["theta_e"][1]))
    wave = saddle(true)
    return _Known(
        true,
        wave,
        log_emissivity(true, wave.exponent),
        faraday_limits(true._replace(s=at_least(p.s, lowest), sine=p.sine)),
        emission_features(inner, DOMAIN["x"][1] if clip else math.inf),
        rotation_features(outer),
    )


def _rippled(
    output: Float[Arrays, "outputs *points"], ripple_cos: Points, ripple_sin: Points
) -> Float[Array, "parts *points"]:
    """[3 k, ...] -> [k, ...]: a mean and the two phases of the ripple."""
    mean, cos_part, sin_part = jnp.split(output, 3)
    return mean + ripple_cos[None] * cos_part + ripple_sin[None] * sin_part


def _joined(known: _Known, learned: Sequence[Float[Arrays, "_ *points"]]) -> Dimensionless:
    true, wave = known.true, known.wave
    emission, *rotation = (_rippled(v, wave.ripple_cos, wave.ripple_sin) for v in learned)
    log_j, q, v = decode_stokes(emission, known.log_base, true.cosine, wave.sinh)
    # Kirchhoff: j / alpha = 2 m_e theta_e nu^2, taken in logarithms to stay inside float32
    log_alpha = log_j - true.log_theta_e - math.log(2.0 * ELECTRON_MASS)
    ratio_q, ratio_v = decode_rotation(jnp.concatenate(rotation), true)
    limit_q, limit_v = known.limits
    return Dimensionless(log_j, q, v, log_alpha, q, v, limit_q * ratio_q, limit_v * ratio_v)


# A space-filling sample of the box -------------------------------------------------------


def sample(u: Cube, margin: float | int) -> Sample:
    """Map points u of the unit cube [n, 3] into the box, widened by the factor ``margin``.

    Half of them fill the box of the emission (theta_e and x limited), half that of the
    rotativities, mostly where these differ from their limits. theta is half uniform, half
    logarithmic. Returns {"s": ..., "theta": ..., "theta_e": ...} with theta <= pi/2: the other half
    is symmetric.
    """
    (s_lo, s_hi), (theta_e_lo, theta_e_hi) = DOMAIN["s"], DOMAIN["theta_e"]
    perp_lo, x_hi = DOMAIN["s_sin_theta"][0], DOMAIN["x"][1]
    emission = u[:, 0] < 0.5
    lo = np.where(emission, theta_e_lo, ROTATION_THETA_E) / margin
    theta_e = lo * (theta_e_hi * margin / lo) ** (2.0 * u[:, 0] % 1.0)

    # 15 % of them, a choice
    far = u[:, 1] > 0.85  # rotativities out to the highest s
    near_s = np.where(far, s_hi, 1e4)
    sine_lo = np.where(emission, np.sqrt(perp_lo / x_hi) / theta_e, perp_lo / near_s) / margin
    theta_lo, right = np.arcsin(sine_lo), 0.5 * np.pi
    t = 2.0 * u[:, 2] % 1.0
    theta = np.where(
        u[:, 2] < 0.5, theta_lo + (right - theta_lo) * t, theta_lo * (right / theta_lo) ** t
    )
    sine = np.sin(theta)

    low = np.maximum(perp_lo, s_lo * sine) / margin
    high = np.where(
        emission,
        x_hi * theta_e**2 * sine**2,
        near_s * sine * np.where(far, 1.0, 1.0 + theta_e**2 * sine),
    )
    high = np.maximum(np.minimum(high, s_hi * sine) * margin, low)
    t = np.where(emission, u[:, 1], np.where(far, (u[:, 1] - 0.85) / 0.15, u[:, 1] / 0.85))
    s = low * (high / low) ** t / sine
    return {"s": s, "theta": theta, "theta_e": theta_e}


@final
class ThermalFamily(PackagedFamily):
    """Thermal electrons."""

    name = "thermal"
    parameters = ("theta_e",)
    domain = DOMAIN
    distribution = get_distribution("thermal")
    # inputs, outputs: a third of them is the mean, the rest the ripple
    heads = MappingProxyType({"emission": Head(4, 9), "rho_Q": Head(4, 3), "rho_V": Head(4, 3)})
    block = 32768
    dimensions = 3
    linear = ("theta",)
    base = None
    comparison = Comparison()

    def point(self, s: Points, theta: Points, own: Mapping[str, Points]) -> Point:
        (sine, cosine), theta_e = sine_cosine(theta), own["theta_e"]
        # no slope of a logarithm leaves the range of float32; what follows uses s from 10 up
        logs = jnp.log(at_least(s, 1e-30)), jnp.log(at_least(sine, 1e-30)), jnp.log(theta_e)
        return Point(s, sine, cosine, theta_e, *logs)

    def coordinates(self, p: Point) -> dict[str, Points]:
        never = jnp.zeros_like(p.s)
        return {
            "s": p.s,
            "theta": never,
            "theta_e": p.theta_e,
            "s_sin_theta": p.s * p.sine,
            "x": x_of(p),
        }

    def invalid(self, outside: Mapping[str, Masks], p: Point) -> tuple[Masks, Masks]:
        cold = p.theta_e < ROTATION_THETA_E * (1.0 - 1e-6)
        hot = p.theta_e > DOMAIN["theta_e"][1] * (1.0 + 1e-6)
        rotation = outside["s"] | outside["s_sin_theta"] | (outside["theta_e"] & (cold | hot))
        return functools.reduce(jnp.logical_or, outside.values()), rotation

    def combine(
        self, head: str, output: Float[Arrays, "outputs *points"], extra: Float[Arrays, "2 *points"]
    ) -> Float[Array, "parts *points"]:
        """[3 k, ...] -> [k, ...]: a mean and the two phases of the ripple ``extra`` [2, ...]."""
        return _rippled(output, extra[0], extra[1])

    def evaluate(self, networks: Networks, p: Point, *, clip: bool) -> Dimensionless:
        """The coefficients at ``p``.

        With ``clip`` the corrections see the nearest point of the box; saddle and limits keep
        the true point.
        """
        known = fused(functools.partial(_known_at, clip), p)
        emission, rotation = jnp.stack(known.emission), jnp.stack(known.rotation)
        learned = [
            networks["emission"](emission),
            *(networks[head](rotation) for head in ("rho_Q", "rho_V")),
        ]
        return fused(_joined, known, learned)

    def error_scale(self, p: Point, truth: Eight) -> Eight:
        """rho_Q, which changes sign, is relative to no less than 2 % of its low-frequency law."""
        # a choice, about as far as the exact rho_Q goes below zero, 0.024 of that law
        floor = 0.02 * _rotation_frame(p)[0] * jnp.abs(faraday_limits(p)[0])
        return only_of_rho_q(floor)

    # To learn from ---------------------------------------------------------------------------

    def sample(self, u: Cube, margin: float | int) -> Sample:
        return sample(u, margin)

    def sample_to_learn(self, u: Cube, margin: float | int) -> Sample:
        return sample(u, margin)

    def training_rows(self, head: str, table: Columns, networks: Networks) -> Rows:
        """What a head learns; ``extra``: cos and sin of the ripple.

        V carries no information at right angles; rho_V counts more near B.
        """
        p = self.point(
            np.asarray(table["s"]),
            np.asarray(table["theta"]),
            {"theta_e": np.asarray(table["theta_e"])},
        )
        use = np.abs(p.cosine) > 1e-12
        if head == "emission":
            use &= (p.theta_e > DOMAIN["theta_e"][0] / 1.25) & (x_of(p) < 1.25 * DOMAIN["x"][1])
            use &= np.asarray(table["j_I"]) > 0.0
        keep = np.flatnonzero(use)
        p, row = Point(*(v[keep] for v in p)), {k: np.asarray(v)[keep] for k, v in table.items()}
        wave = saddle(p)
        ripple = jnp.stack([wave.ripple_cos, wave.ripple_sin]).T
        if head == "emission":
            base = log_emissivity(p, wave.exponent)
            polarization = row["j_Q"] / row["j_I"], row["j_V"] / row["j_I"]
            target = encode_stokes(np.log(row["j_I"]), *polarization, base, p.cosine, wave.sinh)
            features = jnp.stack(emission_features(p), -1)
            return Rows(keep, features, ripple, target.T, np.ones(target.T.shape))
        limit_q, limit_v = faraday_limits(p)
        ratio_q, ratio_v = row["rho_Q"] / limit_q, row["rho_V"] / limit_v
        target = encode_rotation(ratio_q, ratio_v, p)
        low, scale_q, scale_v = _rotation_frame(p)
        if head == "rho_Q":
            # near its zero it counts relative to 2 % of its low-frequency law
            g = ratio_q / low
            target, weight = target[:1], scale_q * (g + _LOWEST) / jnp.maximum(jnp.abs(g), 0.02)
        else:
            # d/d theta is 1 / sin(theta) times the derivative with the logarithm that the network
            # sees
            near_b = jnp.maximum(1.0, 0.02 / jnp.maximum(p.sine, 1e-4))
            target, weight = target[1:], scale_v / jnp.abs(ratio_v) * near_b
        return Rows(keep, jnp.stack(rotation_features(p), -1), ripple, target.T, weight[:, None])


THERMAL = ThermalFamily()
