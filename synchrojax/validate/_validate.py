"""Hold a model against the exact integrals on a fresh sample: values and logarithmic slopes."""

import os
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from synchrojax import exact
from synchrojax.core import GYRO, progress, quick_jit
from synchrojax.distributions import HIGHEST_GAMMA
from synchrojax.families import distribution_of, is_packaged
from synchrojax.generate import draw
from synchrojax.tables import network_space, table_files
from synchrojax.tables.table_files import RESULTS
from synchrojax.validate import _fits

_SMALLEST_SINE = 1e-3  # for slopes with theta
_DECAYED = 1e-3  # of j_I without gamma_max: below, emission and absorption of a power law are not compared
_STEP = 2e-3  # of the fourth-order differences; their error is below 1e-7
_PATIENCE = 2.0  # [s] after which ``cost`` does not measure again
_AT_ONCE = 1024  # integrals between two looks at the clock
QUANTILES = {"median": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}


class Validation(NamedTuple):
    """Errors per coefficient, arrays over the points ``used[name]``: ``values[name]``, ``slopes[input][name]``.

    ``fits[name]``: the same as ``values`` for the published formulas, NaN where there is none, ``stated[name]``: where
    their authors state them to hold. ``truth`` and ``predicted``: the eight at nu = 1 Hz and n_e = 1 cm^-3, [point, 8].
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


def linear_inputs(family):
    """Inputs whose slopes are with the input itself, not with its logarithm."""
    return ("theta", "k", *getattr(family, "LINEAR", ()))


def _unit(family, direction, points):
    """What a step along an input is measured in: ln of it, but theta in sin(theta) and some in 1."""
    value = points[direction]
    if direction == "theta":
        return np.sin(value)
    return np.ones_like(value) if direction in linear_inputs(family) else value


class _Integrals:
    """The exact coefficients of ``distribution`` at points [point, 8], with progress."""

    def __init__(self, distribution, advance):
        self.distribution, self._advance = distribution, advance

    def __call__(self, points):
        """``points``: {input: array} of one length."""
        n = len(next(iter(points.values())))
        found = []
        for part in np.array_split(np.arange(n), -(-n // _AT_ONCE)):
            found.append(exact.hatted(self.distribution, **{k: v[part] for k, v in points.items()}))
            self._advance(len(part))
        return np.concatenate(found)


def _exact_slopes(integrals, family, points, directions):
    """Derivatives of c with each input, in the units of ``_unit``."""

    def at(direction, shift):
        step = shift if direction in linear_inputs(family) else np.expm1(shift)
        moved = points[direction] + step * _unit(family, direction, points)
        if direction == "gamma_min":
            moved = np.maximum(moved, 1.0)
        return integrals({**points, direction: moved})

    h = _STEP
    return {d: (8.0 * (at(d, h) - at(d, -h)) - (at(d, 2 * h) - at(d, -2 * h))) / (12.0 * h) for d in directions}


def endless_too(family):
    """True for power laws, which are looked at without gamma_max, too."""
    return is_packaged(family) and "gamma_max" in family.PARAMETERS


def integrals_of(family, n, *, slopes):
    """How many exact integrals ``validate`` needs for ``n`` points: four more for each slope, one for gamma_max."""
    inputs = ("s", "theta", *family.PARAMETERS)
    return n * (1 + 4 * len(inputs) * bool(slopes) + endless_too(family))


def duration(family, n, *, slopes):
    """About how long ``validate`` takes for ``n`` points [s], with compilation, on a machine that does nothing else."""
    cores = min(os.cpu_count() or 1, 16)
    few = n <= exact.FEW
    compilation = (20.0 if few else 70.0) + 25.0 * bool(slopes)
    return 10.0 + 2.0 / cores * (compilation + integrals_of(family, n, slopes=slopes) / (25.0 if few else 200.0))


def _at_unit_frequency(points):
    """``params`` for inputs of a table: nu = 1 Hz, n_e = 1 cm^-3, B from s."""
    rest = {k: v for k, v in points.items() if k != "s"}
    return {"nu": 1.0, "B": 1.0 / (GYRO * points["s"]), "n_e": 1.0, **rest}


def _at_unit_field(points):
    """``params`` for the same inputs, frequencies from s: in ``flags`` the end of the box is not rounded away."""
    rest = {k: v for k, v in points.items() if k != "s"}
    return {"nu": GYRO * points["s"], "B": 1.0, "n_e": 1.0, **rest}


def _model_values(model, points):
    """The eight at nu = 1 Hz, n_e = 1 cm^-3 as [point, 8]."""
    return np.stack([np.asarray(v) for v in quick_jit(model.coefficients)(_at_unit_frequency(points))], -1)


def _sample_of(model, fit, points):
    """(the eight as [point, 8], flags, ``rotation_floor``, those of the published ``fit`` or NaN): one program."""
    family = model.family

    def everything(points):
        values = jnp.stack(model.coefficients(_at_unit_frequency(points)), -1)
        floor = family.rotation_floor(family.point(*(points[k] for k in ("s", "theta", *family.PARAMETERS))))
        fitted = jnp.stack(fit(*points.values()), -1) if fit else jnp.full(values.shape, jnp.nan)
        return values, model.flags(_at_unit_field(points)), floor, fitted

    return (np.asarray(v) for v in quick_jit(everything)({k: jnp.asarray(v) for k, v in points.items()}))


def _model_slopes(model, points, directions):
    """As ``_exact_slopes``, by differentiation."""

    def hat(*values):
        return jnp.stack(model.coefficients(_at_unit_frequency(dict(zip(points, values, strict=True)))))

    columns = [jnp.asarray(v) for v in points.values()]
    wanted = tuple(i for i, d in enumerate(points) if d in directions)
    jacobian = quick_jit(jax.vmap(jax.jacfwd(hat, argnums=wanted)))(*columns) if wanted else ()
    return {
        d: np.asarray(j) * _unit(model.family, d, points)[:, None] for d, j in zip(directions, jacobian, strict=True)
    }


def validate(model, *, n=5000, seed=12345, slopes=True, family=None, quiet=False):
    """Compare ``model`` with the exact integrals on ``n`` fresh points of its box. Needs float64.

    ``family``: the ``Family`` of a distribution of your own, since a model file does not hold its f. ``quiet``: no
    progress on standard error.
    Errors are relative. rho_Q, which changes sign, is relative to no less than a few percent of its scale
    (``rotation_floor`` of the family). Slopes are d ln|c| / d ln(input), but d / d theta and d / d k; their errors are
    absolute, and relative where the slope exceeds one; those with theta count for sin(theta) > 1e-3, where
    differences of the exact integrals resolve them, those with gamma_min above 1.01. Emission and absorption count
    inside ``model.domain``, those of a power law where j_I is above 1e-3 of its value without gamma_max,
    rotativities of thermal electrons also below its theta_e and above its x.
    """
    name = model.distribution
    given, family = family, model.family
    if given is not None:
        if (given.NAME, given.DOMAIN) != (family.NAME, family.DOMAIN):
            raise ValueError(
                f"the model is for {family.NAME!r} in {family.DOMAIN}, not {given.NAME!r} in {given.DOMAIN}"
            )
        family = family.replaced(distribution=given.distribution)
    if not hasattr(family, "sample"):
        raise ValueError(f"{name!r} was made from a table: compare it with one, by validate_table or --table")
    points = draw(family, n, seed=seed, margin=1.0)
    mirrored = np.random.default_rng(seed).random(n) < 0.5
    # small angles stay small: pi - theta would round their sine
    points["theta"] = np.where(mirrored & (points["theta"] > 1e-2), np.pi - points["theta"], points["theta"])
    directions = tuple(points) if slopes else ()
    fit = _fits.FITS.get(name) if is_packaged(family) else None
    total = integrals_of(family, n, slopes=slopes)
    with progress("validate", total, "integrals", quiet=quiet) as advance:
        integrals = _Integrals(distribution_of(family), advance)
        truth = integrals(points)
        truth_slopes = _exact_slopes(integrals, family, points, directions)
        if endless_too(family):  # far above gamma_max^2 nu_c only the decay is promised
            endless = integrals({**points, "gamma_max": np.full(n, HIGHEST_GAMMA)})
    ours, flags, floor, fitted = _sample_of(model, fit, points)
    our_slopes = _model_slopes(model, points, directions)
    inside = flags == 0
    if endless_too(family):
        inside &= truth[:, 0] > _DECAYED * endless[:, 0]
    stated = _fits.stated(name, points) if fit else {c: np.zeros(n, bool) for c in RESULTS}
    used, values, fits, slope_errors = {}, {}, {}, {d: {} for d in directions}
    for k, coefficient in enumerate(RESULTS):
        scale = np.abs(truth[:, k])
        if coefficient == "rho_Q":
            scale = np.maximum(scale, floor)
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
            unit = np.sin(points["theta"][use]) if d == "theta" else 1.0  # back from sin(theta) d/dtheta
            error = np.abs(our_slope - exact_slope) / np.maximum(unit, np.abs(exact_slope))
            # closer to B the differences of the integrals do not resolve d/d theta any more
            resolved = (np.sin(points["theta"][use]) > _SMALLEST_SINE) | (d != "theta")
            resolved &= (points["gamma_min"][use] > 1.01) if d == "gamma_min" else True
            slope_errors[d][coefficient] = error[resolved]
    return Validation(points, used, values, slope_errors, fits, stated, linear_inputs(family), truth, ours, {})


def validate_table(model, table, *, convention=None, max_rows=200_000, seed=0, rows=None, quiet=True):
    """Compare ``model`` with a table: of the eight coefficients, or in the network space of the model. Needs float64.

    ``convention``: of the table, by default that of the model's own (``synchrojax`` for packaged models). Errors are
    relative; where a result of the model is mapped by asinh, to no less than what its scale stands for. Rows outside
    the box of the model and, of the eight, those that break an invariant do not count. ``rows``: a function from the
    number of rows to the mask of those to use. ``quiet``: no progress of reading. Raises TableError.
    """
    family, files = model.family, table_files.parts(table)
    inputs = ("s", "theta", *family.PARAMETERS)
    config = getattr(family, "config", None)
    raw = "j_Q" in table_files.header_of(files[0])
    if not raw and config is None:
        raise table_files.TableError(
            f"{table}: holds no j_Q(res): the model {family.NAME!r} needs the eight coefficients"
        )
    results = RESULTS if raw else [r.mapping.name for r in config.results]
    columns = table_files.read_columns(table, [*inputs, *results], max_rows=max_rows, seed=seed, quiet=quiet)
    if rows is not None:
        use = rows(len(columns["s"]))
        columns = {k: v[use] for k, v in columns.items()}
    convention = convention or (config.convention if config else "synchrojax")
    if raw:
        space = config.space if config else "synchrojax"
        use = ~np.any(list(network_space.reasons(columns, space).values()), axis=0)
        columns = {k: v[use] for k, v in columns.items()}
    physical = {"nu": GYRO * columns["s"], "B": 1.0, "n_e": 1.0, **{k: columns[k] for k in inputs[1:]}}
    columns = {k: v[np.asarray(model.flags(physical)) == 0] for k, v in columns.items()}
    if not len(columns["s"]):
        raise table_files.TableError(f"{table}: no valid row in the box of the model, {model.domain}")
    points = {k: columns[k] for k in inputs}
    ours = _model_values(model, points)
    if raw:
        truth = np.stack([columns[k] for k in RESULTS], -1)
        truth[:, RESULTS.index("rho_Q")] *= network_space.RHO_Q_SIGN[convention]
        known = points | network_space.to_network(columns, config.space, convention) if config else None
    else:
        truth, known = family.eight(columns), columns
    scale = np.abs(truth)
    if config:
        scale = np.maximum(scale, np.abs(family.eight({**points, **family.faint(known)})))
    else:
        point = family.point(points["s"], points["theta"], *(points[k] for k in family.PARAMETERS))
        scale[:, 6] = np.maximum(scale[:, 6], np.asarray(family.rotation_floor(point)))
    used = {c: np.flatnonzero(scale[:, k] > 1e-250) for k, c in enumerate(RESULTS)}
    values = {c: (np.abs(ours - truth)[:, k] / scale[:, k])[used[c]] for k, c in enumerate(RESULTS)}
    nothing = {c: np.full(len(v), np.nan) for c, v in values.items()}
    nowhere = {c: np.zeros(len(v), bool) for c, v in values.items()}
    squares = family.mean_squares(model.networks, known) if config else {}
    linear = tuple(m.name for m in config.params if m.maptype != "log") if config else linear_inputs(family)
    return Validation(points, used, values, {}, nothing, nowhere, linear, truth, ours, squares)


def summary(validation, *, fits=False):
    """Nested dict: quantity -> coefficient -> median, p90, p99, max, points; ``fits``: of the formulas too."""

    def row(errors):
        stats = {k: float(np.quantile(errors, q)) for k, q in QUANTILES.items()} if len(errors) else {}
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


def cost(model, *, n=1_000_000, points=None):
    """Weights of ``model``, and ns per point of one jitted call for ``n`` points of its box.

    The best of three calls, of fewer where they take seconds, without compilation.
    ``points``: {input: array} to repeat instead of a sample of the box.
    """
    points = draw(model.family, min(n, 4096), seed=1, margin=1.0) if points is None else points
    points = {k: np.resize(v, n) for k, v in points.items()}
    result = {"weights": sum(leaf.size for leaf in jax.tree.leaves(model.weights))}
    for precision in ("float32", "float64"):
        with jax.enable_x64(precision == "float64"):
            own = {k: jnp.asarray(v, precision) for k, v in points.items() if k != "s"}
            params = {"nu": jnp.asarray(GYRO * points["s"], precision), "B": 1.0, "n_e": 1.0, **own}
            call, times = jax.jit(model.coefficients).lower(params).compile(), []
            while len(times) < 3 and sum(times) < _PATIENCE:
                begin = time.perf_counter()
                jax.block_until_ready(call(params))
                times.append(time.perf_counter() - begin)
        result[f"ns_per_point_{precision}"] = round(1e9 * min(times) / n, 1)
    return result


def report_lines(summarised):
    """The summary as text."""
    for title, rows in summarised.items():
        yield f"{title:<26}" + "".join(f"{k:>11}" for k in QUANTILES) + f"{'points':>9}"
        for coefficient, row in rows.items():
            numbers = "".join(f"{row[k]:11.2e}" for k in QUANTILES) if row["points"] else "          -" * 4
            yield f"  {coefficient:<24}{numbers}{row['points']:9d}"
