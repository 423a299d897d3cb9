"""Fits of sources to observed Stokes spectra."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from synchrojax.core import PathLike, float64_is_on, real, whole_number
from synchrojax.spectra._chunks import solve_all
from synchrojax.spectra._data import STOKES, StokesSpectrum
from synchrojax.spectra._likelihood import Problem, Residuals, channels_of
from synchrojax.spectra._results import (
    Fit,
    Fits,
    Mode,
    against,
    covariance_of,
    degenerate_in,
    near_bounds,
)
from synchrojax.spectra._solve import Solution
from synchrojax.spectra._sources import Source
from synchrojax.spectra._space import Place, Space, rows_at, space_of


def fit(
    source: Source,
    data: StokesSpectrum,
    bounds: Mapping[str, Any] | None = None,
    *,
    fixed: Mapping[str, Any] | None = None,
    tied: Mapping[str, Any] | None = None,
    priors: Mapping[str, Any] | None = None,
    starts: Any = 32,
    seed: int = 0,
    least_p: float = 1e-3,
) -> Fit:
    """Fit a source to an observed spectrum.

    ``bounds``: {label: (low, high)} of the free labels; ``fixed``: {label: value} of others; those
    in neither keep their default, or are free in the range of the source if it has one. ``tied``:
    {label: another label, or a function of a mapping of labels}. ``priors``: {free label: (mean,
    sigma)}, or ``Normal`` or ``LogNormal``. ``starts``: how many, the best of many points of the
    box, or the labels of one or several starts as mappings. ``least_p``: chi2 less likely than that
    speaks against the fit.

    Levenberg and Marquardt's method with exact derivatives, between the bounds, from every start,
    in the float dtype that is switched on. The fit is ``ok`` if nothing speaks against it: that
    the best start did not converge, a bound within an error of its label, chi2, other minima nearly
    as good, combinations of labels that the data do not constrain, errors that are too small for
    how slowly chi2 rises. Raises ValueError for labels,
    bounds and data that do not fit together.
    """
    return fit_many(
        source,
        [data],
        bounds,
        fixed=fixed,
        tied=tied,
        priors=priors,
        starts=starts,
        seed=seed,
        least_p=least_p,
        quiet=True,
    )[0]


def fit_many(
    source: Source,
    data: Sequence[StokesSpectrum],
    bounds: Mapping[str, Any] | None = None,
    *,
    fixed: Mapping[str, Any] | None = None,
    tied: Mapping[str, Any] | None = None,
    priors: Mapping[str, Any] | None = None,
    starts: Any = 8,
    seed: int = 0,
    least_p: float = 1e-3,
    out: PathLike | None = None,
    executor: Any = None,
    workers: int | None = None,
    quiet: bool = False,
) -> Fits:
    """Fit a source to many spectra, side by side in one compiled program.

    As ``fit``; a fixed value may be an array with one number for each spectrum, as of distances.
    Chunks of 32 spectra go to threads of this process, to ``workers`` processes, or to any
    ``concurrent.futures.Executor``, as Dask makes them. ``out``: a directory that keeps what is
    done, so that a stopped run resumes; ``quiet``: no progress on standard error.
    """
    spectra = list(data)
    _check_data(spectra)
    if not 0.0 <= least_p < 1.0:
        raise ValueError(f"fit: least_p is a probability below 1, got {least_p}")
    space, place = space_of(source, len(spectra), bounds, fixed, tied, priors)
    with_prior = int(np.sum(np.asarray(place.weight[0]) > 0.0))
    dof = [_values(s) + with_prior - len(space.names) for s in spectra]
    for s, left in zip(spectra, dof, strict=True):
        if left < 0:
            raise ValueError(
                f"fit: {len(space.names)} free labels, but only {left + len(space.names)} values "
                f"and priors: {s!r}"
            )
    problems = Problem(channels_of(spectra), place)
    residuals = Residuals(
        space, bool(np.any(problems.channels.upper)), bool(np.any(place.weight > 0.0))
    )
    found = solve_all(
        residuals,
        problems,
        dof,
        _given_starts(space, problems, starts),
        whole_number(seed, 0),
        float64_is_on(),
        out=out,
        executor=executor,
        workers=None if workers is None else whole_number(workers, 1),
        quiet=quiet,
    )
    width = problems.channels.nu.shape[-1]
    return Fits(
        [
            _fit_of(space, rows_at(place, k), s, left, solution, width, least_p)
            for k, (s, left, solution) in enumerate(zip(spectra, dof, found, strict=True))
        ]
    )


def _check_data(spectra: Sequence[Any]) -> None:
    if not spectra:
        raise ValueError("fit: no spectra were given")
    for s in spectra:
        if not isinstance(s, StokesSpectrum):
            raise ValueError(f"fit: data must be a StokesSpectrum, got {type(s).__name__}")
        s.check()


def _values(data: StokesSpectrum) -> int:
    """How many are used, upper limits aside."""
    limits = int(np.sum(data.upper & data.used["I"])) if "I" in data.used else 0
    return data.size - limits


def _given_starts(
    space: Space, problems: Problem, starts: Any
) -> int | Float[np.ndarray, "problems starts labels"]:
    """How many, or where they are if the user says so."""
    if not isinstance(starts, Mapping) and (not np.iterable(starts) or np.isscalar(starts)):
        return whole_number(starts, 1)
    given = [starts] if isinstance(starts, Mapping) else list(starts)
    if not given:
        raise ValueError("fit: starts must be a number, or labels of at least one start")
    rows = np.array([_start(space, start) for start in given])
    number = len(problems.place.low)
    return np.array([space.points(rows, rows_at(problems.place, k)) for k in range(number)])


def _start(space: Space, start: Any) -> list[float]:
    missing = [n for n in space.names if not isinstance(start, Mapping) or n not in start]
    if missing:
        raise ValueError(f"fit: a start needs all free labels; missing {', '.join(missing)}")
    labels = space.source.labels
    return [float(real(start[n], f"fit: start of {n}", labels[n])) for n in space.names]


def _fit_of(
    space: Space,
    place: Place,
    data: StokesSpectrum,
    dof: int,
    solution: Solution,
    width: int,
    least_p: float,
) -> Fit:
    """``width``: of the spectra with what pads short ones."""
    modes = solution.modes
    best, covariance = modes[0], covariance_of(space, place, modes)
    named = [Mode(_by_name(space, m.values), _errors(space, m.covariance), m.chi2) for m in modes]
    return Fit(
        source=space.source,
        names=space.names,
        values=named[0].values,
        errors=_errors(space, covariance),
        covariance=covariance,
        params=_params(space, best.values, place),
        chi2=best.chi2,
        dof=dof,
        residuals=_residuals(best.r[: 4 * width].reshape(4, width), data),
        converged=best.converged,
        at_bound=tuple(near_bounds(space, best)),
        degenerate=degenerate_in(space, best),
        modes=tuple(named),
        message="; ".join(against(space, modes, solution.narrow, dof, least_p)),
    )


def _by_name(space: Space, row: Float[np.ndarray, " labels"]) -> dict[str, float]:
    return dict(zip(space.names, map(float, row), strict=True))


def _errors(space: Space, covariance: Float[np.ndarray, "labels labels"]) -> dict[str, float]:
    return _by_name(space, np.sqrt(np.diagonal(covariance)))


def _params(space: Space, values: Float[np.ndarray, " labels"], place: Place) -> dict[str, Any]:
    fixed = {n: v if v.ndim else float(v) for n, v in place.fixed.items()}
    return space.completed({**fixed, **_by_name(space, values)}, float)


def _residuals(r: Float[np.ndarray, "4 nu"], data: StokesSpectrum) -> dict[str, np.ndarray]:
    rows = np.asarray(r, float)[:, : len(data.nu)]
    return {n: np.where(data.used[n], rows[STOKES.index(n)], np.nan) for n in data.values}
