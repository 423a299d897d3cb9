"""Labels of a fit as points of the unit cube: which are free, and between what bounds.

A label is its logarithm in the cube where its bounds are positive and a factor of ten or more
apart, and itself elsewhere. ``psi`` goes round: what is turned by half a circle looks the same.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from synchrojax.core import Arrays, low_and_high, number, real
from synchrojax.spectra._sources import Source

_DECADE = 10.0  # bounds a factor as large make a coordinate logarithmic
_GRID = ("gamma", "N")  # labels with an axis of their own


@dataclass(frozen=True)
class Normal:
    """A prior: a label is normal with this ``mean`` and standard deviation ``sigma``."""

    mean: Any
    sigma: Any


@dataclass(frozen=True)
class LogNormal:
    """A prior: log10 of a label is normal around that of ``median``, with ``dex`` for deviation."""

    median: Any
    dex: float


class Place(NamedTuple):
    """The numbers of the spaces of several problems, first axis, or of one without it."""

    low: Float[Arrays, "*problems labels"]
    span: Float[Arrays, "*problems labels"]  # high - low, or the logarithm of their ratio
    fixed: Mapping[str, Arrays]
    centre: Float[Arrays, "*problems labels"]  # of the priors, or its logarithm
    weight: Float[Arrays, "*problems labels"]  # 1 / sigma of the priors, 0 where there are none


def rows_at(many: Any, which: Any) -> Any:
    """What belongs to the problems, or the one, at ``which`` of arrays whose first axis counts."""
    return jax.tree.map(lambda v: v[which], many)


@dataclass(frozen=True)
class Space:
    """Which labels of a source are free, and how: what a program is compiled for."""

    source: Source
    names: tuple[str, ...]
    logarithmic: tuple[bool, ...]
    round: tuple[bool, ...]
    prior_of_logarithm: tuple[bool, ...]
    tied: tuple[tuple[str, str | Callable], ...]

    @property
    def periods(self) -> Float[np.ndarray, " labels"]:
        """Of coordinates that go round, in the unit cube; infinite for the others."""
        return np.where(self.round, 1.0, np.inf)

    def free(self, u: Float[Arrays, " labels"], place: Place) -> Float[Array, " labels"]:
        """Free labels at one point of the cube."""
        grown = place.low * jnp.exp(jnp.where(jnp.asarray(self.logarithmic), u * place.span, 0.0))
        return jnp.where(jnp.asarray(self.logarithmic), grown, place.low + u * place.span)

    def labels(self, u: Float[Arrays, " labels"], place: Place) -> dict[str, Arrays]:
        """All labels at one point of the cube."""
        values = dict(place.fixed) | dict(zip(self.names, self.free(u, place), strict=True))
        return self.completed(values, lambda v: jnp.asarray(v, u.dtype))

    def completed(self, values: dict[str, Any], number: Callable[[Any], Any]) -> dict[str, Any]:
        """The labels with those that are tied to them; ``number``: makes one of what ties give."""
        for name, by in self.tied:
            values[name] = values[by] if isinstance(by, str) else number(by(values))
        return values

    def penalties(self, u: Float[Arrays, " labels"], place: Place) -> Float[Array, " labels"]:
        """Residuals of the priors."""
        x = self.free(u, place)
        logarithm = jnp.asarray(self.prior_of_logarithm)
        x = jnp.where(logarithm, jnp.log(jnp.where(logarithm, x, 1.0)), x)
        apart = x - place.centre
        shorter = apart - place.span * jnp.round(apart / place.span)
        return jnp.where(jnp.asarray(self.round), shorter, apart) * place.weight

    def slopes(
        self, u: Float[np.ndarray, " labels"], place: Place
    ) -> tuple[Float[np.ndarray, " labels"], Float[np.ndarray, " labels"]]:
        """(free labels, their derivatives by the coordinates) in float64."""
        low, span = (np.asarray(v, float) for v in (place.low, place.span))
        logarithm = np.array(self.logarithmic)
        x = np.where(logarithm, low * np.exp(np.where(logarithm, u * span, 0.0)), low + u * span)
        return x, np.where(logarithm, x * span, span)

    def points(self, values: Float[np.ndarray, "n labels"], place: Place) -> np.ndarray:
        """Points of the cube for free labels, the nearest where they lie outside. One problem."""
        low, span = (np.asarray(v, float) for v in (place.low, place.span))
        logarithm = np.array(self.logarithmic)
        with np.errstate(invalid="ignore", divide="ignore"):
            u = np.where(logarithm, np.log(values / low), values - low) / span
        u = np.where(self.round, np.mod(u, 1.0), np.clip(u, 0.0, 1.0))
        if not np.all(np.isfinite(u)):
            raise ValueError("fit: starts must be finite, and positive where the bounds are")
        return u


def space_of(
    source: Source,
    count: int,
    bounds: Mapping[str, Any] | None,
    fixed: Mapping[str, Any] | None,
    tied: Mapping[str, Any] | None,
    priors: Mapping[str, Any] | None,
) -> tuple[Space, Place]:
    """The space of a fit and its numbers for ``count`` problems. Raises ValueError."""
    bounds, fixed, tied, priors = (dict(given or {}) for given in (bounds, fixed, tied, priors))
    given = {*bounds, *fixed, *tied, *source.defaults}
    bounds |= {n: ends for n, ends in source.ranges.items() if n not in given}
    _check_names(source, {"bounds": bounds, "fixed": fixed, "tied": tied}, priors)
    held = {n: source.defaults[n] for n in source.defaults if n not in {*bounds, *fixed, *tied}}
    fixed |= {n: v for n, v in held.items() if v is not None}
    names = tuple(n for n in source.labels if n in bounds)
    ends = np.array([_ends(source, n, bounds[n]) for n in names])
    low, high = ends.T
    goes_round = np.array([n == "psi" for n in names]) & (high - low >= np.pi * (1.0 - 1e-6))
    high = np.where(goes_round, low + np.pi, high)
    logarithmic = (low > 0.0) & (high >= _DECADE * low) & ~goes_round
    with np.errstate(invalid="ignore", divide="ignore"):
        span = np.where(logarithmic, np.log(high / low), high - low)
    kinds, centre, weight = _read_priors(source, names, priors)
    for n in (n for n, kind, end in zip(names, kinds, low, strict=True) if kind and end <= 0.0):
        raise ValueError(f"fit: prior of {n}: LogNormal needs bounds above 0")
    space = Space(
        source,
        names,
        tuple(map(bool, logarithmic)),
        tuple(map(bool, goes_round)),
        tuple(map(bool, kinds)),
        tuple((n, tied[n]) for n in source.labels if n in tied),
    )
    rows = (np.broadcast_to(v, (count, len(names))) for v in (low, span, centre, weight))
    low, span, centre, weight = rows
    values = {n: _fixed(source, n, v, count) for n, v in fixed.items()}
    return space, Place(low, span, values, centre, weight)


def _check_names(source: Source, parts: Mapping[str, Mapping], priors: Mapping) -> None:
    takes = f"the source takes {source.described()}"
    for what, given in {**parts, "priors": priors}.items():
        unknown = sorted(str(n) for n in given if n not in source.labels)
        if unknown:
            raise ValueError(f"fit: {what} of unknown labels: {', '.join(unknown)}; {takes}")
    places = {n: [what for what, given in parts.items() if n in given] for n in source.labels}
    for n, found in places.items():
        if len(found) > 1:
            raise ValueError(f"fit: {n} is in {' and in '.join(found)}; one of them is meant")
    missing = [n for n, found in places.items() if not found and n not in source.defaults]
    if missing:
        raise ValueError(f"fit: give bounds or a fixed value of {', '.join(missing)}; {takes}")
    if not parts["bounds"]:
        raise ValueError("fit: nothing is free; bounds={label: (low, high)} says what is")
    held = sorted(n for n in priors if n not in parts["bounds"])
    if held:
        raise ValueError(f"fit: priors are of free labels; {', '.join(held)} has no bounds")
    for n, by in parts["tied"].items():
        other = isinstance(by, str) and by in source.labels and by not in parts["tied"]
        if not (other or (callable(by) and not isinstance(by, str))):
            raise ValueError(
                f"fit: {n} must be tied to another label by name, or to a function of a mapping "
                f"of labels, got {by!r}"
            )


def _ends(source: Source, name: str, given: Any) -> tuple[float, float]:
    if name in _GRID:
        raise ValueError(f"fit: {name} is a grid; fix it, and tie or free other labels")
    low, high = low_and_high(given, f"fit: bounds of {name}", source.labels[name])
    limits = source.ranges.get(name, (-np.inf, np.inf))
    slack = 1e-9 * (abs(low) + abs(high))
    if low < limits[0] - slack or high > limits[1] + slack:
        raise ValueError(
            f"fit: bounds of {name}, {low:g} to {high:g}, leave the range of the source, "
            f"{limits[0]:g} to {limits[1]:g}"
        )
    return low, high


def _fixed(source: Source, name: str, given: Any, count: int) -> np.ndarray:
    value = np.asarray(real(given, f"fit: fixed value of {name}", source.labels[name]), float)
    if not np.all(np.isfinite(value)):
        raise ValueError(f"fit: fixed value of {name} is not finite: {given}")
    own = 1 if name in _GRID else 0
    if value.ndim not in (own, own + 1) or (value.ndim > own and len(value) != count):
        several = f" or {count} of them, one for each spectrum" if count > 1 else ""
        raise ValueError(
            f"fit: fixed value of {name}: expected one{several}, got shape {value.shape}"
        )
    return np.broadcast_to(value, (count, *value.shape[value.ndim - own :]))


def _read_priors(
    source: Source, names: tuple[str, ...], priors: Mapping[str, Any]
) -> tuple[Bool[np.ndarray, " labels"], Float[np.ndarray, " labels"], Float[np.ndarray, " labels"]]:
    """(whether of the logarithm, centres, 1 / sigma, 0 without a prior)."""
    kinds, centre, weight = np.zeros(len(names), bool), np.zeros(len(names)), np.zeros(len(names))
    for k, name in enumerate(names):
        prior = priors.get(name)
        if prior is None:
            continue
        what, unit = f"fit: prior of {name}", source.labels[name]
        if isinstance(prior, LogNormal):
            kinds[k] = True
            middle = number(prior.median, what, unit)
            sigma = number(prior.dex, what) * np.log(10.0)
            centre[k] = np.log(middle) if middle > 0.0 else np.nan
        else:
            normal = isinstance(prior, Normal)
            pair = (prior.mean, prior.sigma) if normal else _pair(prior, what)
            centre[k], sigma = (number(v, what, unit) for v in pair)
        if not (np.isfinite(centre[k]) and np.isfinite(sigma) and sigma > 0.0):
            raise ValueError(f"{what}: a finite centre and a positive deviation are needed")
        weight[k] = 1.0 / sigma
    return kinds, centre, weight


def _pair(given: Any, what: str) -> tuple[Any, Any]:
    try:
        mean, sigma = given
    except (TypeError, ValueError):
        raise ValueError(
            f"{what}: expected (mean, sigma), Normal or LogNormal, got {given!r}"
        ) from None
    return mean, sigma
