"""Cells one after the other, or composed in a tree."""

import functools
import math
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from synchrojax.core import (
    Arrays,
    Coefficients,
    Masks,
    SkyCoefficients,
    kept,
    reciprocal,
    turned,
)
from synchrojax.transfer._arithmetic import Values, Vector, unit_of, unpolarized
from synchrojax.transfer._cell import cell_functions
from synchrojax.transfer._means import CELL, CYLINDER, SPHERE, Mean

# coefficients, ds, psi or None, g
Cells: TypeAlias = tuple[Coefficients | SkyCoefficients, Values, Values | None, Values]
Light: TypeAlias = tuple[Float[Arrays, "..."], ...]
_Part: TypeAlias = tuple[Float[Array, "cells 4 4 ..."], Float[Array, "cells 4 ..."]]


def _operators(cell: Cells, weight: Mean = CELL) -> tuple[Any, Light]:
    """What cells do to light, and the light that they add.

    ``weight``: of what lies deeper and deeper in them.
    """
    c, ds, psi, g = cell
    # Lorentz invariants: I / nu^3, j / nu^2, alpha nu, and ds / nu along the ray
    ds = jnp.where((ds >= 0.0) & (g > 0.0), ds, jnp.nan)
    c = kept(c)
    sky = c if psi is None else kept(turned(c, psi))
    through, mean, depth = cell_functions(c, sky, ds / g, weight)
    own = c[: 4 if psi is None else 3]
    # dividing by less, derivatives would leave the range of the numbers
    unit = unit_of(own, 0.75)
    over = reciprocal(unit)
    added = mean(tuple(j * over for j in sky[:4]), kept(unpolarized([j * over for j in own])))
    # what is left of a thick cell first, since the rest alone may leave the range of the numbers
    return through, tuple((depth * x) * (unit * g * g * g) for x in added)


def _step(stokes: Light, cell: Any) -> tuple[Light, Light]:
    through, added = cell
    unit = unit_of(stokes, 0.75)
    over = reciprocal(unit)
    light = tuple(x * over for x in stokes)
    passed = through(light, unpolarized(light))
    stokes = tuple(unit * x + y for x, y in zip(passed, added, strict=True))
    return stokes, stokes


_LANES = 4096  # cells whose functions are evaluated together


