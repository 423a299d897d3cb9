"""Hold a model against the exact integrals on a fresh sample: values and logarithmic slopes."""

import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from synchrojax import exact
from synchrojax._constants import GYRO
from synchrojax._families import FAMILIES
from synchrojax._table import RESULTS
from synchrojax.generate import draw

_SMALLEST_SINE = 1e-3  # for slopes with theta
_STEP = 2e-3  # of the fourth-order differences; their error is below 1e-7
QUANTILES = {"median": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}


class Validation(NamedTuple):
    """Errors per coefficient: ``values[name]`` and ``slopes[input][name]``, arrays over the points used."""

    points: dict
    values: dict
    slopes: dict


def _exact_with_slopes(name, points, directions):
    """c and dc/dp along each direction, p = ln of the input (theta: sin(theta) d/dtheta)."""

    def at(direction, shift):
        moved = dict(points)
        step = np.sin(points["theta"]) if direction == "theta" else points[direction]
        moved[direction] = points[direction] + shift * step if direction == "theta" else step * np.exp(shift)
        return exact.hatted(name, **moved)

    h = _STEP
    slopes = {d: (8.0 * (at(d, h) - at(d, -h)) - (at(d, 2 * h) - at(d, -2 * h))) / (12.0 * h) for d in directions}
    return exact.hatted(name, **points), slopes


def _model_with_slopes(model, points, directions):
    def hat(*values):
        p = dict(zip(points, values, strict=True))
        own = {k: v for k, v in p.items() if k not in ("s", "theta")}
        return jnp.stack(
            model.coefficients({"nu": 1.0, "B": 1.0 / (GYRO * p["s"]), "n_e": 1.0, "theta": p["theta"], **own})
        )

    columns = [jnp.asarray(v) for v in points.values()]
    jacobian = jax.jit(jax.vmap(jax.jacfwd(hat, argnums=tuple(range(len(columns))))))(*columns)
    value = jax.jit(jax.vmap(hat))(*columns)
    slopes = {}
    for d, j in zip(points, jacobian, strict=True):
        if d in directions:
            slopes[d] = np.asarray(j) * (np.sin(points[d]) if d == "theta" else points[d])[:, None]
    return np.asarray(value), slopes


def validate(model, *, n=5000, seed=12345, slopes=True):
    """Compare ``model`` with the exact integrals on ``n`` fresh points of its box. Needs float64.

    Errors are relative. rho_Q, which changes sign, is relative to no less than 2 % of its law at low
    frequency (stricter than its high-frequency magnitude). Slopes are d ln|c| / d ln(s), d ln|c| / d ln(theta_e)
    and d ln|c| / d theta; their errors are absolute, and relative where the slope exceeds one; those with theta count
    for sin(theta) > 1e-3, where differences of the exact integrals resolve them. Emission
    and absorption count inside ``model.domain``, rotativities also below its theta_e and above its x.
    """
    name = model.distribution
    family = FAMILIES[name]
    points = draw(name, n, seed=seed, margin=1.0)
    mirrored = np.arange(n) % 2 == 1
    # small angles stay small: pi - theta would round their sine
    points["theta"] = np.where(mirrored & (points["theta"] > 1e-2), np.pi - points["theta"], points["theta"])
    directions = tuple(points) if slopes else ()
    truth, truth_slopes = _exact_with_slopes(name, points, directions)
    ours, our_slopes = _model_with_slopes(model, points, directions)

    own = {k: points[k] for k in family.PARAMETERS}
    physical = {"nu": GYRO * points["s"], "B": 1.0, "n_e": 1.0, "theta": points["theta"], **own}
    inside = np.asarray(model.flags(physical)) == 0
    floor = family.rotation_floor(family.point(points["s"], points["theta"], *own.values()))
    values, slope_errors = {}, {d: {} for d in directions}
    for k, coefficient in enumerate(RESULTS):
        scale = np.abs(truth[:, k])
        if coefficient == "rho_Q":
            scale = np.maximum(scale, np.asarray(floor))
        use = scale > 1e-250
        if not coefficient.startswith("rho"):
            use &= inside
        use = np.flatnonzero(use)
        scale = scale[use]
        values[coefficient] = np.abs(ours[use, k] - truth[use, k]) / scale
        for d in directions:
            exact_slope, our_slope = (t[d][use, k] / scale for t in (truth_slopes, our_slopes))
            unit = np.sin(points["theta"][use]) if d == "theta" else 1.0  # back from sin(theta) d/dtheta
            error = np.abs(our_slope - exact_slope) / np.maximum(unit, np.abs(exact_slope))
            # closer to B the differences of the integrals do not resolve d/d theta any more
            resolved = (np.sin(points["theta"][use]) > _SMALLEST_SINE) | (d != "theta")
            slope_errors[d][coefficient] = error[resolved]
    return Validation(points, values, slope_errors)


def summary(validation):
    """Nested dict: quantity -> coefficient -> median, p90, p99, max, points."""

    def row(errors):
        stats = {k: float(np.quantile(errors, q)) for k, q in QUANTILES.items()} if len(errors) else {}
        return {**stats, "points": len(errors)}

    tables = {"value": validation.values}
    for d, errors in validation.slopes.items():
        tables[f"d ln|c| / d {'theta' if d == 'theta' else f'ln({d})'}"] = errors
    return {title: {c: row(e) for c, e in errors.items()} for title, errors in tables.items()}


def cost(model, *, n=1_000_000):
    """Weights of ``model``, and ns per point of one jitted call for ``n`` points of its box (best of three)."""
    points = draw(model.distribution, min(n, 4096), seed=1, margin=1.0)
    points = {k: np.resize(v, n) for k, v in points.items()}
    result = {"weights": sum(leaf.size for leaf in jax.tree.leaves(model.weights))}
    for precision in ("float32", "float64"):
        with jax.enable_x64(precision == "float64"):
            own = {k: jnp.asarray(v, precision) for k, v in points.items() if k != "s"}
            params = {"nu": jnp.asarray(GYRO * points["s"], precision), "B": 1.0, "n_e": 1.0, **own}
            call, times = jax.jit(model.coefficients), []
            for _ in range(4):  # the first one compiles
                begin = time.perf_counter()
                jax.block_until_ready(call(params))
                times.append(time.perf_counter() - begin)
        result[f"ns_per_point_{precision}"] = round(1e9 * min(times[1:]) / n, 1)
    return result


def report_lines(summarised):
    """The summary as text."""
    for title, rows in summarised.items():
        yield f"{title:<26}" + "".join(f"{k:>11}" for k in QUANTILES) + f"{'points':>9}"
        for coefficient, row in rows.items():
            numbers = "".join(f"{row[k]:11.2e}" for k in QUANTILES) if row["points"] else "          -" * 4
            yield f"  {coefficient:<24}{numbers}{row['points']:9d}"
