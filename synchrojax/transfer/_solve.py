"""Polarized transfer along rays, as users call it."""

import functools
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import export
from jaxtyping import Array, Float

from synchrojax.core import (
    STEPS,
    Arrays,
    Numbers,
    broadcast_shapes,
    field_by_field,
    is_traced,
    own_settings,
    reals,
    step,
)
from synchrojax.transfer._arguments import (
    Given,
    read_arguments,
    refuse,
    require_bool,
    unit_of_argument,
    within_range,
)
from synchrojax.transfer._arithmetic import Values
from synchrojax.transfer._integrate import Cells, ways
from synchrojax.transfer._logarithms import in_units_of_rays, is_logarithmic, times_lengths

METHODS = ("scan", "associative")


@field_by_field
class Stokes(NamedTuple):
    """Specific intensities [erg s^-1 cm^-2 Hz^-1 sr^-1], or whatever j ds has; V is IAU/IEEE.

    Sums and products with numbers are field by field, as those of ``Coefficients``.
    """

    I: Float[Array, "..."]
    Q: Float[Array, "..."]
    U: Float[Array, "..."]
    V: Float[Array, "..."]


@field_by_field
class Depths(NamedTuple):
    """Integrals along the ray: alpha_I ds, rho_V ds and |rho_Q + i rho_U| ds.

    That of rho_V is twice the angle by which Q, U turn.
    """

    absorption: Float[Array, "..."]
    rotation: Float[Array, "..."]
    conversion: Float[Array, "..."]


for _kind in (Stokes, Depths):
    export.register_namedtuple_serialization(
        _kind, serialized_name=f"synchrojax.transfer.{_kind.__name__}"
    )


@own_settings
def solve(
    c: Any,
    ds: Any,
    *,
    psi: Any = None,
    g: Any = None,
    background: Any = None,
    method: str = "scan",
    along: Any = False,
) -> Stokes:
    """Stokes parameters where the rays leave the last of their cells.

    ``c``: ``SkyCoefficients``, or ``Coefficients`` together with ``psi`` [rad] (see
    ``synchrojax.rotate``), or with it ``LogCoefficients`` (``model.log_coefficients``), for cells
    whose coefficients are smaller or larger than float32 holds. All are [..., cells], constant
    within a cell, the cell farthest from the observer first. ``ds`` [cm]: lengths of the cells, >=
    0 (``lengths`` makes them from positions); one number is a length only where there is one cell.
    Everything broadcasts. A spectrum of a slab is many rays of one cell each: ``params`` with one
    more axis, ``nu[..., None]``. ``g``: nu_observed / nu_fluid per cell, redshift and Doppler shift
    together. ``c`` then is in the frame of the fluid at nu / g, ``ds`` in the observer's frame (in
    curved space: the affine parameter that makes the energy of a photon 1 at the observer), and the
    result is I = g^3 I' at nu.
    ``background``: I, Q, U, V that enter the first cell, each broadcasting over the rays (default:
    dark); also light that is none by itself, such as (0, 1, 0, 0) for a column of the Mueller
    matrix, since what leaves is linear in it. ``method``: ``"scan"`` goes cell by cell;
    ``"associative"`` composes 4 x 4 matrices in a tree, for long rays on accelerators. ``along``:
    the result after every cell [..., cells] instead of after the last.

    Exact for constant coefficients: the error of a cell is below 1e-12 (float64) or 1e-4 (float32,
    |rho| ds <= 1e3) of I, and values and derivatives are finite, for alpha ds and |rho| ds from 0
    to 1e12 (float32: 1e8); beyond |rho| ds = 1e3 float32 no longer knows the phase of the rotation.
    Light with I^2 >= Q^2 + U^2 + V^2 stays so, if alpha_I >= |alpha_QUV| and j_I >= |j_QUV|. In
    float32 derivatives of light fainter than 1e-20 lose digits to underflow where alpha ds > 1e3.
    The associative method rounds each matrix, so that light that it dims by many orders of
    magnitude may lose its last digits. With coefficients at the middles of cells, rays converge to
    second order.

    ValueError for shapes, units and masks that do not fit and, for concrete input, for values that
    are not finite, negative lengths and g <= 0; under jit these give NaN in the rays that hold
    them. Reverse-mode derivatives of a scan keep the light between stretches of cells, not every
    step.
    """
    if method not in METHODS:
        raise ValueError(f"transfer: unknown method {method!r}; available: {', '.join(METHODS)}")
    require_bool(along)
    return _solve(c, ds, psi, g, background, method, along)


