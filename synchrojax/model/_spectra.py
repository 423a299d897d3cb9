"""A call whose electrons are given on a grid: rows of N beside points that broadcast."""

import functools
import math
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from synchrojax.core import Numbers, Shape, broadcast, broadcast_shapes, is_traced, step
from synchrojax.distributions import checked_spectrum

_GRID = ("gamma", "N")


def spectrawise(function: Callable, model: Any, params: Any, *, inline: bool) -> Any:
    """``function(model, values)`` as ``core.pointwise`` has it, for points with a row of N each.

    In ``values`` "gamma" [K] is for all points, "N" [rows, K] holds the rows and "row" says which
    of them is each point's. n_e may be left out.
    """
    values, dtype, shape = broadcast(params, model.inputs, {"n_e": math.nan}, apart=_GRID)
    if "n_e" not in params:
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
        return function(model, _arranged(values, gamma, n, dtype, shape))
    traced = is_traced([*values.values(), gamma, n])
    size = 0 if traced or not all(isinstance(k, int) for k in shape) else math.prod(shape)
    if not 0 < size <= 4096:
        return _program(function, model, dtype, shape)(values, gamma, n)
    # concrete and few: filled up to one of a few sizes
    count = np.shape(n)[-1]
    filled = step(size)
    points = {
        k: _filled(np.broadcast_to(np.asarray(v, dtype), shape), filled) for k, v in values.items()
    }
    rows = np.asarray(n, dtype).reshape(-1, count)
    which = np.broadcast_to(np.arange(len(rows)).reshape(np.shape(n)[:-1]), shape)
    points["row"] = _filled(which, filled)
    rows = np.concatenate([rows, np.broadcast_to(rows[-1:], (step(len(rows)) - len(rows), count))])
    found = _flat_program(function, model)(points | {"gamma": np.asarray(gamma, dtype), "N": rows})
    return jax.tree.map(lambda v: jax.device_put(np.asarray(v)[:size].reshape(shape)), found)


def _filled(values: Any, size: int) -> Any:
    flat = values.reshape(-1)
    return np.concatenate([flat, np.broadcast_to(flat[-1:], (size - len(flat),))])


def _arranged(
    values: Mapping[str, Numbers], gamma: Numbers, n: Numbers, dtype: np.dtype, shape: Shape
) -> dict[str, Any]:
    rows = jnp.asarray(n, dtype).reshape(-1, np.shape(n)[-1])
    which = jnp.arange(rows.shape[0]).reshape(np.shape(n)[:-1])
    points = {k: jnp.broadcast_to(jnp.asarray(v, dtype), shape) for k, v in values.items()}
    return {
        **points,
        "row": jnp.broadcast_to(which, shape),
        "gamma": jnp.asarray(gamma, dtype),
        "N": rows,
    }


@functools.lru_cache(maxsize=256)
def _program(function: Callable, model: Hashable, dtype: np.dtype, shape: Shape) -> Callable:
    return jax.jit(
        lambda values, gamma, n: function(model, _arranged(values, gamma, n, dtype, shape))
    )


@functools.lru_cache(maxsize=256)
def _flat_program(function: Callable, model: Hashable) -> Callable:
    return jax.jit(lambda values: function(model, values))
