"""Electron distributions f(gamma, mu), normalised to one electron: integral d^3u f = 1.

d^3u = 2 pi gamma sqrt(gamma^2 - 1) dgamma dmu with u = p / (m_e c); mu is the cosine of the
pitch angle. Isotropic: f = N(gamma) / (4 pi gamma sqrt(gamma^2 - 1)).

This room may import core and special.

Adding a distribution: a final class below ``Distribution`` here, an instance under its name in
``_NAMES`` at the end of this file, and a line in ``UNITS`` (``core/_params``) for each new
parameter. ``exact.coefficients(NAME, params)`` knows it then. What it needs beside f to become a
model is in the docstring of ``families``. Work in a clone that is installed by
``pip install -e .``: a plain ``pip install .`` copies the package and does not see what you edit.
An f that need not be packaged is a ``Function``.
"""

import abc
import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln

from synchrojax.core import (
    Reals,
    Truths,
    UnitError,
    at_least,
    at_most,
    number,
    square_root,
    warn_user,
)
from synchrojax.special import legendre, scaled_k012

HIGHEST_GAMMA = 1e12  # infinity, for every purpose here
_EDGES = ("keep", "omit")
# what NumPy says of arrays where one number is wanted
_NOT_OF_ARRAYS = ("truth value of an array", "can be converted to Python scalars")
_CHECKED = 16  # sets of parameters for which a user's f is looked at


class Distribution(abc.ABC):
    """What the exact calculator needs to know of a distribution.

    ``parameters`` are the names that ``params`` must hold beside nu, B, n_e and theta, ``defaults``
    the values of those that may be left out; each method receives their values (one point) as
    keywords.
    """

    parameters: tuple[str, ...] = ()
    defaults: Mapping[str, float] = MappingProxyType({})
    extended = False  # a tail over many decades of gamma, or anisotropy, needs more nodes
    edges = "keep"  # or "omit": whether df/dgamma includes the jumps of f

    @property
    def of_user(self) -> bool:
        """Whether f comes from outside of the package."""
        return type(self).__module__ != __name__

    @property
    def written_as(self) -> Any:
        """The class or function that f is written as, however often it is wrapped."""
        return type(self)

    @abc.abstractmethod
    def log_shape(self, gamma: Reals, mu: Reals, across: Reals, **parameters: Reals) -> Reals:
        """ln f + ``log_norm`` at gamma >= 1, -1 <= mu <= 1; ``across`` = 1 - mu^2 unrounded."""

    @abc.abstractmethod
    def log_norm(self, **parameters: Reals) -> Reals:
        """ln of the integral of exp(``log_shape``) over d^3u."""

    @abc.abstractmethod
    def gamma_bounds(self, **parameters: Reals) -> tuple[Reals, Reals]:
        """(lowest, highest) Lorentz factor at which f matters; f is taken as zero outside."""

    @abc.abstractmethod
    def harmonics_matter(self, s: Reals, sine: Reals, **parameters: Reals) -> Truths:
        """True where harmonics do not overlap and have to be summed; sine = |sin(theta)|."""

    def canonical(self, **parameters: Reals) -> dict[str, Reals]:
        """The parameters, infinity replaced by what stands for it."""
        return parameters

    def jumps(self, **parameters: Reals) -> tuple[tuple[Reals, float], ...]:
        """((gamma, +1 up or -1 down), ...): where f jumps at fixed gamma."""
        return ()

    def breaks(self, **parameters: Reals) -> tuple[Any, ...]:
        """(gamma, ...) where f has kinks or jumps between ``gamma_bounds``, in any order.

        There are as many for all parameters. The integrals are split there. A jump belongs to f:
        absorption and rotativities get its delta function in df/dgamma, averaged over harmonics.
        Those outside the bounds do nothing.
        """
        return ()

    def violated(self, **parameters: Reals) -> Mapping[str, Truths]:
        """{"condition that must hold": True where it does not}; NaN violates nothing."""
        return {}

    def check(self, **parameters: Reals) -> None:  # noqa: B027
        """Raise ValueError where f itself cannot be a distribution for ``parameters``, arrays of
        one length.
        """


