"""Published fitting formulas: a yardstick for ``validate --against fits`` and the benchmarks.

As in the papers (the rotativities of power laws and kappa as remembered, confirmed by computation
alone), for nu = 1 Hz and n_e = 1 cm^-3, isotropic electrons, turned to the signs of this package:
functions of arrays (s, theta, parameters) that give the eight, NaN where there is no formula. The
papers give V for theta <= pi/2; beyond, it is odd. ``tests/validate/test_fits.py`` holds each
against the exact integrals in its own range. Left out, because it could not be confirmed: alpha_V
of kappa (Pandya et al. 2016, eq. 45).
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln, hyp2f1
from jaxtyping import Array, Bool, Float

from synchrojax.core import (
    E2_OVER_MC,
    ELECTRON_CHARGE,
    ELECTRON_MASS,
    SPEED_OF_LIGHT,
    Columns,
    Points,
    Reals,
    cold,
)
from synchrojax.special import scaled_k012
from synchrojax.tables.table_files import RESULTS

# masks of emission and absorption, and of rotativities
Stated: TypeAlias = tuple[Bool[np.ndarray, " rows"], Bool[np.ndarray, " rows"]]

# e^2 nu_c / c is this over s; e^2 / (m_e c nu) is E2_OVER_MC
_EMISSION = ELECTRON_CHARGE**2 / SPEED_OF_LIGHT


def _gamma(x: Reals) -> Float[Array, "..."]:
    return jnp.exp(gammaln(x))


def _all(
    j: Sequence[Points], alpha: Sequence[Points], rho: Sequence[Points]
) -> tuple[Float[Array, "*points"], ...]:
    return tuple(jnp.broadcast_arrays(*j, *alpha, *rho))


def thermal(s: Points, theta: Points, theta_e: Points) -> tuple[Float[Array, "*points"], ...]:
    """Pandya et al. 2016 (ApJ 822, 34), eqs. 29 and 31 with Kirchhoff's law.

    Rotativities of Dexter 2016, app. B. Stated for 3 < theta_e < 40, s > 10 and x below about 1e3
    (emission).
    """
    sine, side = jnp.sin(theta), jnp.sign(jnp.cos(theta))
    x = 4.5 * s / (theta_e**2 * sine)
    common = jnp.exp(-jnp.cbrt(x)) * (np.sqrt(2.0) * np.pi / 27.0) * sine
    root, sixth, hot = jnp.sqrt(x), 2.0 ** (11 / 12) * x ** (1 / 6), theta_e ** (24 / 25)
    j_i = common * (root + sixth) ** 2
    j_q = -common * (root + (7.0 * hot + 35.0) / (10.0 * hot + 75.0) * sixth) ** 2
    acute = jnp.minimum(theta, np.pi - theta)
    j_v = (
        jnp.exp(-jnp.cbrt(x)) * (37.0 - 87.0 * jnp.sin(acute - 28 / 25)) / (100.0 * (theta_e + 1.0))
    )
    j_v = side * j_v * (1.0 + (theta_e**0.6 / 25.0 + 0.7) * x ** (9 / 25)) ** (5 / 3)
    j = [_EMISSION / s * v for v in (j_i, j_q, j_v)]
    alpha = [v / (2.0 * ELECTRON_MASS * theta_e) for v in j]

    k0, k1, k2 = scaled_k012(1.0 / theta_e)
    y = theta_e * jnp.sqrt(np.sqrt(2.0) * 1e3 * sine / s)
    f = 2.011 * jnp.exp(-(y**1.035) / 4.7) - jnp.cos(0.5 * y) * jnp.exp(-(y**1.2) / 2.73)
    near, far = (
        0.011 * jnp.exp(-y / 47.2),
        2.0 ** (-1 / 3) / 3.0 ** (23 / 6) * np.pi * 1e4 * y ** (-8 / 3),
    )
    f = f - near + (near - far) * 0.5 * (1.0 + jnp.tanh(10.0 * jnp.log(y / 120.0)))
    cold_q, cold_v = cold(s, sine, jnp.cos(theta))
    drop = 0.4379 * jnp.log1p(0.001858 * y**1.503) * jnp.exp(1.0 / theta_e)
    return _all(j, alpha, (cold_q * f * (k1 / k2 + 6.0 * theta_e), cold_v * (k0 - drop) / k2))


def powerlaw(
    s: Points, theta: Points, p: Points, gamma_min: Points, gamma_max: Points
) -> tuple[Float[Array, "*points"], ...]:
    """Pandya et al. 2016, eqs. 33-34 and 40-41.

    Rotativities of Jones & O'Dell 1977 (ApJ 214, 522) as in Dexter 2016. Stated for gamma_min^2 <<
    nu / nu_c << gamma_max^2 and 1.5 < p < 6.5, rotativities for gamma_min >> 1. Absorption and
    rho_V leave out the edges of the distribution, rho_Q is that with them.
    """
    sine, side = jnp.sin(theta), jnp.sign(jnp.cos(theta))
    norm = (p - 1.0) / (gamma_min ** (1.0 - p) - gamma_max ** (1.0 - p))
    x = s / sine
    j_i = norm * 3.0 ** (0.5 * p) * sine / (2.0 * (p + 1.0)) * x ** (0.5 * (1.0 - p))
    j_i = _EMISSION / s * j_i * _gamma((3.0 * p - 1.0) / 12.0) * _gamma((3.0 * p + 19.0) / 12.0)
    j_q = -j_i * (p + 1.0) / (p + 7.0 / 3.0)
    tangent = jnp.abs(jnp.tan(theta))
    j_v = j_i * side * 0.684 * p**0.49 / tangent * jnp.sqrt(3.0 / x)
    a_i = norm * 3.0 ** (0.5 * (p + 1.0)) / 4.0 * x ** (-0.5 * (p + 2.0))
    a_i = E2_OVER_MC * a_i * _gamma((3.0 * p + 2.0) / 12.0) * _gamma((3.0 * p + 22.0) / 12.0)
    a_q = -a_i * (0.034 * p - 0.0344) ** 0.086
    a_v = (
        a_i
        * side
        * (0.71 * p + 0.0352) ** 0.394
        * (3.1 * sine ** (-48 / 25) - 3.1) ** (64 / 125)
        / jnp.sqrt(x)
    )
    bend = 0.5 * p - 1.0
    small = jnp.abs(bend) < 1e-4  # (1 - r^bend) / bend
    reach = -jnp.log(gamma_min**2 / x)
    conversion: Any = jnp.where(
        small, reach, -jnp.expm1(-bend * reach) / jnp.where(small, 1.0, bend)
    )
    conversion = norm * gamma_min ** (2.0 - p) * conversion
    rotation = (p + 2.0) / (p + 1.0) * norm * gamma_min ** (-p - 1.0) * jnp.log(gamma_min)
    cold_q, cold_v = cold(s, sine, jnp.cos(theta))
    return _all((j_i, j_q, j_v), (a_i, a_q, a_v), (cold_q * conversion, cold_v * rotation))


def kappa(
    s: Points, theta: Points, kappa: Points, w: Points
) -> tuple[Float[Array, "*points"], ...]:
    """Pandya et al. 2016, eqs. 35-38 and 42-44, for 2.5 < kappa < 7.5, 3 < w < 40; no alpha_V.

    Rotativities of Marszewski et al. 2021 (ApJ 921, 17), given for kappa = 3.5, 4, 4.5 and 5,
    linear in between, NaN outside. Their rho_Q is too small above x of some 200: towards its limit,
    2 <gamma>, by a sixth (kappa = 5) to three fifths (kappa = 3.5).
    """
    sine, side = jnp.sin(theta), jnp.sign(jnp.cos(theta))
    x, kw = s / ((w * kappa) ** 2 * sine), w * kappa

    def join(low: Points, high: Points, power: Points) -> Points:
        return (low**-power + high**-power) ** (-1.0 / power)

    low = (
        jnp.cbrt(x)
        * sine
        * 4.0
        * np.pi
        * _gamma(kappa - 4 / 3)
        / (3.0 ** (7 / 3) * _gamma(kappa - 2.0))
    )
    high = (
        x ** (1.0 - 0.5 * kappa)
        * sine
        * 3.0 ** (0.5 * (kappa - 1.0))
        * (kappa - 2.0)
        * (kappa - 1.0)
        / 4.0
    )
    high = high * _gamma(kappa / 4 - 1 / 3) * _gamma(kappa / 4 + 4 / 3)
    shape = sine ** (-12 / 5) - 1.0, sine ** (-5 / 2) - 1.0
    v_low = low * 0.5625 * shape[0] ** (12 / 25) * kappa ** (-66 / 125) / w * x ** (-7 / 20)
    v_high = high * 0.765625 * shape[1] ** (11 / 25) * kappa ** (-11 / 25) / w / jnp.sqrt(x)
    j_i = join(low, high, 3.0 * kappa ** (-1.5))
    j_q = -join(0.5 * low, (0.64 + kappa / 50.0) * high, 3.7 * kappa ** (-8 / 5))
    j_v = side * join(v_low, v_high, 3.0 * kappa ** (-1.5))

    order = (kappa - 2.0) * (kappa - 1.0) * kappa
    series = _hypergeometric(kappa, kw)
    low = x ** (-2 / 3) * 3.0 ** (1 / 6) * (10.0 / 41.0) * 2.0 * np.pi * kw ** (kappa - 10 / 3)
    low = low * order / (3.0 * kappa - 1.0) * _gamma(5 / 3) * series
    high = x ** (-0.5 * (1.0 + kappa)) * np.pi**1.5 / 3.0 * order / kw**3
    high = high * (2.0 * _gamma(2.0 + 0.5 * kappa) / (2.0 + kappa) - 1.0)
    a_i = join(low, high * ((3.0 / kappa) ** (19 / 4) + 0.6), (-1.75 + 1.6 * kappa) ** (-43 / 50))
    a_q = -join(25 / 48 * low, high * (441.0 * kappa ** (-5.76) + 0.55), 1.4 * kappa ** (-23 / 20))
    alpha = [E2_OVER_MC * a_i, E2_OVER_MC * a_q, jnp.full_like(a_i, jnp.nan)]
    rho = [
        a * b
        for a, b in zip(
            cold(s, sine, jnp.cos(theta)), _kappa_rotativities(x, kappa, w), strict=True
        )
    ]
    return _all([_EMISSION / s * v for v in (j_i, j_q, j_v)], alpha, rho)


# Marszewski et al. 2021, for kappa = 3.5, 4, 4.5, 5: rho_Q and rho_V over those of cold plasma
_CONVERSION = (
    (1 / 30, 1 / 10, 3 / 2, 0.471, 17, 3, 7),
    (1 / 18, 1 / 6, 7 / 4, 0.5, 46 / 3, 5 / 3, 17 / 3),
    (1 / 12, 1 / 4, 2, 0.525, 14, 13 / 8, 9 / 2),
    (1 / 8, 3 / 8, 9 / 4, 0.541, 25 / 2, 1, 5),
)
_ROTATION = (
    (0.447, (1, 2, 1), (25 / 8, 4, 1)),
    (0.391, (1, 54, 50), (30 / 11, 134, 50)),
    (0.348, (1, 43, 38), (7 / 3, 185 / 2, 38)),
    (0.313, (0, 1, 13 / 14), (0, 2, 13 / 14)),
)


def _kappa_rotativities(x: Points, kappa: Points, w: Points) -> list[Float[Array, "*points"]]:
    """rho_Q and rho_V over those of cold plasma."""
    root, slow = jnp.sqrt(w), jnp.exp(-5.0 * w)
    k0, _, k2 = scaled_k012(1.0 / w)
    rho_q, rho_v = [], []
    for a, b, c, power, hot, less, more in _CONVERSION:
        shape = 1.0 - jnp.exp(-a * x**0.84) - jnp.sin(b * x) * jnp.exp(-c * x**power)
        rho_q.append(shape * (hot * w - less * root + more * root * slow))
    for a, above, below in _ROTATION:
        ratio = jnp.polyval(jnp.asarray(above, x.dtype), w) / jnp.polyval(
            jnp.asarray(below, x.dtype), w
        )
        rho_v.append((1.0 - 0.17 * jnp.log1p(a / jnp.sqrt(x))) * ratio * k0 / k2)
    place = 2.0 * (kappa - 3.5)
    weights = [jnp.maximum(1.0 - jnp.abs(place - i), 0.0) for i in range(4)]
    known = (place >= 0.0) & (place <= 3.0)
    return [
        jnp.where(known, sum(a * b for a, b in zip(weights, rho, strict=True)), jnp.nan)
        for rho in (rho_q, rho_v)
    ]


def _hypergeometric(kappa: Points, kw: Points) -> Float[Array, "*points"]:
    """2F1(kappa - 1/3, kappa + 1; kappa + 2/3; -kappa w).

    Pfaff's transformation brings it into the unit disk.
    """
    return (1.0 + kw) ** (-kappa - 1.0) * hyp2f1(
        jnp.ones_like(kappa), kappa + 1.0, kappa + 2 / 3, kw / (1.0 + kw)
    )


# Where their authors state them to hold --------------------------------------------------------
# {input: array} inside of what ``stated`` asks of all -> (emission and absorption, rotativities)


def _thermal_holds(points: Columns) -> Stated:
    s, sine, theta_e = points["s"], np.sin(points["theta"]), points["theta_e"]
    rotation = (theta_e > 3.0) & (theta_e < 40.0)
    return rotation & (4.5 * s < 1e3 * theta_e**2 * sine), rotation


def _powerlaw_holds(points: Columns) -> Stated:
    s, sine = points["s"], np.sin(points["theta"])
    p, low, high = (points[n] for n in ("p", "gamma_min", "gamma_max"))
    # a factor of thirty stands for <<
    wide = (s > 30.0 * low**2 * sine) & (30.0 * s < high**2 * sine)
    inside = (p > 1.5) & (p < 6.5) & wide
    return inside, inside & (p > 2.0) & (low > 5.0)


def _kappa_holds(points: Columns) -> Stated:
    inside = (points["kappa"] < 7.5) & (points["w"] > 3.0) & (points["w"] < 40.0)
    return inside, inside


class Fit(NamedTuple):
    """A published formula and where it holds.

    ``formula``: (s, theta, parameters) -> the eight; ``holds``: where its authors state it to,
    {input: array} -> masks of emission and absorption, and of rotativities.
    """

    formula: Callable[..., tuple[Float[Array, "*points"], ...]]
    holds: Callable[[Columns], Stated]


# distribution -> its fit
FITS = {
    "thermal": Fit(thermal, _thermal_holds),
    "powerlaw": Fit(powerlaw, _powerlaw_holds),
    "kappa": Fit(kappa, _kappa_holds),
}


def stated(name: str, points: Columns) -> dict[str, Bool[np.ndarray, " rows"]]:
    """Where the authors of ``FITS[name]`` state it to hold, for {input: array}: {result: mask}."""
    common = (points["s"] > 10.0) & (np.sin(points["theta"]) > np.sin(np.radians(15.0)))
    inside, rotation = FITS[name].holds(points)
    return {
        result: common & (rotation if result.startswith("rho") else inside) for result in RESULTS
    }
