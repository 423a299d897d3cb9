"""Vectors of three, sums without rounding, and waves of a phase that two numbers hold."""

import functools
import operator
from collections.abc import Sequence
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Float

from synchrojax.core import Arrays, Reals, power_of_two

# of the shape of the light, or one that broadcasts to it
Values: TypeAlias = Float[Arrays, "..."]
# components of a vector, or other numbers that go together
Vector: TypeAlias = Sequence[Values]


def dot(a: Vector, b: Vector) -> Values:
    return functools.reduce(operator.add, (x * y for x, y in zip(a, b, strict=True)))


def cross(a: Vector, b: Vector) -> tuple[Values, Values, Values]:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


def unit_of(values: Vector, lowest: float = 1.0) -> Values:
    """A power of two close to the largest magnitude, not below tiny^lowest, to measure them in."""
    limits = jnp.finfo(values[0].dtype)
    largest = functools.reduce(jnp.maximum, (jnp.abs(v) for v in values))
    largest = jax.lax.stop_gradient(largest)
    return power_of_two(jnp.clip(largest, float(limits.tiny) ** lowest, limits.max / 4))


def split(x: Values) -> tuple[Values, Values]:
    """x as a sum of two numbers of half the digits, whose products are exact."""
    limits = jnp.finfo(x.dtype)
    high = jax.lax.reduce_precision(x, limits.nexp, (limits.nmant - 1) // 2)
    return high, x - high


def _summed(values: Vector) -> tuple[Values, Values]:
    """(sum, what its rounding lost) of numbers (Knuth's two-sum)."""
    total, lost = values[0], jnp.zeros_like(values[0])
    for value in values[1:]:
        larger = total + value
        added = larger - total
        lost += (total - (larger - added)) + (value - added)
        total = larger
    return total, lost


def exact_sum(*products: tuple[float, Values, Values]) -> Values:
    """Sum of sign x y over ``products`` (sign, x, y), however nearly they cancel.

    Right to the last digits. Every product in it is exact, so that a fused multiplication and
    addition changes nothing.
    """
    plain = sum(sign * (x * y) for sign, x, y in products)
    highs, middles, lows = [], [], []
    for sign, x, y in jax.lax.stop_gradient(products):
        (h, l), (k, m) = split(x), split(y)
        highs.append(sign * (h * k))
        middles.extend([sign * (h * m), sign * (l * k)])
        lows.append(sign * (l * m))
    high, lost = _summed(highs)
    middle, more = _summed(middles)
    value, rest = _summed([high, middle])
    value += rest + lost + more + sum(lows)
    return plain + jax.lax.stop_gradient(value - plain)


def excess_of(total: Values, *parts: Values) -> Values:
    """total^2 - sum of parts^2 without rounding."""
    return exact_sum((1.0, total, total), *((-1.0, p, p) for p in parts))


def unpolarized(v: Vector) -> Values:
    """I^2 - |P|^2 of light.

    Fully polarized light whose rounding makes |P| > I counts as what it is.
    """
    excess = excess_of(*v)
    rounded = (excess < 0.0) & (excess > -8.0 * jnp.finfo(excess.dtype).eps * v[0] * v[0])
    return excess + jax.lax.stop_gradient(jnp.where(rounded, -excess, 0.0))


@jax.custom_jvp
def wave(angle: Reals, high: Reals, low: Reals) -> tuple[Reals, Reals]:
    """cos and sin of ``angle``, known better as ``high`` + ``low``."""
    (c, d), (s, e) = (jnp.cos(high), jnp.cos(low)), (jnp.sin(high), jnp.sin(low))
    return c * d - s * e, s * d + c * e


@wave.defjvp
def _wave_slope(
    primals: tuple[Reals, Reals, Reals], tangents: tuple[Reals, Reals, Reals]
) -> tuple[tuple[Reals, Reals], tuple[Reals, Reals]]:
    cos, sin = wave(*primals)
    return (cos, sin), (-sin * tangents[0], cos * tangents[0])
