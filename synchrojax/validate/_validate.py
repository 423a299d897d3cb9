"""Hold a model against the exact integrals on a fresh sample: values and logarithmic slopes."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Shaped

from synchrojax import exact
from synchrojax.core import (
    ELECTRON_MASS,
    GYRO,
    Columns,
    PathLike,
    Points,
    Reals,
    progress,
    quick_jit,
)
from synchrojax.families import AbstractFamily, Family, SampledFamily, TableFamily, is_packaged
from synchrojax.generate import draw
from synchrojax.model import Model
from synchrojax.tables import CONVENTIONS, RESULTS, RHO_Q_SIGN, network_space, table_files
from synchrojax.validate import _fits, _spectra

_SMALLEST_SINE = 1e-3  # for slopes with theta
_STEP = 2e-3  # of the fourth-order differences; their error is below 1e-7
_PATIENCE = 2.0  # [s] after which ``cost`` does not measure again
_AT_ONCE = 1024  # integrals between two looks at the clock
QUANTILES = {"median": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}


class Validation(NamedTuple):
    """Errors per coefficient over the points ``used[name]``.

    Arrays ``values[name]`` and ``slopes[input][name]``. ``fits[name]``: the same as ``values`` for
    the published formulas, NaN where there is none, ``stated[name]``: where their authors state
    them to hold. ``truth`` and ``predicted``: the eight at nu = 1 Hz and n_e = 1 cm^-3, [point, 8].
    ``network_mse[result]``: mean squared error in network space, for models trained on a table.
    """

    points: dict
    used: dict
    values: dict
    slopes: dict
    fits: dict
    stated: dict
    linear: tuple
    truth: np.ndarray
    predicted: np.ndarray
    network_mse: dict


def _unit(family: Any, direction: str, points: Columns) -> Float[np.ndarray, " rows"]:
    """What a step along an input is measured in.

    ln of it, but theta in sin(theta) and other linear ones in 1.
    """
    value = points[direction]
    if direction == "theta":
        return np.sin(value)
    return np.ones_like(value) if direction in family.linear else value


class _Integrals:
    """The exact coefficients of ``distribution`` at points [point, 8], with progress."""

    def __init__(self, distribution: Any, advance: Callable) -> None:
        self.distribution, self._advance = distribution, advance

    def __call__(self, points: Columns) -> Float[np.ndarray, "rows 8"]:
        """``points``: {input: array} of one length."""
        n = len(next(iter(points.values())))
        found = []
        for part in np.array_split(np.arange(n), -(-n // _AT_ONCE)):
            rows: dict[str, Any] = {k: v[part] for k, v in points.items()}
            found.append(exact.at_unit_frequency(self.distribution, **rows))
            self._advance(len(part))
        return np.concatenate(found)


def _exact_slopes(
    integrals: Callable, family: SampledFamily, points: Columns, directions: Sequence[str]
) -> dict[str, Float[np.ndarray, "rows 8"]]:
    """Derivatives of c with each input, in the units of ``_unit``."""

    def at(direction: str, shift: float) -> Float[np.ndarray, "rows 8"]:
        step = shift if direction in family.linear else np.expm1(shift)
        moved = points[direction] + step * _unit(family, direction, points)
        return integrals(family.comparison.physical({**points, direction: moved}))

    h = _STEP
    return {
        d: (8.0 * (at(d, h) - at(d, -h)) - (at(d, 2 * h) - at(d, -2 * h))) / (12.0 * h)
        for d in directions
    }


def integrals_of(family: SampledFamily, n: int, *, slopes: bool) -> int:
    """How many exact integrals ``validate`` needs for ``n`` points.

    Each slope needs four more, a reference one.
    """
    if family.spectral:
        return n
    inputs = ("s", "theta", *family.parameters)
    has_reference = family.comparison.reference({k: np.ones(1) for k in inputs}) is not None
    return n * (1 + 4 * len(inputs) * bool(slopes) + has_reference)


def duration(family: SampledFamily, n: int, *, slopes: bool) -> float:
    """About how long ``validate`` takes for ``n`` points [s], with compilation.

    This holds on a machine that does nothing else.
    """
    cores = min(os.cpu_count() or 1, 16)
    if family.spectral:  # grids of three sizes, each compiled
        return 150.0 + n / 8.0
    few = n <= exact.FEW
    compilation = (20.0 if few else 70.0) + 25.0 * bool(slopes)
    return 10.0 + 2.0 / cores * (
        compilation + integrals_of(family, n, slopes=slopes) / (25.0 if few else 200.0)
    )


def _at_unit_frequency(points: Mapping[str, Points]) -> dict[str, Reals]:
    """``params`` for inputs of a table: nu = 1 Hz, n_e = 1 cm^-3, B from s."""
    rest = {k: v for k, v in points.items() if k != "s"}
    return {"nu": 1.0, "B": 1.0 / (GYRO * points["s"]), "n_e": 1.0, **rest}


def _at_unit_field(points: Mapping[str, Points]) -> dict[str, Reals]:
    """``params`` for the same inputs, frequencies from s.

    In ``flags`` the end of the box is not rounded away.
    """
    rest = {k: v for k, v in points.items() if k != "s"}
    return {"nu": GYRO * points["s"], "B": 1.0, "n_e": 1.0, **rest}


def _model_values(model: Model, points: Columns) -> Float[np.ndarray, "rows 8"]:
    """The eight at nu = 1 Hz, n_e = 1 cm^-3 as [point, 8]."""
    return np.stack(
        [np.asarray(v) for v in quick_jit(model.coefficients)(_at_unit_frequency(points))], -1
    )


def _point_of(family: AbstractFamily, points: Mapping[str, Points]) -> Any:
    return family.point(points["s"], points["theta"], {k: points[k] for k in family.parameters})


def _sample_of(
    model: Model, fit: Callable | None, points: Columns, truth: Float[np.ndarray, "rows 8"]
) -> tuple[Shaped[np.ndarray, "rows ..."], ...]:
    """(the eight [point, 8], flags, ``error_scale``, those of the published ``fit`` or NaN).

    One program gives them all.
    """

    def everything(
        points: Mapping[str, Float[Array, " rows"]], truth: Float[Array, "rows 8"]
    ) -> tuple[Shaped[Array, "rows ..."], ...]:
        values = jnp.stack(model.coefficients(_at_unit_frequency(points)), -1)
        least = jnp.asarray(model.family.error_scale(_point_of(model.family, points), truth))
        fitted = jnp.stack(fit(*points.values()), -1) if fit else jnp.full(values.shape, jnp.nan)
        return values, model.flags(_at_unit_field(points)), least, fitted

    given = {k: jnp.asarray(v) for k, v in points.items()}
    return tuple(map(np.asarray, quick_jit(everything)(given, jnp.asarray(truth))))


def _model_slopes(
    model: Model, points: Columns, directions: Sequence[str]
) -> dict[str, Float[np.ndarray, "rows 8"]]:
    """As ``_exact_slopes``, by differentiation."""

    def hat(*values: Any) -> Float[Array, " 8"]:
        return jnp.stack(
            model.coefficients(_at_unit_frequency(dict(zip(points, values, strict=True))))
        )

    columns = [jnp.asarray(v) for v in points.values()]
    wanted = tuple(i for i, d in enumerate(points) if d in directions)
    jacobian = quick_jit(jax.vmap(jax.jacfwd(hat, argnums=wanted)))(*columns) if wanted else ()
    return {
        d: np.asarray(j) * _unit(model.family, d, points)[:, None]
        for d, j in zip(directions, jacobian, strict=True)
    }


def _require_model(model: Any) -> None:
    """Raise ValueError for anything but a model."""
    if not isinstance(model, Model):
        raise ValueError(
            f"needs a model, got {model!r}: load one by its name or path first, with "
            "synchrojax.load"
        )


def _family_with_f(model: Model, given: Any) -> SampledFamily:
    """The family of ``model`` with the f of ``given``, since a model file does not hold it."""
    family: Any = model.family
    if not isinstance(family, SampledFamily):
        raise ValueError(
            f"{model.distribution!r} was made from a table: compare it with one, by "
            "validate_table or --table"
        )
    if given is not None:
        if not isinstance(given, Family):
            raise ValueError(
                "family is the synchrojax.Family that a model of your own was made with, got "
                f"{given!r}"
            )
        if not isinstance(family, Family):
            raise ValueError(
                f"the model of {family.name!r} has its distribution: leave family out, which is "
                "for models of a synchrojax.Family"
            )
        if (given.name, given.domain) != (family.name, family.domain):
            raise ValueError(
                f"the model is for {family.name!r} in {family.domain}, not {given.name!r} in "
                f"{given.domain}"
            )
        family = family.replaced(distribution=given.distribution)
    return family


def _fresh_points(
    family: SampledFamily, n: int, seed: int
) -> dict[str, Float[np.ndarray, " rows"]]:
    """``n`` points of its box, half of them with theta above pi/2."""
    points = draw(family, n, seed=seed, margin=1.0)
    mirrored = np.random.default_rng(seed).random(n) < 0.5
    # small angles stay small: pi - theta would round their sine
    points["theta"] = np.where(
        mirrored & (points["theta"] > 1e-2), np.pi - points["theta"], points["theta"]
    )
    return points


def _all_integrals(
    family: SampledFamily, points: Columns, directions: Sequence[str], quiet: bool
) -> tuple[
    Float[np.ndarray, "rows 8"],
    dict[str, Float[np.ndarray, "rows 8"]],
    Float[np.ndarray, "rows 8"] | None,
]:
    """Exact coefficients at ``points``, their slopes, and those at the reference of the family."""
    total = integrals_of(family, len(points["s"]), slopes=bool(directions))
    with progress("validate", total, "integrals", quiet=quiet) as advance:
        integrals = _Integrals(family.distribution, advance)
        truth = integrals(points)
        slopes = _exact_slopes(integrals, family, points, directions)
        reference = family.comparison.reference(points)
        return truth, slopes, reference if reference is None else integrals(reference)


def validate(
    model: Any,
    *,
    n: Any = 5000,
    seed: Any = 12345,
    slopes: bool = True,
    family: Any = None,
    quiet: bool = False,
) -> Validation:
    """Compare ``model`` with the exact integrals on ``n`` fresh points of its box. Needs float64.

    ``family``: the ``Family`` of a distribution of your own, since a model file does not hold its
    f. ``quiet``: no progress on standard error. Errors are relative, to no less than
    ``error_scale`` of the family: a few percent of its scale for rho_Q, which changes sign. Slopes
    are d ln|c| / d ln(input), but d / d(input) for the family's ``linear`` ones; their errors are
    absolute, and relative where the slope exceeds one; those with theta count for sin(theta) >
    1e-3, where differences of the exact integrals resolve them, others where the family says so
    (``resolved``). Emission and absorption count inside ``model.domain`` and where the family says
    so (``counted``: for a power law where j_I is above 1e-3 of its value without gamma_max),
    rotativities of thermal electrons below its theta_e and above its x too. Raises ValueError for
    arguments that fit no validation, before anything is computed.
    """
    _require_model(model)
    n, seed = table_files.integer(n, "n (points)", 1), table_files.integer(seed, "seed", 0)
    name, family = model.distribution, _family_with_f(model, family)
    if family.spectral:
        return _of_spectra(model, n, seed, quiet)
    points = _fresh_points(family, n, seed)
    directions = tuple(points) if slopes else ()
    fit = _fits.FITS[name].formula if is_packaged(family) and name in _fits.FITS else None
    truth, truth_slopes, reference = _all_integrals(family, points, directions, quiet)
    ours, flags, least, fitted = _sample_of(model, fit, points, truth)
    our_slopes = _model_slopes(model, points, directions)
    inside = (flags == 0) & family.comparison.counted(truth, reference)
    stated = _fits.stated(name, points) if fit else {c: np.zeros(n, bool) for c in RESULTS}
    used, values, fits = {}, {}, {}
    slope_errors: dict = {d: {} for d in directions}
    for k, coefficient in enumerate(RESULTS):
        scale = np.maximum(np.abs(truth[:, k]), least[:, k])
        use = scale > 1e-250
        if not coefficient.startswith("rho"):
            use &= inside
        use = np.flatnonzero(use)
        scale = scale[use]
        used[coefficient] = use
        values[coefficient] = np.abs(ours[use, k] - truth[use, k]) / scale
        fits[coefficient] = np.abs(fitted[use, k] - truth[use, k]) / scale
        stated[coefficient] = stated[coefficient][use]
        for d in directions:
            exact_slope, our_slope = (t[d][use, k] / scale for t in (truth_slopes, our_slopes))
            # back from sin(theta) d/dtheta
            unit = np.sin(points["theta"][use]) if d == "theta" else 1.0
            error = np.abs(our_slope - exact_slope) / np.maximum(unit, np.abs(exact_slope))
            # closer to B the differences of the integrals do not resolve d/d theta any more
            resolved = (np.sin(points["theta"][use]) > _SMALLEST_SINE) | (d != "theta")
            resolved &= family.comparison.resolved(d, points)[use]
            slope_errors[d][coefficient] = error[resolved]
    return Validation(
        points, used, values, slope_errors, fits, stated, family.linear, truth, ours, {}
    )


def _without_fits(
    values: Mapping[str, Float[np.ndarray, " points"]],
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """``fits`` and ``stated`` of what no published formula is for."""
    nothing = {c: np.full(len(v), np.nan) for c, v in values.items()}
    return nothing, {c: np.zeros(len(v), bool) for c, v in values.items()}


def _of_spectra(model: Model, n: int, seed: int, quiet: bool) -> Validation:
    """``validate`` of a model whose electrons are given on a grid: random spectra, no slopes."""
    points, truth, ours = [], [], []
    with progress("validate", n, "integrals", quiet=quiet) as advance:
        for spectra in _spectra.drawn(n, seed):
            rows = {"s": spectra.s, "theta": spectra.theta}
            grid: dict[str, Any] = {"gamma": spectra.gamma, "N": spectra.n}
            s, theta = rows.values()
            truth.append(exact.at_unit_frequency("tabulated", s, theta, **grid))
            ours.append(_model_values(model, rows | grid))
            points.append(rows)
            advance(len(spectra.s))
    exactly, found = np.concatenate(truth), np.concatenate(ours)
    together = {k: np.concatenate([rows[k] for rows in points]) for k in ("s", "theta")}
    used, values = {}, {}
    for k, coefficient in enumerate(RESULTS):
        least = _spectra.LOWEST * np.abs(exactly[:, 6]) * (ELECTRON_MASS if k < 3 else 1.0)
        use = np.flatnonzero(np.abs(exactly[:, k]) > least)
        used[coefficient] = use
        values[coefficient] = np.abs(found[use, k] / exactly[use, k] - 1.0)
    nothing, nowhere = _without_fits(values)
    return Validation(together, used, values, {}, nothing, nowhere, (), exactly, found, {})


def validate_table(
    model: Any,
    table: PathLike,
    *,
    convention: Any = None,
    max_rows: Any = 200_000,
    seed: Any = 0,
    rows: Callable[[int], Bool[np.ndarray, " rows"]] | None = None,
    quiet: bool = True,
) -> Validation:
    """Compare ``model`` with a table. Needs float64.

    It is one of the eight coefficients, or in the network space of the model. ``convention``: of
    the table, by default that of the model's own (``synchrojax`` for packaged models). Errors are
    relative; where a result of the model is mapped by asinh, to no less than what its scale stands
    for. Rows outside the box of the model and, of the eight, those that break an invariant do not
    count. ``rows``: a function from the number of rows to the mask of those to use. ``quiet``: no
    progress of reading. Raises TableError, and ValueError for arguments that fit no validation.
    """
    _require_model(model)
    if convention not in (None, *CONVENTIONS):
        raise ValueError(
            f"convention {convention!r} of the table: expected one of {', '.join(CONVENTIONS)}"
        )
    if rows is not None and not callable(rows):
        raise ValueError(
            "rows is a function from the number of rows to the mask of those to use, not "
            f"{rows!r}; max_rows is how many of a large table, drawn at random"
        )
    if isinstance(model.family, SampledFamily) and model.family.single:
        model = replace(model, family=model.family.single)
    max_rows = table_files.integer(max_rows, "max_rows", 1)
    seed = table_files.integer(seed, "seed", 0)
    family, squares = model.family, {}
    read = _read(table, family, max_rows, seed, quiet)
    columns = _usable(read, model, table, rows)
    points = {k: columns[k] for k in ("s", "theta", *family.parameters)}
    if isinstance(family, TableFamily):
        truth, columns = _of_table_family(family, columns, points, convention)
        squares = family.mean_squares(model.networks, columns)
        linear = tuple(m.name for m in family.config.params if m.maptype != "log")
    else:
        truth = _eight(columns, convention or "synchrojax")
        linear = family.linear if isinstance(family, SampledFamily) else ()
    ours = _model_values(model, points)
    scale = np.maximum(
        np.abs(truth), np.asarray(family.error_scale(_point_of(family, points), truth))
    )
    used = {c: np.flatnonzero(scale[:, k] > 1e-250) for k, c in enumerate(RESULTS)}
    values = {c: (np.abs(ours - truth)[:, k] / scale[:, k])[used[c]] for k, c in enumerate(RESULTS)}
    nothing, nowhere = _without_fits(values)
    return Validation(points, used, values, {}, nothing, nowhere, linear, truth, ours, squares)


def _usable(read: Columns, model: Model, table: PathLike, rows: Callable | None) -> Columns:
    """The rows that count: chosen by ``rows``, physical and in the box of the model."""
    family = model.family
    keep = np.ones(len(read["s"]), bool) if rows is None else rows(len(read["s"]))
    if "j_Q" in read:
        space = family.config.space if isinstance(family, TableFamily) else "synchrojax"
        keep &= ~np.any(list(network_space.reasons(read, space).values()), axis=0)
    inputs = {k: read[k] for k in ("s", "theta", *family.parameters)}
    keep &= np.asarray(model.flags(_at_unit_field(inputs))) == 0
    if not np.any(keep):
        raise table_files.TableError(
            f"{table}: no valid row in the box of the model, {model.domain}"
        )
    return {k: v[keep] for k, v in read.items()}


def _eight(columns: Columns, convention: str) -> Float[np.ndarray, "rows 8"]:
    """The coefficients of a table, with this package's sign of rho_Q."""
    truth = np.stack([columns[k] for k in RESULTS], -1)
    truth[:, RESULTS.index("rho_Q")] *= RHO_Q_SIGN[convention]
    return truth


