"""Pointwise functions outside jit: one compiled program for many sizes."""

import functools
import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from synchrojax.core._inputs import broadcast_shapes, in_dtype, is_traced
from synchrojax.core._types import Arrays, Numbers, Shape

# sizes up to the last are filled up to one of these, so that there are few to compile
STEPS = (128, 1024, 4096)


def step(size: int, steps: Sequence[int] = STEPS) -> int:
    """The size to which ``size`` points are filled up; 1 and more than the last step stay."""
    return next((n for n in steps if n >= size), size) if size > 1 else size


def _broadcast(
    values: Mapping[str, Numbers], dtype: np.dtype
) -> dict[str, Float[Array, "*points"]]:
    shape = broadcast_shapes([v.shape for v in values.values()])
    return {n: jnp.broadcast_to(jnp.asarray(v, dtype), shape) for n, v in values.items()}


@functools.lru_cache(maxsize=256)
def _program(function: Callable, subject: Hashable, dtype: np.dtype) -> Callable:
    """``function(subject, values)`` compiled, values {name: array} of any shapes that broadcast."""
    return jax.jit(lambda values: function(subject, _broadcast(values, dtype)))


@functools.lru_cache(maxsize=256)
def _packed(function: Callable, subject: Hashable, names: tuple[str, ...]) -> Callable:
    """The same for one array [value, ...]: one transfer there."""

    def program(columns: Float[Arrays, "values *points"]) -> Any:
        # arrays even without jit
        return function(subject, dict(zip(names, jnp.asarray(columns), strict=True)))

    return jax.jit(program)


def elsewhere(values: Iterable[Numbers]) -> bool:
    """True where an array lies on several devices or not on the usual one, to stay there."""
    for v in values:
        if isinstance(v, jax.Array) and (
            len(v.devices()) > 1 or v.committed or jax.default_backend() != "cpu"
        ):
            return True
    return False


def pack(
    values: Sequence[Numbers],
    dtype: np.dtype,
    shape: Shape,
    steps: Sequence[int] = STEPS,
) -> Float[np.ndarray, "values points"]:
    """NumPy [value, point] of values broadcast to ``shape``, filled up with their last point."""
    size = math.prod(shape)
    columns = np.empty((len(values), step(size, steps)), dtype)
    for row, value in zip(columns, values, strict=True):
        row[:size].reshape(shape)[...] = value
        row[size:] = row[size - 1]
    return columns


def pointwise(
    function: Callable,
    subject: Any,
    values: Mapping[str, Numbers],
    dtype: np.dtype,
    shape: Shape,
    *,
    inline: bool = False,
    host: bool = False,
    steps: Sequence[int] = STEPS,
) -> Any:
    """``function(subject, values)``, values {name: array} broadcast to ``shape``, in ``dtype``.

    ``function``: from arrays of one shape to a tuple of them, each point by itself; it and
    ``subject`` (hashable) name the compiled program. Concrete values of few points are filled up to
    a few sizes (``steps``). Traced values are part of the caller's program; so is a ``subject``
    that holds some, which ``inline`` tells. ``host``: NumPy arrays of concrete values.
    """
    if inline:
        return function(subject, _broadcast(values, dtype))
    given = list(values.values())
    program = _program(function, subject, dtype)
    size = 0 if is_traced(given) else math.prod(shape)
    if not 0 < size <= STEPS[-1] or elsewhere(given):
        found = program(in_dtype(values, dtype))
        return jax.tree.map(np.asarray, found) if host and not is_traced(found) else found
    columns = pack(given, dtype, shape, steps)
    found = _packed(function, subject, tuple(values))(
        columns if size > 1 else columns.reshape(-1, *shape)
    )
    if is_traced(found):  # known values in someone's jit
        return program(values)
    if size > 1:
        found = jax.tree.map(lambda row: np.asarray(row)[:size].reshape(shape), found)
        return found if host else jax.device_put(found)
    return jax.tree.map(np.asarray, found) if host else found