class Absent(Distribution):
    """Stands for an f that a model file does not hold."""

    def __init__(self, name: str, parameters: tuple[str, ...]) -> None:
        self.name, self.parameters = name, parameters

    def _missing(self, *_, **__) -> NoReturn:
        raise ValueError(
            f"a model file does not hold the f of {self.name!r}: pass the Family that it was made "
            "with"
        )

    log_shape = log_norm = gamma_bounds = harmonics_matter = _missing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Absent) and (self.name, self.parameters) == (
            other.name,
            other.parameters,
        )

    def __hash__(self) -> int:
        return hash((self.name, self.parameters))


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
        return low & ((s < 120.0) | (theta_e * sine > 0.005))

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
        # integral of gamma^-p, times 4 pi
        # right for ends close to each other
        decades = jnp.log1p((gamma_max - gamma_min) / gamma_min)
        total = -jnp.expm1((1.0 - p) * decades) / (p - 1.0)
        return jnp.log(4.0 * jnp.pi * total) + (1.0 - p) * jnp.log(gamma_min)

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
            "p > 1": p <= 1.0,
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
        return (s * sine < 15.0) & (s < 1e4)

    def violated(self, *, kappa: Reals, w: Reals) -> Mapping[str, Truths]:
        return {"kappa > 2": kappa <= 2.0, "w > 0": w <= 0.0}


class PitchAngle(Distribution):
    """An isotropic distribution times sin^k of the pitch angle: (1 - mu^2)^(k / 2), normalised.

    The factor is divided by 2F1(1/2, -k/2; 3/2; 1) = Gamma(3/2) Gamma(1 + k/2) / Gamma(3/2 + k/2).
    k > -1.
    """

    extended = True

    def __init__(self, base: Any) -> None:
        self.base = get_distribution(base)
        if isinstance(self.base, PitchAngle):
            raise ValueError(
                "the base of a PitchAngle distribution is isotropic, not another PitchAngle"
            )
        self.parameters = (*self.base.parameters, "k")
        self.defaults = self.base.defaults
        self.edges = self.base.edges

    @property
    def of_user(self) -> bool:
        return self.base.of_user

    @property
    def written_as(self) -> Any:
        return self.base.written_as

    def log_shape(
        self, gamma: Reals, mu: Reals, across: Reals, *, k: Reals, **parameters: Reals
    ) -> Reals:
        angular = 0.5 * k * jnp.log(jnp.maximum(across, 1e-300))
        return self.base.log_shape(gamma, mu, across, **parameters) + angular

    def log_norm(self, *, k: Reals, **parameters: Reals) -> Reals:
        factor = gammaln(1.5) + gammaln(1.0 + 0.5 * k) - gammaln(1.5 + 0.5 * k)
        return self.base.log_norm(**parameters) + factor

    def gamma_bounds(self, *, k: Reals, **parameters: Reals) -> tuple[Reals, Reals]:
        return self.base.gamma_bounds(**parameters)

    def harmonics_matter(self, s: Reals, sine: Reals, *, k: Reals, **parameters: Reals) -> Truths:
        return self.base.harmonics_matter(s, sine, **parameters)

    def canonical(self, *, k: Reals, **parameters: Reals) -> dict[str, Reals]:
        return {**self.base.canonical(**parameters), "k": k}

    def jumps(self, *, k: Reals, **parameters: Reals) -> tuple[tuple[Reals, float], ...]:
        return self.base.jumps(**parameters)

    def breaks(self, *, k: Reals, **parameters: Reals) -> tuple[Any, ...]:
        return self.base.breaks(**parameters)

    def violated(self, *, k: Reals, **parameters: Reals) -> Mapping[str, Truths]:
        return {**self.base.violated(**parameters), "k > -1": k <= -1.0}


