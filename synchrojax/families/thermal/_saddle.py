"""The saddle of the emission integrand of thermal electrons."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from synchrojax.core import Points, Reals, reciprocal, square_root
from synchrojax.families.thermal._point import Point


class Saddle(NamedTuple):
    """Where f J^2 peaks: sinh(alpha), and the exponent above 1 / theta_e."""

    sinh: Points
    exponent: Points


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


def saddle(p: Point) -> Saddle:
    """The stationary point of gamma / theta_e + 2 xi over phase space.

    With s' = s sin(theta), tau = theta_e sin(theta) and q = s' tau it lies at sinh(2 alpha) - 2
    alpha = 1 / q, and the exponent is sqrt(A^2 - cot^2(theta) / theta_e^2), A = coth(alpha) / tau +
    2 s' (alpha coth(alpha) - 1).
    """
    s_perp, tau, cold = p.s * p.sine, p.theta_e * p.sine, reciprocal(p.theta_e)
    per_tau, y = reciprocal(tau), reciprocal(s_perp * tau)
    alpha = _real_root(y)

    # A^2 - cot^2 / theta_e^2 - 1 / theta_e^2, every term positive
    sinh, per_sinh, coth = hyperbolic(alpha)
    h = 2.0 * s_perp * _coth_excess(alpha, coth)
    square = (per_sinh * per_tau) ** 2 + 2.0 * h * coth * per_tau + h * h
    total = square_root(square + cold * cold)
    exponent = square * reciprocal(total + cold)
    # where nothing is left of the emission its slope would leave the range of float32
    exponent = jnp.where(exponent < 1e6, exponent, jax.lax.stop_gradient(exponent))
    return Saddle(sinh, exponent)
