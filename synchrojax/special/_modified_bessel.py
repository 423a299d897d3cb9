"""Scaled modified Bessel functions e^x K_0, e^x K_1, e^x K_2 of x > 0 (DLMF 10.31, 10.40)."""

import math
import pathlib
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from synchrojax.core import Reals, reciprocal

_TABLES = np.load(pathlib.Path(__file__).with_name("_bessel_coefficients.npz"), allow_pickle=False)
_FAR = [[float(c) for c in row] for row in _TABLES["modified_far"]]
_TERMS = 14
_EULER = 0.57721566490153286061


def _harmonic(k: int) -> float:
    return sum((1.0 / i for i in range(1, k + 1)), 0.0)


# coefficients of (x^2 / 4)^k
_I0 = [1.0 / math.factorial(k) ** 2 for k in range(_TERMS)]
_K0 = [c * (_harmonic(k) - _EULER) for k, c in enumerate(_I0)]
_I1 = [1.0 / (math.factorial(k) * math.factorial(k + 1)) for k in range(_TERMS)]
_K1 = [c * (0.5 * (_harmonic(k) + _harmonic(k + 1)) - _EULER) for k, c in enumerate(_I1)]


def horner(coefficients: Sequence[Reals], t: Reals) -> Reals:
    """The polynomial with ``coefficients``, constant first."""
    value = coefficients[-1]
    for c in coefficients[-2::-1]:
        value = value * t + c
    return value


def scaled_k012(
    x: Reals,
) -> tuple[Float[Array, "..."], Float[Array, "..."], Float[Array, "..."]]:
    """(e^x K_0(x), e^x K_1(x), e^x K_2(x)) in the precision of x; K_2 by recurrence."""
    k0, k1 = _scaled_k01(x)
    return k0, k1, k0 + 2.0 * k1 * reciprocal(x)


@jax.custom_jvp
def _scaled_k01(x: Reals) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    near = x < 2.0
    xn = jnp.where(near, x, 1.0)
    q = 0.25 * xn * xn
    log_half = jnp.log(0.5 * xn)
    k0n = horner(_K0, q) - log_half * horner(_I0, q)
    k1n = 1.0 / xn + 0.5 * xn * (log_half * horner(_I1, q) - horner(_K1, q))
    grow = jnp.exp(xn)
    xf = jnp.where(near, 2.0, x)
    t = 4.0 / xf - 1.0
    root = jnp.sqrt(xf)
    k0 = jnp.where(near, k0n * grow, horner(_FAR[0], t) / root)
    k1 = jnp.where(near, k1n * grow, horner(_FAR[1], t) / root)
    return k0, k1


@_scaled_k01.defjvp
def _scaled_k01_slopes(
    primals: tuple[Reals], tangents: tuple[Reals]
) -> tuple[tuple[Float[Array, "..."], Float[Array, "..."]], Any]:
    # DLMF 10.29.3 and 10.29.2: K_0' = -K_1, K_1' = -K_0 - K_1 / x
    k0, k1 = _scaled_k01(*primals)
    slopes = k0 - k1, k1 - k0 - k1 * reciprocal(primals[0])
    return (k0, k1), tuple(slope * tangents[0] for slope in slopes)