@own_settings
def sphere(c: Any, diameter: Any, *, psi: Any = None, g: Any = None) -> Stokes:
    """Mean Stokes parameters over the face of uniform spheres, whose field is uniform, too.

    ``c``, ``psi`` and ``g`` as in ``solve``, without the axis of cells; ``diameter`` [cm], >= 0.
    Everything broadcasts. The mean is int 2 mu S(mu diameter) dmu over 0 < mu < 1, mu the cosine of
    the angle between the sight line and the surface, in closed form: S solves dS/ds = j - K S, and
    exchanging the order of integration gives diameter int_0^1 (1 - h^2) exp(-K h diameter) j dh.
    Thick, thin or Faraday-thick, to 2e-11 of I (float32: 5e-5 up to |rho| diameter = 200;
    ``tests/transfer/test_faces.py``). Raises ValueError as ``solve`` does.
    """
    return _over_face("sphere", c, diameter, psi, g)


@own_settings
def cylinder(c: Any, diameter: Any, *, psi: Any = None, g: Any = None) -> Stokes:
    """Mean Stokes parameters across uniform cylinders, a slice of a jet say, seen from the side.

    Arguments and errors as in ``sphere``; ``diameter`` [cm]: of the cylinder along the line of
    sight, its diameter over the sine of the angle between them. The mean of S(mu diameter) over
    the width b of the face, mu = (1 - b^2)^1/2, or diameter int_0^1 (1 - h^2)^1/2 exp(-K h
    diameter) j dh.
    """
    return _over_face("cylinder", c, diameter, psi, g)


def _over_face(method: str, c: Any, diameter: Any, psi: Any, g: Any) -> Stokes:
    if getattr(c, "_fields", None) is None:
        return _solve(c, diameter, psi, g, None, method, False)  # which refuses it
    named = {f"c.{n}": v for n, v in zip(c._fields, c, strict=True)} | {"ds": diameter}
    named |= {n: v for n, v in (("psi", psi), ("g", g)) if v is not None}
    values, dtype = reals(
        named,
        lambda n: f"{method}: {'diameter' if n == 'ds' else n}",
        lambda n: "" if n.startswith("c.log") else unit_of_argument(n),
    )
    values = {n: within_range(v, dtype).astype(dtype)[..., None] for n, v in values.items()}
    cell = type(c)(*(values[f"c.{n}"] for n in c._fields))
    return _solve(cell, values["ds"], values.get("psi"), values.get("g"), None, method, False)


def _solve(c: Any, ds: Any, psi: Any, g: Any, background: Any, method: str, along: bool) -> Stokes:
    if is_logarithmic(c):
        c, ds, background, log_unit = in_units_of_rays(c, ds, background)
        light = _solve(c, ds, psi, g, background, method, along)
        # in two steps, since the unit alone may leave the range of the numbers
        unit = jnp.exp(0.5 * (log_unit if along else log_unit[..., 0]))
        return Stokes(*(x * unit * unit for x in light))
    given = read_arguments(c, ds, psi, g, background)
    if isinstance(given.cells, int) and given.cells == 0:
        return _without_cells(given, along)
    size = math.prod(given.rays) if given.known else 0
    if given.known and 0 < size * given.cells <= STEPS[-1]:
        found = _padded(given, size, method, along)
        if found is not None:
            return found
    return Stokes(*_solved(given.values, given.light, given.kind, given.dtype, method, along))


def _without_cells(given: Given, along: bool) -> Stokes:
    shape = (*given.rays, 0) if along else given.rays
    light = given.light.values() if given.light and not along else (0.0,) * 4
    return Stokes(*(jnp.broadcast_to(jnp.asarray(v, given.dtype), shape) for v in light))


def _padded(given: Given, size: int, method: str, along: bool) -> Stokes | None:
    """``solve`` of few concrete cells, or None.

    Filled up with empty cells and more rays to one of a few sizes.
    """
    cells, rays, names = step(given.cells), step(size), list(given.values)
    table = np.zeros((len(names), cells, rays), given.dtype)
    table[names.index("g")] = 1.0
    full = (*given.rays, given.cells)
    for part, value in zip(table, given.values.values(), strict=True):
        part[: given.cells, :size] = (
            np.broadcast_to(np.asarray(value), full).reshape(size, given.cells).T
        )
    start = None
    if given.light:
        start = np.zeros((4, rays), given.dtype)
        for row, value in zip(start, given.light.values(), strict=True):
            row[:size] = np.broadcast_to(np.asarray(value), given.rays).reshape(-1)
    found = _table_solved(table, start, given.kind, method, along)
    if is_traced([found]):  # known values in someone's jit
        return None
    found = np.asarray(found)
    if along:
        found = np.moveaxis(found[:, : given.cells, :size], 1, -1).reshape(4, *full)
    else:
        found = found[:, :size].reshape(4, *given.rays)
    return Stokes(*jax.device_put(list(found)))


