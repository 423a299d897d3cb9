"""Integrals of powers, right where the exponent vanishes and where it is large."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from synchrojax.core import Reals, at_least

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
