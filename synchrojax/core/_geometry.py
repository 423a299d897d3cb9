"""The angle to B, and maps of the plane onto the unit disk, where (Q, V) / I of emission lies."""

from typing import TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from synchrojax.core._types import Arrays, Reals

_Pair: TypeAlias = tuple[Float[Array, "..."], Float[Array, "..."]]


def _half_tangent(angle: Reals) -> Float[Array, "..."]:
    """tan(angle / 2), whose sign is that of the sine."""
    return jnp.sin(0.5 * angle) / jnp.cos(0.5 * angle)


@jax.custom_jvp
def sine_cosine(theta: Reals) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """|sin| and cos of the angle, the former through t = tan(theta / 2).

    XLA evaluates a sine again wherever it is used, a quotient once. The cosine keeps its digits
    near a right angle.
    """
    t = _half_tangent(theta)
    return jnp.abs(2.0 * t / (1.0 + t * t)), jnp.cos(theta)


@sine_cosine.defjvp
def _sine_cosine_slope(primals: tuple[Reals], tangents: tuple[Reals]) -> tuple[_Pair, _Pair]:
    sine, cosine = sine_cosine(*primals)
    turn = jnp.where(_half_tangent(*primals) < 0.0, -tangents[0], tangents[0])
    return (sine, cosine), (cosine * turn, -sine * turn)


@jax.custom_jvp
def cosine_sine(angle: Reals) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """cos and sin of an angle, of one quotient as in ``sine_cosine``."""
    t = _half_tangent(angle)
    over = 1.0 / (1.0 + t * t)
    return (1.0 - t * t) * over, 2.0 * t * over


@cosine_sine.defjvp
def _cosine_sine_slope(primals: tuple[Reals], tangents: tuple[Reals]) -> tuple[_Pair, _Pair]:
    cosine, sine = cosine_sine(*primals)
    return (cosine, sine), (-sine * tangents[0], cosine * tangents[0])


def from_plane(
    a: Float[Arrays, "*points"], b: Float[Arrays, "*points"]
) -> tuple[Float[Array, "*points"], Float[Array, "*points"]]:
    """The plane onto the open unit disk: (a, b) / sqrt(1 + a^2 + b^2)."""
    # strict after rounding
    inside = jax.lax.rsqrt(1.0 + a * a + b * b) * (1.0 - 4.0 * jnp.finfo(a.dtype).eps)
    return inside * a, inside * b


def to_plane(
    q: Float[Arrays, "*points"], v: Float[Arrays, "*points"]
) -> tuple[Float[Array, "*points"], Float[Array, "*points"]]:
    """Inverse of ``from_plane``."""
    q, v = jnp.asarray(q), jnp.asarray(v)
    outside = 1.0 / jnp.sqrt((1.0 - q) * (1.0 + q) - v * v)
    return q * outside, v * outside


def limit_polarization(
    q: Float[Arrays, "*points"], v: Float[Arrays, "*points"]
) -> tuple[Float[Array, "*points"], Float[Array, "*points"]]:
    """The nearest point of the unit disk, along the radius."""
    square = q * q + v * v
    most = 1.0 - 4.0 * jnp.finfo(q.dtype).eps
    inside = square <= most * most
    scale = jnp.where(inside, 1.0, most * jax.lax.rsqrt(jnp.where(inside, 1.0, square)))
    return scale * q, scale * v
