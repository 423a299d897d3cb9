"""Pointwise functions outside jit: one compiled program for many sizes instead of one for every operation."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from synchrojax.core._inputs import broadcast_shapes, is_traced

STEPS = (128, 1024, 4096)  # sizes up to the last are filled up to one of these, so that there are few to compile


def step(size, steps=STEPS):
    """The size to which ``size`` points are filled up: 1 and more than the last step stay what they are."""
    return next((n for n in steps if n >= size), size) if size > 1 else size


def _broadcast(values, dtype):
    shape = broadcast_shapes([v.shape for v in values])
    return [jnp.broadcast_to(jnp.asarray(v, dtype), shape) for v in values]


@functools.lru_cache(maxsize=256)
def _program(function, subject, dtype):
    """``function(subject, *values)`` compiled, values of any shapes that broadcast."""
    return jax.jit(lambda values: tuple(function(subject, *_broadcast(values, dtype))))


@functools.lru_cache(maxsize=256)
def _packed(function, subject, stack):
    """The same for one array [value, ...]: one transfer there and, with ``stack``, one back."""

    def run(columns):
        found = tuple(function(subject, *columns))
        return jnp.stack(found) if stack else found

    return jax.jit(run)


def _elsewhere(values):
    """True where an array lies on several devices or another than the usual one, and should stay there."""
    for v in values:
        if isinstance(v, jax.Array) and (len(v.devices()) > 1 or v.committed or jax.default_backend() != "cpu"):
            return True
    return False


def pack(values, dtype, shape, steps=STEPS):
    """NumPy [value, point] of values broadcast to ``shape``, filled up with their last point."""
    size = math.prod(shape)
    columns = np.empty((len(values), step(size, steps)), dtype)
    for row, value in zip(columns, values, strict=True):
        row[:size].reshape(shape)[...] = value
        row[size:] = row[size - 1]
    return columns


def pointwise(function, subject, values, dtype, shape, *, host=False, steps=STEPS):
    """``function(subject, *columns)``, a tuple of arrays, for ``values`` broadcast to ``shape`` and cast to ``dtype``.

    ``function``: of arrays of one shape, each point by itself, whose results have one dtype; it and ``subject``
    (hashable) name the compiled program. Concrete values of few points are filled up to a few sizes (``steps``). Traced
    values, and a ``subject`` that holds some, are part of the caller's program. ``host``: NumPy arrays of concrete
    values.
    """
    if getattr(subject, "is_traced", False):
        return tuple(function(subject, *_broadcast(values, dtype)))
    whole = _program(function, subject, dtype)
    size = 0 if is_traced(values) else math.prod(shape)
    if not 0 < size <= STEPS[-1] or _elsewhere(values):
        found = whole([v if isinstance(v, jax.Array) else v.astype(dtype) for v in values])
        return tuple(np.asarray(v) for v in found) if host and not is_traced(found) else found
    columns = pack(values, dtype, shape, steps)
    found = _packed(function, subject, size > 1)(columns if size > 1 else columns.reshape(-1, *shape))
    if is_traced([found] if size > 1 else found):  # known values in someone's jit
        return whole(values)
    if size > 1:
        found = [row[:size].reshape(shape) for row in np.asarray(found)]
        return tuple(found if host else jax.device_put(found))
    return tuple(np.asarray(v) for v in found) if host else found
