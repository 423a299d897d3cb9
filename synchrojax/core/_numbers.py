"""Arithmetic that keeps its digits and compiles to little.

Full-precision products, elementary functions with plain derivatives, and results at the limits of
their dtype.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from synchrojax.core._types import Arrays, Reals

# a value and its tangent, or two values
_Pair: TypeAlias = tuple[Float[Array, "..."], Float[Array, "..."]]


def product(
    matrix: Float[Arrays, "rows inputs"], x: Float[Arrays, "inputs *points"]
) -> Float[Array, "rows *points"]:
    """A matrix times the first axis of ``x`` in full precision.

    GPUs would round float32 to 10 bits.
    """
    return jnp.tensordot(matrix, x, 1, precision="highest")


def rows_of(
    values: Sequence[float | int] | Num[np.ndarray, " rows"], like: Float[Arrays, "*points"]
) -> Float[Array, "rows ..."]:
    """Constants along a new first axis, in the dtype of ``like``.

    A stack of expressions would evaluate what they share for each.
    """
    return jnp.asarray(values, like.dtype).reshape(-1, *(1,) * like.ndim)


# Elementary functions with plain derivatives ------------------------------------------------------
#
# XLA's CPU backend makes a kernel of every quotient that is used more than once, and JAX's rules
# for x / y, max, min and clip put new quotients into the derivatives: these do not.


def at_most(x: Reals, high: Reals) -> Float[Array, "..."]:
    """The lesser of two numbers; where they are equal, the slope is that of ``x``."""
    return jnp.where(x > high, high, x)


def at_least(x: Reals, low: Reals) -> Float[Array, "..."]:
    """The larger of two numbers; where they are equal, the slope is that of ``x``."""
    return jnp.where(x < low, low, x)


def within(x: Reals, low: Reals, high: Reals) -> Float[Array, "..."]:
    """``x`` between two ends, which count as inside."""
    return at_most(at_least(x, low), high)


@jax.custom_jvp
def reciprocal(x: Reals) -> Float[Array, "..."]:
    """1 / x, whose derivative -1 / x^2 is made of it."""
    return jnp.reciprocal(x)


@reciprocal.defjvp
def _reciprocal_slope(primals: tuple[Reals], tangents: tuple[Reals]) -> _Pair:
    value = reciprocal(*primals)
    return value, -(value * value) * tangents[0]


@jax.custom_jvp
def softplus(x: Reals) -> Float[Array, "..."]:
    """ln(1 + exp(x)), without overflow."""
    return at_least(x, 0.0) + jnp.log1p(jnp.exp(-jnp.abs(x)))


@softplus.defjvp
def _softplus_slope(primals: tuple[Reals], tangents: tuple[Reals]) -> _Pair:
    return softplus(*primals), jax.nn.sigmoid(primals[0]) * tangents[0]


@jax.custom_jvp
def square_root(x: Reals) -> Float[Array, "..."]:
    """sqrt(x) of x > 0."""
    return jnp.sqrt(x)


@square_root.defjvp
def _square_root_slope(primals: tuple[Reals], tangents: tuple[Reals]) -> _Pair:
    value = square_root(*primals)
    return value, 0.5 * reciprocal(value) * tangents[0]


@jax.custom_jvp
def complex_root(real: Reals, imag: Reals) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Real and imaginary part of the square root, with a real part >= 0, of real + i imag != 0."""
    size = square_root(real * real + imag * imag)
    larger = square_root(0.5 * (size + jnp.abs(real)))
    other = 0.5 * imag * reciprocal(larger)
    left = real < 0.0
    return (
        jnp.where(left, jnp.abs(other), larger),
        jnp.where(left, jnp.where(imag < 0.0, -larger, larger), other),
    )


@complex_root.defjvp
def _complex_root_slope(
    primals: tuple[Reals, Reals], tangents: tuple[Reals, Reals]
) -> tuple[_Pair, _Pair]:
    a, b = complex_root(*primals)
    # dz / (2 root)
    over = 0.5 * reciprocal(a * a + b * b)
    real, imag = tangents
    return (a, b), (over * (a * real + b * imag), over * (a * imag - b * real))