class Function(Distribution):
    """A user-written f(gamma, mu) or f(gamma, mu, name=...), array in, array out, in JAX.

    Further arguments of ``f`` without a default become parameters. Write ``f`` so that its integral
    over d^3u is 1: ``norm`` computes it, and the exact calculator warns where it is not. ``f`` is
    taken as zero outside ``gamma_min <= gamma <= gamma_max``; a jump at those edges adds nothing to
    the absorption (the "omit" convention of the literature). Derivatives are taken by JAX.

    ``breaks``: Lorentz factors at which f has a kink or jumps, whatever mu is. Each is a number (it
    may be traced), the name of a parameter or a function of the parameters (as keywords); or one
    such function returns all of them. Without them the integrals run across and lose digits: up to
    2e-2 for a broken power law. A jump that ``breaks`` names is part of f, unlike those at the
    edges: absorption and rotativities contain f(gamma+) - f(gamma-) times a delta function, the
    limit of a steep slope. Where harmonics are summed one by one, that term is their average.
    Breaks outside the edges do nothing. To keep a jump at an edge, let f be zero beyond it, move
    the edge outward and name the jump.
    """

    extended = True  # for all we know
    of_user = True

    def __init__(
        self, f: Any, *, gamma_min: Any = 1.0, gamma_max: Any = 1e12, breaks: Any = ()
    ) -> None:
        if not callable(f):
            raise ValueError(f"a distribution is a function f(gamma, mu), not {type(f).__name__}")
        gamma_min, gamma_max = number(gamma_min, "gamma_min"), number(gamma_max, "gamma_max")
        if not 1.0 <= gamma_min < gamma_max:
            raise ValueError(f"need 1 <= gamma_min < gamma_max, got {gamma_min} and {gamma_max}")
        self._f = f
        self._bounds = gamma_min, gamma_max
        takes = list(inspect.signature(f).parameters.items())
        if len(takes) < 2 and not any(p.kind == p.VAR_POSITIONAL for _, p in takes):
            raise ValueError(
                "a distribution is a function f(gamma, mu, ...), not "
                f"f({', '.join(n for n, _ in takes)})"
            )
        self.parameters = tuple(
            n for n, p in takes[2:] if p.default is p.empty and p.kind != p.VAR_KEYWORD
        )
        self._breaks = _known_breaks(breaks, self.parameters)

    @property
    def written_as(self) -> Any:
        return self._f

    @property
    def _identity(self) -> tuple[Any, ...]:
        return self._f, self._bounds, self._breaks

    def __eq__(self, other: object) -> bool:
        if self is other or type(other) is not Function:
            return self is other
        breaks = self._breaks if isinstance(self._breaks, tuple) else ()
        return (
            not any(isinstance(b, jax.Array) for b in breaks) and self._identity == other._identity
        )

    def __hash__(self) -> int:
        return hash((self._f, self._bounds))

    def log_norm(self, **parameters: Reals) -> Reals:
        return 0.0

    def breaks(self, **parameters: Reals) -> tuple[Any, ...]:
        if callable(self._breaks):
            return tuple(_with_own(self._breaks, parameters))
        return tuple(
            parameters[b] if isinstance(b, str) else _with_own(b, parameters) if callable(b) else b
            for b in self._breaks
        )

    def _pieces(self, **parameters: Reals) -> list[float]:
        """The edges and the breaks between them, in order, as floats."""
        low, high = self._bounds
        inner = [float(b) for b in self.breaks(**parameters)]
        if not np.all(np.isfinite(inner)):
            raise ValueError(
                f"breaks are Lorentz factors, got {', '.join(f'{b:.6g}' for b in inner)}"
            )
        return [low, *sorted({b for b in inner if low < b < high}), high]

    def log_shape(self, gamma: Reals, mu: Reals, across: Reals, **parameters: Reals) -> Reals:
        f = self._f(gamma, mu, **parameters)
        usable = (f > 0.0) & jnp.isfinite(f)  # a power law is infinite at gamma = 1, on no node
        return jnp.where(usable, jnp.log(jnp.where(usable, f, 1.0)), -1e4)

    def gamma_bounds(self, **parameters: Reals) -> tuple[Reals, Reals]:
        return self._bounds

    def _sampled(self, gamma, mu, **parameters):
        """f as a NumPy array. Raises ValueError where it is not written in JAX."""
        gamma, mu = np.broadcast_arrays(gamma, mu)
        with written_in_jax(self):
            values = np.asarray(self._f(gamma, mu, **parameters))  # JAX adds to other errors
            jax.eval_shape(self._f, gamma, mu, **parameters)
        return values

    def norm(self, **parameters: Reals) -> float:
        """The integral of f over d^3u, the number of electrons: to about 1e-5 for a smooth f.

        Raises ValueError for an f that is negative or not finite somewhere, or that integrates to
        nothing.
        """
        pieces = np.arccosh(self._pieces(**parameters))
        x, w = legendre(12)
        edges = np.union1d(np.linspace(pieces[0], pieces[-1], 61), pieces)
        width = np.diff(edges)[:, None]
        chi, d_chi = (edges[:-1, None] + width * x).ravel(), (width * w).ravel()
        t, dt = legendre(64)
        angle = np.pi * (t - 0.5)  # gathers nodes along B
        mu = np.sin(angle)
        gamma, mu = np.cosh(chi)[:, None], mu[None, :]
        f = self._sampled(gamma, mu, **parameters)
        if f.shape != np.broadcast_shapes(gamma.shape, mu.shape):
            raise ValueError(
                f"f(gamma, mu) of shape {gamma.size} x {mu.size} came back with shape {f.shape}"
            )
        for what, wrong in (("not finite", ~np.isfinite(f)), ("negative", f < 0.0)):
            if np.any(wrong):
                i, j = np.argwhere(wrong)[0]
                where = ", ".join([f"gamma = {gamma[i, 0]:.6g}", f"mu = {mu[0, j]:.6g}"])
                given = "".join(f", {k} = {float(v):.6g}" for k, v in parameters.items())
                raise ValueError(f"f is {what} at {where}{given}")
        measure = (2.0 * np.pi * np.cosh(chi) * np.sinh(chi) ** 2 * d_chi)[:, None]
        total = float(np.sum(f * measure * (dt * np.pi * np.cos(angle))))
        if not (np.isfinite(total) and total > 0.0):
            raise ValueError(f"f cannot be normalised: its integral over d^3u is {total:g}")
        return total

    def require_even(self, **parameters: Reals) -> None:
        """Raise ValueError where f(gamma, mu) is not f(gamma, -mu)."""
        low, high = self._bounds
        gamma = low + np.geomspace(1e-2 * min(1.0, high - low), min(1e4, 0.99 * (high - low)), 9)
        pieces = np.array(self._pieces(**parameters))
        if len(pieces) > 2:  # each of them may be another f
            gamma = np.concatenate([gamma, np.sqrt(pieces[:-1] * pieces[1:])])
        gamma = gamma[:, None]
        mu = np.linspace(0.05, 0.95, 10)
        f, mirrored = (self._sampled(gamma, m, **parameters) for m in (mu, -mu))
        wrong = np.abs(f - mirrored) > 1e-3 * np.maximum(np.abs(f), np.abs(mirrored))
        if np.any(wrong):
            i, j = np.argwhere(wrong)[0]
            raise ValueError(
                f"f is not even in mu: {f[i, j]:.6g} at gamma = {gamma[i, 0]:.6g}, mu = "
                f"{mu[j]:.6g}, "
                f"{mirrored[i, j]:.6g} at -mu"
            )

    def check(self, **parameters: Reals) -> None:
        """Also warn where f does not integrate to 1; of many sets of parameters the first few are
        looked at.
        """
        sets = (
            np.unique(np.stack([np.ravel(v) for v in parameters.values()], -1), axis=0)
            if parameters
            else [()]
        )
        for row in sets[:_CHECKED]:
            own = dict(zip(parameters, row, strict=True))
            total = self.norm(**own)
            if abs(total - 1.0) > 1e-3:
                given = ", ".join(f"{k} = {float(v):.6g}" for k, v in own.items())
                warn_user(
                    f"f integrates to {total:.6g} over d^3u{f' for {given}' if given else ''}, "
                    "not to 1: "
                    f"the coefficients are those of {total:.6g} n_e electrons"
                )

    def harmonics_matter(self, s: Reals, sine: Reals, **parameters: Reals) -> Truths:
        return (s * sine < 100.0) & (s < 1e5)


