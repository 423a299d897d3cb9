"""Electron distributions f(gamma, mu), normalised to one electron: integral d^3u f = 1.

d^3u = 2 pi gamma sqrt(gamma^2 - 1) dgamma dmu with u = p / (m_e c); mu is the cosine of the
pitch angle. Isotropic: f = N(gamma) / (4 pi gamma sqrt(gamma^2 - 1)).
"""

import abc
import functools
import inspect

import jax.numpy as jnp

from synchrojax._modified_bessel import scaled_k012


class Distribution(abc.ABC):
    """What the exact calculator needs to know of a distribution.

    ``parameters`` are the names that ``params`` must hold beside nu, B, n_e and theta;
    each method receives their values (one point) as keywords.
    """

    parameters: tuple[str, ...] = ()

    @abc.abstractmethod
    def log_f(self, gamma, mu, **parameters):
        """ln f at gamma >= 1, -1 <= mu <= 1."""

    @abc.abstractmethod
    def gamma_bounds(self, **parameters):
        """(lowest, highest) Lorentz factor at which f matters; f is taken as zero outside."""

    @abc.abstractmethod
    def harmonics_matter(self, s, sine, **parameters):
        """True where harmonics do not overlap and have to be summed; sine = |sin(theta)|."""


class Thermal(Distribution):
    """Maxwell-Juttner: f = exp(-gamma / theta_e) / (4 pi theta_e K_2(1 / theta_e)).

    ``theta_e`` = k T / (m_e c^2). Isotropic.
    """

    parameters = ("theta_e",)

    def log_f(self, gamma, mu, *, theta_e):
        norm = jnp.log(4.0 * jnp.pi * theta_e * scaled_k012(1.0 / theta_e)[2])
        return -(gamma - 1.0) / theta_e - norm

    def gamma_bounds(self, *, theta_e):
        return jnp.ones_like(theta_e), 1.0 + 800.0 * theta_e

    def harmonics_matter(self, s, sine, *, theta_e):
        # elsewhere sum and integral agree to 2e-7 (tests/test_exact.py): far above the
        # cyclotron line, hot, or Doppler-broadened over many harmonics along B
        limit = 15.0 + 1.5 / theta_e - 4.5 * jnp.log10(1.0 + 10.0 * theta_e * sine)
        low = s * sine < jnp.clip(limit, 5.0, 80.0)
        return low & ((s < 120.0) | (theta_e * sine > 0.005))


class Function(Distribution):
    """A user-written f(gamma, mu) or f(gamma, mu, name=...), array in, array out, in JAX.

    Further arguments of ``f`` without a default become parameters. ``f`` need not be
    normalised by us: write it so that the integral over d^3u is 1. It is taken as zero outside
    ``gamma_min <= gamma <= gamma_max``; a jump at those edges adds nothing to the absorption
    (the "omit" convention of the literature).
    """

    def __init__(self, f, *, gamma_min=1.0, gamma_max=1e12):
        if not callable(f):
            raise ValueError(f"a distribution is a function f(gamma, mu), not {type(f).__name__}")
        if not 1.0 <= gamma_min < gamma_max:
            raise ValueError(f"need 1 <= gamma_min < gamma_max, got {gamma_min} and {gamma_max}")
        self._f = f
        self._bounds = float(gamma_min), float(gamma_max)
        self.parameters = tuple(
            n
            for n, p in list(inspect.signature(f).parameters.items())[2:]
            if p.default is p.empty and p.kind != p.VAR_KEYWORD
        )

    def log_f(self, gamma, mu, **parameters):
        f = self._f(gamma, mu, **parameters)
        usable = (f > 0.0) & jnp.isfinite(f)  # a power law is infinite at gamma = 1, on no node
        return jnp.where(usable, jnp.log(jnp.where(usable, f, 1.0)), -1e4)

    def gamma_bounds(self, **parameters):
        return self._bounds

    def harmonics_matter(self, s, sine, **parameters):
        return (s * sine < 100.0) & (s < 1e5)


_NAMES = {"thermal": Thermal()}


def get_distribution(distribution):
    """A ``Distribution`` from a name, a class, an instance or a function f(gamma, mu)."""
    if isinstance(distribution, str):
        if distribution not in _NAMES:
            raise ValueError(f"unknown distribution {distribution!r}; available: {', '.join(sorted(_NAMES))}")
        return _NAMES[distribution]
    if isinstance(distribution, Distribution):
        return distribution
    return _wrap(distribution)


@functools.lru_cache(maxsize=32)
def _wrap(distribution):
    """One object per class or function, so that compiled code is found again."""
    if isinstance(distribution, type) and issubclass(distribution, Distribution):
        return distribution()
    return Function(distribution)
