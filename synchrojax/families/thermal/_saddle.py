"""The saddle of the emission integrand of thermal electrons."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from synchrojax.core import (
    Points,
    Reals,
    complex_root,
    cosine_sine,
    reciprocal,
    square_root,
    within,
)
from synchrojax.families.thermal._point import Point


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