class _NotInJaxError(ValueError):
    """Of an f that is not written in JAX."""


@contextlib.contextmanager
def written_in_jax(distribution: Distribution) -> Iterator[None]:
    """What JAX and NumPy say of a user's f that is not written in JAX, in words for its author."""
    try:
        yield
    except _NotInJaxError:
        raise
    except (TypeError, ValueError, IndexError) as error:
        of_jax = isinstance(error, jax.errors.JAXTypeError | jax.errors.JAXIndexError)
        if not (distribution.of_user and (of_jax or any(t in str(error) for t in _NOT_OF_ARRAYS))):
            raise
        raise _NotInJaxError(
            "f is called with arrays, traced by JAX: it must be written with jax.numpy instead of "
            "numpy or math, and with jnp.where instead of `if` "
            f"({type(error).__name__}: {str(error).splitlines()[0]})"
        ) from error


def _known_breaks(breaks: Any, parameters: tuple[str, ...]) -> Any:
    """``breaks``, numbers, names of ``parameters`` and functions, checked; else ValueError."""
    if callable(breaks):
        return breaks
    if (
        isinstance(breaks, str)
        or not hasattr(breaks, "__iter__")
        or getattr(breaks, "ndim", 1) == 0
    ):
        breaks = (breaks,)
    kept = []
    for given in breaks:
        b = given
        if isinstance(b, str):
            if b not in parameters:
                raise ValueError(
                    f"breaks: f has no parameter {b!r}; it takes {', '.join(parameters) or 'none'}"
                )
        elif not callable(b) and not isinstance(b, jax.core.Tracer):
            try:
                b = number(given, "breaks")
            except UnitError:
                raise
            except (TypeError, ValueError):
                b = np.nan
            if not np.isfinite(b):
                raise ValueError(
                    "breaks are Lorentz factors, names of parameters or functions of them, got "
                    f"{given!r}"
                )
        kept.append(b)
    return tuple(kept)