def _scanned(start: Light | None, cells: Cells, along: bool) -> Light:
    """Cell after cell; what does not depend on the light is evaluated for several of them at once.

    Reverse mode keeps the light between such parts and goes through each again.
    """
    ds = cells[1]
    if ds.shape[0] == 1:
        cell = _operators(jax.tree.map(lambda x: x[0], cells))
        last = cell[1] if start is None else _step(start, cell)[0]
        return tuple(x[None] for x in last) if along else last
    start = start or (jnp.zeros_like(ds[0]),) * 4
    count, size = ds.shape[0], math.prod(start[0].shape)
    if not (isinstance(count, int) and isinstance(size, int)):  # symbols in an export
        last, every = jax.lax.scan(
            lambda stokes, cell: _step(stokes, _operators(cell)), start, cells
        )
        return every if along else last
    length = min(count, max(1, _LANES // max(1, size)))
    if length == count:
        last, every = jax.lax.scan(_step, start, _operators(cells))
        return every if along else last
    parts = -(-count // length)

    def cut(value: Float[Arrays, "cells ..."]) -> Float[Array, "parts length ..."]:
        # empty cells at the end change nothing
        value = jnp.pad(value, [(0, parts * length - count), *[(0, 0)] * (value.ndim - 1)])
        return value.reshape(parts, length, *value.shape[1:])

    c, ds, psi, g = jax.tree.map(cut, cells)
    g = jnp.where(g == 0.0, 1.0, g) if parts * length > count else g

    @jax.checkpoint
    def body(stokes: Light, part: Cells) -> tuple[Light, Light | None]:
        after, every = jax.lax.scan(_step, stokes, _operators(part))
        return after, (every if along else None)

    last, every = jax.lax.scan(body, start, (c, ds, psi, g))
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[:count], every) if along else last


def _composed(first: _Part, second: _Part) -> Any:
    """Two parts of a ray as one: matrices [cells, 4, 4, ...] and light [cells, 4, ...]."""
    (matrix, light), (later, later_light) = first, second
    # sums of products, since a library call for every 4 x 4 block costs more than the block
    both = sum(later[:, :, k, None] * matrix[:, None, k] for k in range(4))
    return both, sum(later[:, :, k] * light[:, k, None] for k in range(4)) + later_light


def _physical(v: Vector) -> Masks:
    """Whether I >= |P|, up to rounding."""
    unit = unit_of(v, 0.75)
    return (v[0] >= 0.0) & (unpolarized([x / unit for x in v]) >= 0.0)


def _bounded(stokes: Light, physical: Masks) -> Light:
    """``stokes`` without what rounding of matrices adds to |P| beyond I.

    Only where the light is ``physical``.
    """
    i, q, u, v = (jax.lax.stop_gradient(x) for x in stokes)
    i, negative = jnp.maximum(i, 0.0), jnp.minimum(i, 0.0)
    size = jnp.maximum(jnp.hypot(jnp.hypot(q, u), v), i)
    share = jnp.where(physical & (size > 0.0), i / jnp.where(size > 0.0, size, 1.0), 1.0)
    return (stokes[0] - jnp.where(physical, negative, 0.0), *(share * x for x in stokes[1:]))


def _associative(start: Light | None, cells: Cells, along: bool) -> Light:
    """Every cell as a matrix, composed in a tree."""
    start = start or (jnp.zeros_like(cells[1][0]),) * 4
    through, light = _operators(cells)
    unit = tuple(
        jnp.broadcast_to(row.reshape(4, *([1] * light[0].ndim)), (4, *light[0].shape))
        for row in jnp.eye(4)
    )
    excess = jnp.array([1.0, -1.0, -1.0, -1.0], light[0].dtype)
    columns = jax.vmap(through)(tuple(row.astype(light[0].dtype) for row in unit), excess)
    ray = (jnp.moveaxis(jnp.stack(columns), 2, 0), jnp.stack(light, 1))
    if along:
        ray = jax.lax.associative_scan(_composed, ray)
    else:
        while (count := ray[0].shape[0]) > 1:
            joined = _composed(
                *(jax.tree.map(lambda x, k=k: x[k : count - count % 2 : 2], ray) for k in (0, 1))
            )
            ray = jax.tree.map(
                lambda x, y: jnp.concatenate([x, y[count - count % 2 :]]), joined, ray
            )
        ray = jax.tree.map(lambda x: x[0], ray)
    matrix, light = ray
    wide = [jnp.expand_dims(v, range(matrix.ndim - 1 - v.ndim)) for v in start]
    passed = sum(matrix[..., :, k, *[slice(None)] * start[k].ndim] * wide[k] for k in range(4))
    c = cells[0]
    kinds = ([getattr(c, n) for n in c._fields if n.startswith(k)] for k in ("j", "alpha"))
    physical = functools.reduce(jnp.logical_and, map(_physical, kinds))
    entered = _physical(start)
    if along:
        physical, entered = jax.lax.cummin(jnp.asarray(physical, np.int8)) > 0, entered[None]
    else:
        physical = jnp.all(physical, 0)
    return _bounded(tuple(jnp.moveaxis(passed + light, -1 - start[0].ndim, 0)), physical & entered)


_FACES = {"sphere": SPHERE, "cylinder": CYLINDER}


def ways(start: Light | None, cells: Cells, method: str, along: bool) -> Light:
    """Stokes parameters after the last cell, or ``along`` after each, with the cells first.

    ``cells``: [cells, rays...]; ``start``: the light that enters [rays...], or None for none. The
    methods "sphere" and "cylinder" take one cell, their middle, for the mean over their face.
    """
    if method in _FACES:
        return _operators(jax.tree.map(lambda x: x[0], cells), _FACES[method])[1]
    return (_associative if method == "associative" else _scanned)(start, cells, along)
