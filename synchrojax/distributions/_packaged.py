"""The isotropic distributions that have a name."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import jax.numpy as jnp
import numpy as np

from synchrojax.core import Reals, Truths, at_least, at_most, square_root
from synchrojax.distributions._base import Distribution
from synchrojax.special import log_power_until, scaled_k012

HIGHEST_GAMMA = 1e12  # infinity, for every purpose here
_EDGES = ("keep", "omit")


class Thermal(Distribution):
    """Maxwell-Juttner: f = exp(-gamma / theta_e) / (4 pi theta_e K_2(1 / theta_e)).

    ``theta_e`` = k T / (m_e c^2). Isotropic.
    """

    parameters = ("theta_e",)

    def log_shape(self, gamma: Reals, mu: Reals, across: Reals, *, theta_e: Reals) -> Reals:
        return -(gamma - 1.0) / theta_e

    def log_norm(self, *, theta_e: Reals) -> Reals:
        return jnp.log(4.0 * jnp.pi * theta_e * scaled_k012(1.0 / theta_e)[2])

    def gamma_bounds(self, *, theta_e: Reals) -> tuple[Reals, Reals]:
        return jnp.ones_like(theta_e), 1.0 + 800.0 * theta_e

    def harmonics_matter(self, s: Reals, sine: Reals, *, theta_e: Reals) -> Truths:
        # elsewhere sum and integral agree to 2e-7 (tests/exact/test_exact.py): far above the
        # cyclotron line, hot, or Doppler-broadened over many harmonics along B
        limit = 15.0 + 1.5 / theta_e - 4.5 * jnp.log10(1.0 + 10.0 * theta_e * sine)
        low = s * sine < jnp.clip(limit, 5.0, 80.0)
        return low & ((s < 120.0) | (theta_e * sine > 0.005) | (s * sine < 2.5))

    def violated(self, *, theta_e: Reals) -> Mapping[str, Truths]:
        return {"theta_e > 0": theta_e <= 0.0}


def _apart(gamma_min: Reals, gamma_max: Reals) -> tuple[Reals, Reals]:
    """Two ends, apart by more than rounding does.

    Ends that are close give way to both sides, the same to second order. What lies between two ends
    is the difference of what lies above each.
    """
    least = (
        3e-3 if jnp.finfo(jnp.result_type(gamma_min, gamma_max, jnp.float32)).bits <= 32 else 1e-5
    )
    close = (gamma_max > gamma_min) & (gamma_max < (1.0 + least) * gamma_min)
    middle = square_root(jnp.where(close, gamma_min, 1.0)) * square_root(
        jnp.where(close, gamma_max, 1.0)
    )
    low = at_least(middle * float((1.0 + least) ** -0.5), 1.0)
    return jnp.where(close, low, gamma_min), jnp.where(close, (1.0 + least) * low, gamma_max)


class PowerLaw(Distribution):
    """N(gamma) = (p - 1) gamma^-p / (gamma_min^(1-p) - gamma_max^(1-p)) between the two. Isotropic.

    p > 1, or p > 0 with a finite gamma_max.

    The sharp ends belong to the distribution: ``edges="keep"`` gives absorption and rotativities
    their share of df/dgamma there. Symphony, Rimphony and the fits in the literature leave it out:
    ``edges="omit"``, for comparisons. At gamma_min = 1 it is zero.
    """

    parameters = ("p", "gamma_min", "gamma_max")
    defaults = MappingProxyType({"gamma_min": 1.0, "gamma_max": HIGHEST_GAMMA})
    extended = True

    def __init__(self, *, edges: Any = "keep") -> None:
        if edges not in _EDGES:
            raise ValueError(f"edges must be one of {', '.join(_EDGES)}, got {edges!r}")
        self.edges = edges

    def log_shape(
        self,
        gamma: Reals,
        mu: Reals,
        across: Reals,
        *,
        p: Reals,
        gamma_min: Reals,
        gamma_max: Reals,
    ) -> Reals:
        # infinite at gamma = 1, which is on no node of the integrals
        return -(p + 1.0) * jnp.log(gamma) - 0.5 * jnp.log(
            jnp.maximum(gamma - 1.0, 1e-14) * (gamma + 1.0)
        )

    def log_norm(self, *, p: Reals, gamma_min: Reals, gamma_max: Reals) -> Reals:
        # integral of gamma^-p, times 4 pi; right for ends close to each other and for p = 1
        decades = jnp.log1p((gamma_max - gamma_min) / gamma_min)
        total = log_power_until(1.0 - p, decades) + (1.0 - p) * jnp.log(gamma_min)
        return total + float(np.log(4.0 * np.pi))

    def gamma_bounds(self, *, p: Reals, gamma_min: Reals, gamma_max: Reals) -> tuple[Reals, Reals]:
        return gamma_min, gamma_max

    def harmonics_matter(
        self, s: Reals, sine: Reals, *, p: Reals, gamma_min: Reals, gamma_max: Reals
    ) -> Truths:
        # a sharp edge above gamma = 1 cuts single harmonics off: their sum is then a sawtooth in s,
        # and its average, the integral, is taken for the coefficient
        near = (s * sine < 5.0) | ((s * sine < 15.0) & (gamma_min < 1.0 + 1e-6))
        # likewise a gamma_max that cuts into what radiates at s
        return near & (gamma_max * gamma_max * sine > 20.0 * s)

    def canonical(self, *, p: Reals, gamma_min: Reals, gamma_max: Reals) -> dict[str, Reals]:
        gamma_min, gamma_max = _apart(gamma_min, at_most(gamma_max, HIGHEST_GAMMA))
        return {"p": p, "gamma_min": gamma_min, "gamma_max": gamma_max}

    def jumps(
        self, *, p: Reals, gamma_min: Reals, gamma_max: Reals
    ) -> tuple[tuple[Reals, float], ...]:
        return (gamma_min, 1.0), (gamma_max, -1.0)

    def violated(self, *, p: Reals, gamma_min: Reals, gamma_max: Reals) -> Mapping[str, Truths]:
        return {
            "p > 0": p <= 0.0,
            "a finite gamma_max or p > 1": (p <= 1.0) & (gamma_max >= HIGHEST_GAMMA),
            "gamma_min >= 1": gamma_min < 1.0,
            "gamma_max > gamma_min": gamma_max <= gamma_min,
        }


class Kappa(Distribution):
    """Relativistic kappa: f proportional to (1 + (gamma - 1) / (kappa w))^-(kappa + 1). Isotropic.

    Vasyliunas 1968 (J. Geophys. Res. 73, 2839) in the form of Pandya et al. 2016 (ApJ 822, 34), eq.
    7. kappa -> infinity is a thermal distribution with theta_e = w.
    """

    parameters = ("kappa", "w")
    extended = True

    def log_shape(self, gamma: Reals, mu: Reals, across: Reals, *, kappa: Reals, w: Reals) -> Reals:
        return -(kappa + 1.0) * jnp.log1p((gamma - 1.0) / (kappa * w))

    def log_norm(self, *, kappa: Reals, w: Reals) -> Reals:
        # double exponential rule in y = gamma - 1 about its scale (Takahasi & Mori 1974)
        t, step = np.linspace(-4.6, 4.6, 185, retstep=True)
        scale = kappa * w / (1.0 + kappa)
        log_ratio = 0.5 * np.pi * np.sinh(t)
        y = scale * jnp.exp(log_ratio)
        log_weight = float(np.log(4.0 * np.pi * step * 0.5 * np.pi)) + np.log(np.cosh(t))
        terms = (
            jnp.log1p(y) + 0.5 * jnp.log(y * (y + 2.0)) + jnp.log(scale) + log_ratio + log_weight
        )
        terms = terms + self.log_shape(1.0 + y, 0.0, 1.0, kappa=kappa, w=w)
        top = jnp.max(terms)
        return top + jnp.log(jnp.sum(jnp.exp(terms - top)))

    def gamma_bounds(self, *, kappa: Reals, w: Reals) -> tuple[Reals, Reals]:
        return jnp.ones_like(kappa), jnp.full_like(kappa, HIGHEST_GAMMA)

    def harmonics_matter(self, s: Reals, sine: Reals, *, kappa: Reals, w: Reals) -> Truths:
        # along B too, whatever s is (tests/exact/test_distributions.py)
        return s * sine < 15.0

    def violated(self, *, kappa: Reals, w: Reals) -> Mapping[str, Truths]:
        return {"kappa > 2": kappa <= 2.0, "w > 0": w <= 0.0}


class Monoenergetic(Distribution):
    """All electrons at one Lorentz factor ``gamma`` > 1, isotropic.

    Coefficients are averaged over the harmonics that single electrons radiate in, as those of sharp
    edges are. N(gamma) of any shape is the integral over these.
    """

    parameters = ("gamma",)
    extended = True

    def log_shape(self, _: Reals, mu: Reals, across: Reals, /, *, gamma: Reals) -> Reals:
        # of the shell that they are on
        return jnp.zeros_like(mu)

    def log_norm(self, *, gamma: Reals) -> Reals:
        return jnp.log(4.0 * jnp.pi * gamma) + 0.5 * jnp.log((gamma - 1.0) * (gamma + 1.0))

    def gamma_bounds(self, *, gamma: Reals) -> tuple[Reals, Reals]:
        return jnp.ones_like(gamma), jnp.full_like(gamma, HIGHEST_GAMMA)

    def harmonics_matter(self, s: Reals, sine: Reals, *, gamma: Reals) -> Truths:
        return s * sine < 5.0  # their average needs Bessel functions of small order there

    def violated(self, *, gamma: Reals) -> Mapping[str, Truths]:
        return {"gamma > 1": gamma <= 1.0}
