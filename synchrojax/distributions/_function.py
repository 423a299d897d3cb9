"""Distributions that users write as a function f(gamma, mu)."""

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Shaped

from synchrojax.core import Reals, Truths, UnitError, number, warn_user
from synchrojax.distributions._base import Distribution, require_names
from synchrojax.special import legendre

# what NumPy says of arrays where one number is wanted
_NOT_OF_ARRAYS = ("truth value of an array", "can be converted to Python scalars")
_CHECKED = 16  # sets of parameters for which a user's f is looked at


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
    limit of a steep slope. Where harmonics are summed one by one, that term is their average. A
    number outside the edges is refused; breaks that depend on parameters do nothing there. To keep
    a jump at an edge, let f be zero beyond it, move the edge outward and name the jump.
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
        self.parameters = _parameters(f)
        require_names(self.parameters)
        self._breaks = _known_breaks(breaks, self.parameters, self._bounds)

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

    def _sampled(self, gamma: Reals, mu: Reals, **parameters: Reals) -> Shaped[np.ndarray, "..."]:
        """f as a NumPy array. Raises ValueError where it is not written in JAX."""
        gamma, mu = np.broadcast_arrays(gamma, mu)
        with written_in_jax(self):
            given = self._f(gamma, mu, **parameters)
            values = np.asarray(given)  # JAX adds to other errors
            if values.dtype.kind not in "biuf":
                raise ValueError(
                    f"f(gamma, mu) returned {_described(given, values)}: it must return an array "
                    "of real numbers"
                )
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
                f"f(gamma, mu) of arrays of shape {gamma.size} x {mu.size} came back with shape "
                f"{f.shape}: it must return an array of the shape that gamma and mu have together"
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
        """Also warn where f does not integrate to 1.

        Of many sets of parameters the first few are looked at.
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
        # along B those that kappa electrons show, too
        return (s * sine < 15.0) | ((s * sine < 100.0) & (s < 1e5))


def _described(given: Any, values: np.ndarray) -> str:
    """What a user's f returned."""
    if values.dtype.kind == "c":
        return "complex numbers"
    return repr(given) if given is None or isinstance(given, str) else f"a {type(given).__name__}"


def _parameters(f: Callable) -> tuple[str, ...]:
    """The arguments of ``f`` that follow gamma and mu. Raises ValueError."""
    try:
        signature = inspect.signature(f)
    except ValueError:  # of built-in functions
        name = getattr(f, "__name__", repr(f))
        raise ValueError(f"a distribution is a function f(gamma, mu, ...), not {name}") from None
    every = list(signature.parameters.values())
    by_position = [p for p in every if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(by_position) < 2 and not any(p.kind == p.VAR_POSITIONAL for p in every):
        raise ValueError(f"a distribution is a function f(gamma, mu, ...), not f{signature}")
    first = by_position[:2]
    rest = [
        p
        for p in every
        if p not in first
        and p.default is p.empty
        and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    for p in rest:
        if p.kind == p.POSITIONAL_ONLY:
            raise ValueError(
                f"f takes {p.name} by position alone: parameters are given by name, "
                "f(gamma, mu, name=...)"
            )
    return tuple(p.name for p in rest)


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


def _known_breaks(breaks: Any, parameters: tuple[str, ...], bounds: tuple[float, float]) -> Any:
    """``breaks``, numbers, names of ``parameters`` and functions, checked; else ValueError."""
    low, high = bounds
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
            if not low <= b <= high:
                raise ValueError(
                    f"breaks: {b:g} lies outside of gamma_min = {low:g} to gamma_max = {high:g}, "
                    "where f is zero"
                )
        kept.append(b)
    return tuple(kept)


def _with_own(function: Callable, parameters: Mapping[str, Reals]) -> Any:
    """``function`` with those of the parameters that it takes."""
    takes = inspect.signature(function).parameters.values()
    if any(p.kind == p.VAR_KEYWORD for p in takes):
        return function(**parameters)
    return function(**{p.name: parameters[p.name] for p in takes if p.name in parameters})
