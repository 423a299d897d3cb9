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
    is_traced,
    pack,
)
from synchrojax.distributions import checked_spectrum

_GRID = ("gamma", "N")


def spectrawise(function: Callable, model: Any, params: Any, *, inline: bool) -> Any:
    """``function(model, values)`` as ``core.pointwise`` has it, for points with a row of N each.

    In ``values`` "gamma" [K] is for all points, "N" [rows, K] holds the rows and "row" says which
    of them is each point's. n_e may be left out.
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
    if inline:
        return function(model, _arranged(values, gamma, n, dtype))
    given = [*values.values(), gamma, n]
    size = 0 if is_traced(given) or elsewhere(given) else math.prod(shape)
    if not 0 < size <= STEPS[-1]:
        return _program(function, model, dtype)(values, gamma, n)
    # concrete and few: filled up to one of a few sizes
    rows = np.asarray(n, dtype).reshape(-1, np.shape(n)[-1])
    which = np.arange(len(rows)).reshape(np.shape(n)[:-1])
    columns = pack([*values.values(), which], dtype, shape)
    points = dict(zip([*values, "row"], columns, strict=True))
    points["row"] = points["row"].astype(int)
    rows = pack(list(rows.T), dtype, rows.shape[:1]).T
    found = _filled_program(function, model)(
        points | {"gamma": np.asarray(gamma, dtype), "N": rows}
    )
    return jax.tree.map(lambda v: jax.device_put(np.asarray(v)[:size].reshape(shape)), found)


def _arranged(
    values: Mapping[str, Numbers], gamma: Numbers, n: Numbers, dtype: np.dtype
) -> dict[str, Any]:
    rows = jnp.asarray(n, dtype).reshape(-1, n.shape[-1])
    points = {k: jnp.asarray(v, dtype) for k, v in values.items()}
    points["row"] = jnp.arange(rows.shape[0]).reshape(n.shape[:-1])
    shape = broadcast_shapes([v.shape for v in points.values()])
    points = {k: jnp.broadcast_to(v, shape) for k, v in points.items()}
    return points | {"gamma": jnp.asarray(gamma, dtype), "N": rows}


@functools.lru_cache(maxsize=256)
def _program(function: Callable, model: Hashable, dtype: np.dtype) -> Callable:
    return jax.jit(lambda values, gamma, n: function(model, _arranged(values, gamma, n, dtype)))


@functools.lru_cache(maxsize=256)
def _filled_program(function: Callable, model: Hashable) -> Callable:
    return jax.jit(lambda values: function(model, values))
