"""Vectors of three, sums without rounding, and waves of a phase that is known to more digits than
one number has.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def cross(a, b):
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


def power_of_two(values, lowest=1.0):
    """A power of two close to the largest magnitude, not below tiny^lowest: scaling by it loses no
    digits.
    """
    limits = jnp.finfo(values[0].dtype)
    largest = functools.reduce(jnp.maximum, (jnp.abs(v) for v in values))
    largest = jnp.clip(jax.lax.stop_gradient(largest), float(limits.tiny) ** lowest, limits.max / 4)
    return jax.lax.reduce_precision(largest, limits.nexp, 0)


def split(x):
    """x as a sum of two numbers of half the digits, whose products are exact."""
    limits = jnp.finfo(x.dtype)
    high = jax.lax.reduce_precision(x, limits.nexp, (limits.nmant - 1) // 2)
    return high, x - high


def _two_sum(total, lost, value):
    """(total + value, what rounding has lost so far) (Knuth's two-sum)."""
    larger = total + value
    added = larger - total
    return larger, lost + ((total - (larger - added)) + (value - added))


def exact_sums(*sums):
    """Sums of sign x y over products (sign, x, y), right to the last digits however nearly they
    cancel.

    Every product in it is exact, so that a fused multiplication and addition changes nothing.
    Several sums are taken at once, since the arithmetic is long to compile.
    """
    longest, zero = max(map(len, sums)), jnp.zeros_like(sums[0][0][1])
    rows = [[*products, *[(0.0, zero, zero)] * (longest - len(products))] for products in sums]
    sign = np.array([[product[0] for product in row] for row in rows]).reshape(
        len(rows), longest, *[1] * zero.ndim
    )
    x, y = (
        jnp.stack([jnp.stack([product[k] for product in row], 0) for row in rows], 1)
        for k in (1, 2)
    )
    sign = np.swapaxes(sign, 0, 1).astype(zero.dtype)  # [product, sum, ...]
    plain = jnp.sum(sign * (x * y), 0)
    (h, l), (k, m) = map(split, jax.lax.stop_gradient((x, y)))
    parts = jnp.stack(
        [sign * (h * k), sign * (h * m), sign * (l * k)], 1
    )  # [product, part, sum, ...]
    total, lost = parts[0], jnp.zeros_like(parts[0])
    for part in parts[1:]:
        total, lost = _two_sum(total, lost, part)
    value, rest = total[0], jnp.zeros_like(lost[0])
    for part in total[1:]:
        value, rest = _two_sum(value, rest, part)
    value = value + (rest + jnp.sum(lost, 0) + jnp.sum(sign * (l * m), 0))
    return list(plain + jax.lax.stop_gradient(value - plain))


def excess_of(total, *parts):
    """total^2 - sum of parts^2, as ``exact_sums`` takes it."""
    return [(1.0, total, total), *((-1.0, p, p) for p in parts)]


def unpolarized(v):
    """I^2 - |P|^2 of light; fully polarized light whose rounding makes |P| > I counts as what it
    is.
    """
    (excess,) = exact_sums(excess_of(*v))
    return not_negative(excess, v[0])


def not_negative(excess, total):
    """``excess``, which rounding of the parts may have made negative, of ``total``^2."""
    rounded = (excess < 0.0) & (excess > -8.0 * jnp.finfo(excess.dtype).eps * total * total)
    return excess + jax.lax.stop_gradient(jnp.where(rounded, -excess, 0.0))


@jax.custom_jvp
def wave(angle, high, low):
    """cos and sin of ``angle``, known better as ``high`` + ``low``."""
    (c, d), (s, e) = (jnp.cos(high), jnp.cos(low)), (jnp.sin(high), jnp.sin(low))
    return c * d - s * e, s * d + c * e


@wave.defjvp
def _wave_slope(primals, tangents):
    cos, sin = wave(*primals)
    return (cos, sin), (-sin * tangents[0], cos * tangents[0])