def _of_table_family(
    family: TableFamily, columns: Columns, points: Columns, convention: str | None
) -> tuple[Float[np.ndarray, "rows 8"], Columns]:
    """(The eight, the columns in network space) of a table that is in one of the two forms."""
    if "j_Q" not in columns:
        return family.eight(columns), columns
    convention = convention or family.config.convention
    in_network_space = network_space.to_network(columns, family.config.space, convention)
    return _eight(columns, convention), {**points, **in_network_space}


def _read(
    table: PathLike, family: AbstractFamily, max_rows: int, seed: int, quiet: bool
) -> dict[str, Float[np.ndarray, " rows"]]:
    """Columns of a table: inputs and results.

    Results are the eight coefficients or, for a model of a table, those of network space.
    """
    results: tuple[str, ...] = RESULTS
    if "j_Q" not in table_files.header_of(table_files.parts(table)[0]):
        if not isinstance(family, TableFamily):
            raise table_files.TableError(
                f"{table}: holds no j_Q(res): the model {family.name!r} needs the eight "
                "coefficients"
            )
        results = family.results
    names = ["s", "theta", *family.parameters, *results]
    return table_files.read_columns(table, names, max_rows=max_rows, seed=seed, quiet=quiet)


def summary(validation: Validation, *, fits: bool = False) -> dict[str, dict[str, dict[str, Any]]]:
    """Nested dict: quantity -> coefficient -> median, p90, p99, max, points.

    ``fits``: with those of the formulas.
    """

    def row(errors: Float[np.ndarray, " rows"]) -> dict[str, Any]:
        stats = (
            {k: float(np.quantile(errors, q)) for k, q in QUANTILES.items()} if len(errors) else {}
        )
        return {**stats, "points": len(errors)}

    tables = {"value": validation.values}
    linear = validation.linear
    if fits:
        known = {c: np.isfinite(e) for c, e in validation.fits.items()}
        tables["published fit, all points"] = {c: e[known[c]] for c, e in validation.fits.items()}
        there = {c: known[c] & validation.stated[c] for c in known}
        tables["published fit, its range"] = {c: e[there[c]] for c, e in validation.fits.items()}
        tables["network, range of the fit"] = {c: e[there[c]] for c, e in validation.values.items()}
    for d, errors in validation.slopes.items():
        tables[f"d ln|c| / d {d if d in linear else f'ln({d})'}"] = errors
    return {title: {c: row(e) for c, e in errors.items()} for title, errors in tables.items()}