def smooth_step(x: Reals) -> Float[Array, "..."]:
    """0 below x = 0, 1 above x = 1, with a slope that is 0 at both."""
    x = within(x, 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)


# Results at the limits of their dtype -------------------------------------------------------------


def _largest(x: Any, share: float = 0.99) -> float:
    """The largest number of the dtype to the power ``share``."""
    return float(jnp.finfo(x.dtype).max) ** share


def bounded_exp(x: Float[Arrays, "*points"]) -> Float[Array, "*points"]:
    """exp(x), at most the largest number.

    As a square, so that a slope of it overflows only if exp(x / 2) does.
    """
    root = jnp.exp(at_most(0.5 * x, 0.5 * float(np.log(_largest(x)))))
    return root * root


def bounded_product(
    x: Float[Arrays, "*points"], y: Float[Arrays, "*points"]
) -> Float[Array, "*points"]:
    """x y for x > 0, at most the largest number in magnitude."""
    most = jax.lax.stop_gradient(_largest(x) / at_least(x, 1.0))
    return within(y, -most, most) * x


@jax.custom_jvp
def ratio(x: Reals, y: Reals) -> Float[Array, "..."]:
    """x / y of positive numbers, at most the largest one; its derivatives never square y."""
    return jnp.minimum(x / y, _largest(x))


@ratio.defjvp
def _ratio_slope(primals: tuple[Reals, Reals], tangents: tuple[Reals, Reals]) -> _Pair:
    (x, y), value = primals, ratio(*primals)
    most = _largest(x, 0.8)

    def slope(by: Reals) -> Float[Array, "..."]:
        found = value / by
        return jnp.where(found < most, found, 0.0)

    return value, slope(x) * tangents[0] - slope(y) * tangents[1]


# Derivatives at the limits of their dtype ---------------------------------------------------------


def slopes_that_fit(
    value: Float[Arrays, "*points"],
    size: Float[Arrays, "*points"],
    smallest: Float[Arrays, "*points"],
) -> Float[Array, "*points"]:
    """``value``, without its slope where that or a step to it would leave the dtype's range.

    A slope is of order size / input. ``smallest``: the least magnitude of the inputs.
    """
    limit, least = (
        _largest(value, 0.5) * jnp.minimum(smallest, 1.0),
        10.0 * float(jnp.finfo(value.dtype).tiny),
    )
    fits = (size > least) & (size < limit) & (smallest > 1.0 / _largest(value, 0.85))
    return jnp.where(fits, value, jax.lax.stop_gradient(value))


def power_of_two(size: Float[Arrays, "*points"]) -> Float[Array, "*points"]:
    """The power of two at or below ``size`` > 0, no part of derivatives.

    Scaling by it loses no digits.
    """
    return jax.lax.reduce_precision(jax.lax.stop_gradient(size), jnp.finfo(size.dtype).nexp, 0)


@jax.custom_jvp
def with_tangents_times(x: Reals, scale: Reals) -> Reals:
    """x, whose tangents, and so its cotangents, are ``scale`` times as large on the other side.

    What depends on a / b for a small b has slopes beyond the range of the numbers; in units of b
    they fit.
    """
    return x


@with_tangents_times.defjvp
def _with_tangents_times_slope(
    primals: tuple[Reals, Reals], tangents: tuple[Reals, Reals]
) -> tuple[Reals, Reals]:
    # not itself again: derivatives of derivatives are in plain units, since reverse mode forgets
    # the rule
    return primals[0], primals[1] * tangents[0]


@jax.custom_jvp
def over_with_tangents(x: Reals, scale: Reals) -> Float[Array, "..."]:
    """x / scale, with tangents as ``with_tangents_times`` has them: those of x."""
    return jnp.divide(x, scale)


@over_with_tangents.defjvp
def _over_with_tangents_slope(
    primals: tuple[Reals, Reals], tangents: tuple[Reals, Reals]
) -> tuple[Any, Any]:
    return primals[0] / primals[1], tangents[0]