def _with_own(function: Callable, parameters: Mapping[str, Reals]) -> Any:
    """``function`` with those of the parameters that it takes."""
    takes = inspect.signature(function).parameters.values()
    if any(p.kind == p.VAR_KEYWORD for p in takes):
        return function(**parameters)
    return function(**{p.name: parameters[p.name] for p in takes if p.name in parameters})


def get_distribution(distribution: Any) -> Distribution:
    """A ``Distribution`` from a name, a class, an instance or a function f(gamma, mu)."""
    if isinstance(distribution, str):
        if distribution not in _NAMES:
            raise ValueError(
                f"unknown distribution {distribution!r}; available: {', '.join(sorted(_NAMES))}"
            )
        return _NAMES[distribution]
    if isinstance(distribution, Distribution):
        return distribution
    if isinstance(getattr(distribution, "distribution", None), str):
        raise ValueError(
            f"{distribution!r} is a model: give the name of its distribution, "
            f"{distribution.distribution!r}"
        )
    if not callable(distribution):
        raise ValueError(
            f"a distribution is a name ({', '.join(sorted(_NAMES))}), one of "
            "synchrojax.distributions or a function "
            f"f(gamma, mu), not {type(distribution).__name__}"
        )
    return _wrap(distribution)


@functools.lru_cache(maxsize=32)
def _wrap(distribution: Callable) -> Distribution:
    """One object per class or function, so that compiled code is found again."""
    if isinstance(distribution, type) and issubclass(distribution, Distribution):
        return distribution()
    return Function(distribution)


# what ``get_distribution`` knows by name
_NAMES = {
    "thermal": Thermal(),
    "powerlaw": PowerLaw(),
    "kappa": Kappa(),
    "powerlaw_pitch": PitchAngle(PowerLaw()),
    "kappa_pitch": PitchAngle(Kappa()),
}
