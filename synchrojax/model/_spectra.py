"""A call whose electrons are given on a grid: rows of N beside points that broadcast."""

import functools
import math
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from synchrojax.core import (
    STEPS,
    Numbers,
    as_mapping,
    broadcast,
    broadcast_shapes,
    elsewhere,
    in_dtype,
    is_traced,
    pack,
)
from synchrojax.distributions import checked_spectrum

_GRID = ("gamma", "N")


def spectrawise(function: Callable, model: Any, params: Any, *, inline: bool) -> Any:
    """``function(model, values)`` as ``core.pointwise`` has it, for points with a row of N each.

    In ``values`` "gamma" [K] is for all points, "log_n" [rows, K] holds the rows, ln(N) beside the
    largest of a row, "log_unit" is that, and "row" says which of them is each point's. n_e may be
    left out.
    """
    named = as_mapping(params, model.inputs)
    shape_alone = ("N",) if "n_e" in named else ()
    values, dtype, shape = broadcast(
        named, model.inputs, {"n_e": math.nan}, apart=_GRID, any_unit=shape_alone
    )
    if "n_e" not in named:
        del values["n_e"]
    gamma, n = checked_spectrum(*(values.pop(name) for name in _GRID))
    try:
        shape = broadcast_shapes([shape, np.shape(n)[:-1]])
    except ValueError:
        raise ValueError(
            f"params: N of shape {np.shape(n)} does not broadcast with the others, of shape "
            f"{shape}: its last axis belongs to gamma"
        ) from None
    own = in_dtype({**values, **_logarithms(n, dtype), "gamma": gamma}, dtype)
    if inline:
        return function(model, _arranged(own, dtype))
    given = [*values.values(), gamma, n]
    size = 0 if is_traced(given) or elsewhere(given) else math.prod(shape)
    if not 0 < size <= STEPS[-1]:
        return _program(function, model, dtype)(own)
    # concrete and few: filled up to one of a few sizes
    rows = np.asarray(own.pop("log_n")).reshape(-1, np.shape(n)[-1])
    grid = np.asarray(own.pop("gamma"))
    which = np.arange(len(rows)).reshape(np.shape(n)[:-1])
    columns = pack([*own.values(), which], dtype, shape)
    points = dict(zip([*own, "row"], columns, strict=True))
    points["row"] = points["row"].astype(int)
    rows = pack(list(rows.T), dtype, rows.shape[:1]).T
    found = _filled_program(function, model)(points | {"gamma": grid, "log_n": rows})
    return jax.tree.map(lambda v: jax.device_put(np.asarray(v)[:size].reshape(shape)), found)


def _logarithms(n: Numbers, dtype: np.dtype) -> dict[str, Any]:
    """ "log_unit" [...], ln of the largest N of each row, and "log_n" [..., K], ln N less that.

    -inf where N is 0, NaN where it is none. Known numbers may leave the range of ``dtype``.
    """
    known = isinstance(n, np.ndarray)
    numpy: Any = np if known else jnp
    n = n.astype(np.float64) if known else jnp.asarray(n, dtype)
    there = n > 0.0
    log_n = numpy.where(there, numpy.log(numpy.where(there, n, 1.0)), -np.inf)
    largest = numpy.max(log_n, axis=-1, keepdims=True)
    largest = numpy.where(numpy.isfinite(largest), largest, 0.0)
    largest = largest if known else jax.lax.stop_gradient(largest)
    log_n = numpy.where(numpy.isfinite(n) & (n >= 0.0), log_n - largest, np.nan)
    return {"log_unit": largest[..., 0], "log_n": log_n}


def _arranged(values: Mapping[str, Numbers], dtype: np.dtype) -> dict[str, Any]:
    """What of ``values`` belongs to points in one shape, and the rows after each other."""
    points = {k: jnp.asarray(v, dtype) for k, v in values.items()}
    gamma, log_n = points.pop("gamma"), points.pop("log_n")
    rows = log_n.reshape(-1, log_n.shape[-1])
    points["row"] = jnp.arange(rows.shape[0]).reshape(log_n.shape[:-1])
    shape = broadcast_shapes([v.shape for v in points.values()])
    points = {k: jnp.broadcast_to(v, shape) for k, v in points.items()}
    return points | {"gamma": gamma, "log_n": rows}


@functools.lru_cache(maxsize=256)
def _program(function: Callable, model: Hashable, dtype: np.dtype) -> Callable:
    return jax.jit(lambda values: function(model, _arranged(values, dtype)))


@functools.lru_cache(maxsize=256)
def _filled_program(function: Callable, model: Hashable) -> Callable:
    return jax.jit(lambda values: function(model, values))
