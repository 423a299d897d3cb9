"""Integrals of powers, right where the exponent vanishes and where it is large."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from synchrojax.core import Reals, at_least, reciprocal

_SMALL = 1e-2


def log_power_until(exponent: Reals, length: Reals) -> Float[Array, "..."]:
    """ln of Int_0^length exp(exponent t) dt, length > 0."""
    z = exponent * length
    size = jnp.abs(z)
    small = size < _SMALL
    # ln(sinh(z / 2) / (z / 2)) is even in z; beside it stands z / 2
    series = z * z * (1.0 / 24.0 - z * z / 2880.0)
    safe = jnp.where(small, 1.0, size)
    far = 0.5 * safe + jnp.log(-jnp.expm1(-safe)) - jnp.log(safe)
    return jnp.log(at_least(length, 1e-37)) + 0.5 * z + jnp.where(small, series, far)


def _mean_power(z: Reals) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Int_0^1 exp(z t) dt, to 2e-7, and its derivative."""
    small = jnp.abs(z) < 1e-3
    growth, over = jnp.expm1(z), reciprocal(jnp.where(small, 1.0, z))
    mean = jnp.where(small, 1.0 + 0.5 * z, growth * over)
    return mean, jnp.where(small, 0.5, (1.0 + growth - mean) * over)


@jax.custom_jvp
def power_until(exponent: Reals, length: Reals) -> Reals:
    """Int_0^length exp(exponent t) dt."""
    return length * _mean_power(exponent * length)[0]


@power_until.defjvp
def _power_until_slope(
    primals: tuple[Reals, Reals], tangents: tuple[Reals, Reals]
) -> tuple[Reals, Reals]:
    exponent, length = primals
    mean, first = _mean_power(exponent * length)
    by_length = mean + exponent * length * first
    return length * mean, length * length * first * tangents[0] + by_length * tangents[1]