@functools.partial(jax.jit, static_argnames=("kind", "method", "along"))
def _table_solved(
    table: Float[Arrays, "arguments cells rays"],
    start: Float[Arrays, "4 rays"] | None,
    kind: Any,
    method: str,
    along: bool,
) -> Float[Array, "4 ..."]:
    """For one array [argument, cells, rays] and the background [4, rays], if any; one array."""
    count = len(kind._fields)
    ds, *psi, g = table[count:]
    cells = kind(*table[:count]), ds, (psi[0] if psi else None), g
    entering = None if start is None else tuple(start)
    return jnp.stack(ways(entering, cells, method, along))


@functools.partial(jax.jit, static_argnames=("kind", "dtype", "method", "along"))
def _solved(
    values: Mapping[str, Numbers],
    light: Mapping[str, Numbers],
    kind: Any,
    dtype: Any,
    method: str,
    along: bool,
) -> tuple[Float[Arrays, "..."], ...]:
    cells, start = _arranged(values, light, kind, dtype)
    found = ways(start, cells, method, along)
    return tuple(jnp.moveaxis(x, 0, -1) for x in found) if along else found


def _arranged(
    values: Mapping[str, Numbers], light: Mapping[str, Numbers], kind: Any, dtype: Any
) -> tuple[Cells, tuple[Values, ...] | None]:
    """(coefficients, ds, psi, g) [cells, rays...] and background [rays...], all in one dtype."""
    shape = broadcast_shapes([v.shape for v in values.values()])
    rays = broadcast_shapes([shape[:-1], *(v.shape for v in light.values())])
    full = (*rays, shape[-1])
    moved = {
        n: jnp.moveaxis(jnp.broadcast_to(jnp.asarray(v, dtype), full), -1, 0)
        for n, v in values.items()
    }
    start = tuple(jnp.broadcast_to(jnp.asarray(v, dtype), rays) for v in light.values())
    c = kind(*(moved[f"c.{n}"] for n in kind._fields))
    return (c, moved["ds"], moved.get("psi"), moved["g"]), start or None


@own_settings
def depths(
    c: Any,
    ds: Any,
    *,
    psi: Any = None,
    g: Any = None,
    along: Any = False,
) -> Depths:
    """Optical and Faraday ``Depths`` of rays; arguments as in ``solve``.

    ``along``: of what lies between the near end of every cell and the observer [..., cells].
    """
    require_bool(along)
    if is_logarithmic(c):
        c, ds = times_lengths(c, ds)
    given = read_arguments(c, ds, psi, g, None)
    return Depths(*_depths(given.values, given.kind, given.dtype, along))


@functools.partial(jax.jit, static_argnames=("kind", "dtype", "along"))
def _depths(
    values: Mapping[str, Numbers], kind: Any, dtype: Any, along: bool
) -> tuple[Float[Arrays, "..."], ...]:
    (c, ds, _, g), _ = _arranged(values, {}, kind, dtype)
    rho_u = getattr(c, "rho_U", jnp.zeros_like(c.rho_Q))
    size = jnp.maximum(jnp.abs(c.rho_Q), jnp.abs(rho_u))
    safe = jnp.where(size > 0.0, size, 1.0)
    conversion = jnp.where(size > 0.0, safe * jnp.hypot(c.rho_Q / safe, rho_u / safe), 0.0)
    found = []
    for rate in (c.alpha_I, c.rho_V, conversion):
        piece = rate * (ds / g)
        behind = jnp.cumsum(piece[::-1], 0)[::-1] - piece
        found.append(jnp.moveaxis(behind, 0, -1) if along else jnp.sum(piece, 0))
    return tuple(found)


@own_settings
def lengths(positions: Any) -> Float[Array, "*rays cells"]:
    """Lengths of cells [..., cells] between ``positions`` [..., cells + 1] [cm].

    Positions grow towards the observer. ValueError for concrete positions that are not finite or
    not sorted.
    """
    values, dtype = reals({"positions": positions}, lambda n: f"transfer: {n}", lambda n: "cm")
    positions = values["positions"]
    if positions.ndim == 0 or positions.shape[-1] < 2:
        raise ValueError("transfer: positions need a last axis of at least two")
    if is_traced([positions]):
        return jnp.diff(positions.astype(dtype), axis=-1)
    refuse("positions", positions, ~np.isfinite(positions), "not finite")
    ds = np.diff(np.asarray(within_range(positions, dtype), dtype), axis=-1)
    refuse(
        "positions", positions, np.pad(ds < 0.0, [*[(0, 0)] * (ds.ndim - 1), (0, 1)]), "not sorted"
    )
    return jax.device_put(ds)
