"""What a fit found, and what speaks against it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.stats import chi2 as chi2_distribution

from synchrojax.spectra._sources import Source
from synchrojax.spectra._space import Place, Space

_WALL = 1e-6  # from a bound, in the unit cube
_AS_WELL = 9.0  # in chi2: another solution that is nearly as likely
_APART = 2.0  # standard deviations between two solutions
_WIDE = 0.25  # of the box: a direction that the data do not constrain
_NOISE = 30.0  # of rounding: singular values that derivatives do not have
_IN_IT = 0.3  # share of a label in a direction


@dataclass(frozen=True)
class Mode:
    """One minimum of chi2: free labels, their standard errors, and chi2 there."""

    values: Mapping[str, float]
    errors: Mapping[str, float]
    chi2: float


@dataclass(frozen=True)
class Fit:
    """Labels that fit an observed spectrum best, with errors, and what speaks against them."""

    source: Source
    names: tuple[str, ...]
    """Free labels, in the order of the matrices."""
    values: Mapping[str, float]
    """Free label -> best value."""
    errors: Mapping[str, float]
    """Free label -> standard error, from the exact Jacobian at the best values, with the distance
    to other minima that are nearly as good."""
    covariance: Float[np.ndarray, "labels labels"]
    params: Mapping[str, Any]
    """All labels, those that were fixed or tied included, as ``source.stokes`` takes them."""
    chi2: float
    """Sum of squared residuals, priors and upper limits included."""
    dof: int
    """Values used but upper limits, and priors, less free labels."""
    residuals: Mapping[str, Float[np.ndarray, " nu"]]
    """Stokes parameter -> (model - data) / error, of upper limits what counts in chi2; NaN where a
    channel is not used."""
    converged: bool
    at_bound: tuple[str, ...]
    """Labels with a bound within one standard error."""
    degenerate: tuple[tuple[str, ...], ...]
    """Combinations of labels that the data do not constrain within the bounds."""
    modes: tuple[Mode, ...]
    """Distinct minima that were found, the best first."""
    message: str
    """What speaks against the fit in plain words, "" where nothing does."""

    @property
    def ok(self) -> bool:
        """Whether nothing speaks against the fit; ``message`` says what does."""
        return not self.message

    @property
    def reduced_chi2(self) -> float:
        """chi2 / dof, NaN without degrees of freedom."""
        return self.chi2 / self.dof if self.dof else np.nan

    @property
    def p_value(self) -> float:
        """The probability of a larger chi2 by chance, NaN without degrees of freedom."""
        return p_value(self.chi2, self.dof)

    @property
    def correlation(self) -> Float[np.ndarray, "labels labels"]:
        """The covariance over the errors."""
        sigma = np.sqrt(np.diagonal(self.covariance))
        return self.covariance / sigma[:, None] / sigma[None]

    def as_dict(self) -> dict[str, Any]:
        """Everything but the source and the residuals, as JSON takes it; null for NaN."""

        def plain(v: float) -> float | None:
            return float(v) if np.isfinite(v) else None

        def named(row: Mapping[str, float]) -> dict[str, float | None]:
            return {n: plain(v) for n, v in row.items()}

        modes = [(m, named(m.values), named(m.errors)) for m in self.modes]
        return {
            "ok": self.ok,
            "message": self.message,
            "values": named(self.values),
            "errors": named(self.errors),
            "units": {n: self.source.labels[n] for n in self.names},
            "params": {n: np.asarray(v).tolist() for n, v in self.params.items()},
            "names": list(self.names),
            "covariance": [[plain(v) for v in row] for row in self.covariance],
            "correlation": [[plain(v) for v in row] for row in self.correlation],
            **{n: plain(getattr(self, n)) for n in ("chi2", "reduced_chi2", "p_value")},
            "dof": self.dof,
            "converged": self.converged,
            "at_bound": list(self.at_bound),
            "degenerate": [list(names) for names in self.degenerate],
            "modes": [{"values": v, "errors": e, "chi2": plain(m.chi2)} for m, v, e in modes],
        }

    def __repr__(self) -> str:
        return f"Fit({self.table()})"

    def table(self) -> str:
        """Labels, values, errors and units in lines, chi2, and what speaks against the fit."""
        width = max(map(len, self.names))
        lines = [
            f"{n:<{width}}  {self.values[n]:>12.6g} +- {self.errors[n]:<10.2g} "
            f"{self.source.labels[n]}".rstrip()
            for n in self.names
        ]
        lines.append(f"chi2 {self.chi2:.4g} for {self.dof} degrees of freedom")
        return "\n".join([*lines, "ok" if self.ok else f"not ok: {self.message}"])


class Fits(Sequence):
    """Fits of many spectra, in their order; names and arrays of all of them.

    ``fits[i]`` is a ``Fit``. ``values`` and ``errors``: {label: [n]}; ``chi2``, ``dof``,
    ``reduced_chi2``, ``p_value``, ``converged``, ``ok``: [n]; ``covariance``, ``correlation``:
    [n, L, L]; ``at_bound``, ``message`` and ``modes``: n of them.
    """

    def __init__(self, fits: Sequence[Fit]) -> None:
        self._fits = tuple(fits)

    def __len__(self) -> int:
        return len(self._fits)

    def __getitem__(self, index: Any) -> Any:
        return Fits(self._fits[index]) if isinstance(index, slice) else self._fits[index]

    def __iter__(self) -> Iterator[Fit]:
        return iter(self._fits)

    def __repr__(self) -> str:
        good = int(np.sum(self.ok))
        return f"Fits({len(self)} spectra, {good} ok; {', '.join(self.names)})"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        each = [getattr(f, name) for f in self._fits]
        if name in ("names", "source"):
            return each[0]
        if name in ("values", "errors"):
            return {n: np.array([v[n] for v in each]) for n in self.names}
        if name in ("chi2", "dof", "reduced_chi2", "p_value", "converged", "ok", "covariance"):
            return np.array(each)
        return np.array(each) if name == "correlation" else each


def p_value(chi2: float, dof: int) -> float:
    """The probability of a larger chi2 by chance."""
    return float(chi2_distribution.sf(chi2, dof)) if dof > 0 else np.nan


@dataclass(frozen=True)
class End:
    """Where one start ended, in float64: its errors in the cube and in labels."""

    u: Float[np.ndarray, " labels"]
    chi2: float
    converged: bool
    values: Float[np.ndarray, " labels"]
    covariance: Float[np.ndarray, "labels labels"]
    sigma: Float[np.ndarray, " labels"]  # in the cube
    axes: Float[np.ndarray, "labels labels"]  # principal directions in the cube, one each row
    widths: Float[np.ndarray, " labels"]  # standard deviations along them
    r: Float[np.ndarray, " residuals"]

    def apart(self, other: "End", periods: Float[np.ndarray, " labels"]) -> float:
        """How many standard deviations of this one the other is away."""
        along = self.axes @ around(other.u - self.u, periods)
        return float(np.sqrt(np.sum((along / self.widths) ** 2)))


def around(
    step: Float[np.ndarray, "*batch labels"], periods: Float[np.ndarray, " labels"]
) -> Float[np.ndarray, "*batch labels"]:
    """Differences of coordinates by the shorter way round."""
    circle = np.where(np.isfinite(periods), periods, 1.0)
    wrapped = np.mod(step + 0.5 * circle, circle) - 0.5 * circle
    return np.where(np.isfinite(periods), wrapped, step)


def end_of(
    space: Space,
    place: Place,
    u: Float[np.ndarray, " labels"],
    chi2: float,
    r: Float[np.ndarray, " residuals"],
    rows: Float[np.ndarray, "labels residuals"],
    converged: bool,
) -> End:
    """An end with its errors: the inverse of the Fisher matrix, by singular values."""
    u = np.asarray(u, float)
    noise = _NOISE * np.finfo(rows.dtype).eps
    rows = np.where(np.isfinite(rows), np.asarray(rows, float), 0.0)
    axes, sizes, _ = np.linalg.svd(rows, full_matrices=False)
    # below the noise of its derivatives a direction is not known at all
    widths = 1.0 / np.maximum(sizes, max(noise * sizes[0], 1e-30))
    values, slopes = space.slopes(u, place)
    spread = axes * widths[None]
    covariance = (slopes[:, None] * spread) @ (slopes[:, None] * spread).T
    sigma = np.sqrt(np.sum(spread**2, axis=1))
    return End(u, float(chi2), bool(converged), values, covariance, sigma, axes.T, widths, r)


def distinct(ends: Sequence[End], periods: Float[np.ndarray, " labels"]) -> list[End]:
    """The best end, and minima that lie apart from all better ones."""
    ordered = sorted(ends, key=lambda end: end.chi2)
    found = ordered[:1]
    for end in ordered[1:]:
        if end.converged and all(other.apart(end, periods) > _APART for other in found):
            found.append(end)
    return found


def rivals(modes: Sequence[End]) -> list[End]:
    """Minima that are nearly as good as the first."""
    return [m for m in modes[1:] if m.chi2 < modes[0].chi2 + _AS_WELL]


def covariance_of(space: Space, place: Place, modes: Sequence[End]) -> np.ndarray:
    """Of the labels: that of the best minimum, and of those nearly as good with their distance.

    Each weighs exp(-chi2 / 2).
    """
    best = modes[0]
    if not rivals(modes):
        return best.covariance
    every = [best, *rivals(modes)]
    weights = np.array([np.exp(-0.5 * (m.chi2 - best.chi2)) for m in every])
    circle = np.where(space.round, np.asarray(place.span, float), np.inf)
    apart = [around(m.values - best.values, circle) for m in every]
    spread = [m.covariance + np.outer(d, d) for m, d in zip(every, apart, strict=True)]
    return np.einsum("m,mij->ij", weights / np.sum(weights), np.array(spread))


def combination(space: Space, axis: Float[np.ndarray, " labels"]) -> tuple[str, ...]:
    """The labels that take part in a direction of the cube."""
    return tuple(n for n, share in zip(space.names, axis, strict=True) if abs(share) > _IN_IT)


def degenerate_in(space: Space, end: End) -> tuple[tuple[str, ...], ...]:
    """Combinations of labels that are not constrained within the bounds."""
    wide = end.axes[end.widths > _WIDE]
    return tuple(combination(space, axis) for axis in wide)


def near_bounds(space: Space, end: End) -> dict[str, str]:
    """{label: what there is to say} of those with a bound within an error."""
    found = {}
    reach = np.maximum(end.sigma, _WALL)
    for k, n in enumerate(space.names):
        sides = [s for s, d in (("lower", end.u[k]), ("upper", 1.0 - end.u[k])) if d <= reach[k]]
        if sides and not space.round[k]:
            at = min(end.u[k], 1.0 - end.u[k]) <= _WALL
            near = "at" if at else "within one standard error of"
            side = sides[0] if len(sides) == 1 else ("lower" if end.u[k] < 0.5 else "upper")
            found[n] = f"{n} is {near} its {side} bound"
    return found


def against(
    space: Space,
    modes: Sequence[End],
    narrow: Sequence[tuple[str, ...]],
    dof: int,
    least_p: float,
) -> list[str]:
    """What speaks against the best of the modes."""
    best = modes[0]
    if not np.isfinite(best.chi2):
        return ["no start within the bounds has a spectrum: its values are not finite"]
    said = [] if best.converged else ["not converged"]
    degenerate = degenerate_in(space, best)
    loose = {n for names in degenerate for n in names}
    said += [what for n, what in near_bounds(space, best).items() if n not in loose]
    for names in degenerate:
        said.append(f"the data do not constrain {_of(names)} within the bounds")
    for names in narrow:
        said.append(f"the errors of {_of(names)} are too small, chi2 rises more slowly than theirs")
    p = p_value(best.chi2, dof)
    if p < least_p:
        said.append(
            f"the model does not fit: chi2 {best.chi2:.4g} for {dof} degrees of freedom, "
            f"p = {p:.1g}"
        )
    other = len(rivals(modes))
    if other:
        are = "minimum is" if other == 1 else "minima are"
        said.append(f"{other} other {are} nearly as good (see modes)")
    return said


def _of(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"a combination of {', '.join(names)}"