def cost(model: Any, *, n: Any = 1_000_000, points: Columns | None = None) -> dict[str, Any]:
    """Weights of ``model``, and ns per point of one jitted call for ``n`` points of its box.

    The best of three calls, of fewer where they take seconds, without compilation.
    ``points``: {input: array} to repeat instead of a sample of the box.
    """
    _require_model(model)
    n = table_files.integer(n, "n (points)", 1)
    points = draw(model.family, min(n, 4096), seed=1, margin=1.0) if points is None else points
    points = {k: np.resize(v, n) for k, v in points.items()}
    grid = {}
    if model.family.spectral:  # a power law on 64 nodes, for all points
        gamma = np.geomspace(1.0, 1e6, 64)
        grid = {"gamma": gamma, "N": gamma**-2.5}
        points = {k: points[k] for k in ("s", "theta")}
    result = {"weights": sum(leaf.size for leaf in jax.tree.leaves(model.networks))}
    for precision in ("float32", "float64"):
        with jax.enable_x64(precision == "float64"):
            given = points | grid
            own = {k: jnp.asarray(v, precision) for k, v in given.items() if k != "s"}
            params = {"nu": jnp.asarray(GYRO * points["s"], precision), "B": 1.0, "n_e": 1.0, **own}
            call = jax.jit(model.coefficients).lower(params).compile()
            times: list[float] = []
            while len(times) < 3 and sum(times) < _PATIENCE:
                begin = time.perf_counter()
                jax.block_until_ready(call(params))
                times.append(time.perf_counter() - begin)
        result[f"ns_per_point_{precision}"] = round(1e9 * min(times) / n, 1)
    return result


def report_lines(summarised: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Iterator[str]:
    """The summary as text."""
    for title, rows in summarised.items():
        yield f"{title:<26}" + "".join(f"{k:>11}" for k in QUANTILES) + f"{'points':>9}"
        for coefficient, row in rows.items():
            numbers = (
                "".join(f"{row[k]:11.2e}" for k in QUANTILES)
                if row["points"]
                else "          -" * 4
            )
            yield f"  {coefficient:<24}{numbers}{row['points']:9d}"
