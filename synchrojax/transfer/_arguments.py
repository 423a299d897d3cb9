"""Arguments of the transfer as users give them, checked."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from synchrojax.core import (
    Coefficients,
    Numbers,
    Shape,
    SkyCoefficients,
    broadcast_shapes,
    in_dtype,
    is_traced,
    reals,
    unit_of_coefficient,
)

_INTENSITY_UNIT = "erg s^-1 cm^-2 Hz^-1 sr^-1"
_LIGHT = ("I", "Q", "U", "V")


class Given(NamedTuple):
    """Arguments of ``solve`` as arrays that broadcast.

    Fields of c, ds, psi (if any) and g [..., cells]; background.
    """

    kind: Any  # Coefficients or SkyCoefficients
    values: dict[str, Numbers]
    light: dict[str, Numbers]
    dtype: Any
    rays: Shape
    cells: Any  # a number, or a symbol in an export
    known: bool  # nothing is traced


def refuse(name: str, array: Any, broken: Any, what: str) -> None:
    if np.any(broken):
        where = tuple(int(i) for i in np.argwhere(broken)[0])
        raise ValueError(
            f"transfer: {name}{list(where) if where else ''} = {np.asarray(array)[where]}: {what}"
        )


def unit_of_argument(name: str) -> str:
    """The unit in which an argument is wanted."""
    own = {"ds": "cm", "psi": "rad", "g": ""}
    if name.startswith("c."):
        return unit_of_coefficient(name[2:])
    return own.get(name, _INTENSITY_UNIT)


def within_range(value: Numbers, dtype: Any) -> Numbers:
    """A finite number stays finite in ``dtype``: one beyond its range ends at its largest."""
    if is_traced([value]) or not isinstance(value, np.ndarray):
        return value
    largest = float(jnp.finfo(dtype).max)
    return np.where(np.isfinite(value), np.clip(value, -largest, largest), value)


def require_bool(along: Any) -> None:
    """Raise ValueError for ``along`` that is neither True nor False."""
    if not isinstance(along, bool | np.bool_):
        raise ValueError(
            "transfer: along must be True, for the result after every cell, or False, for the "
            f"last alone, got {along!r}"
        )


def _kind_of(c: Any, psi: Any) -> Any:
    """The class of ``c``, which decides whether there is a ``psi``."""
    kinds: dict = {k._fields: k for k in (Coefficients, SkyCoefficients)}
    kind = kinds.get(getattr(c, "_fields", None))
    if kind is None:
        raise ValueError(
            "transfer: needs Coefficients or LogCoefficients with psi, or SkyCoefficients "
            f"(synchrojax.rotate), got {type(c).__name__}"
        )
    if (kind is SkyCoefficients) == (psi is not None):
        hint = (
            "SkyCoefficients are in a basis on the sky: leave psi out"
            if psi is not None
            else "Coefficients need psi [rad]"
        )
        raise ValueError(f"transfer: {hint}")
    return kind


def entering(background: Any) -> dict[str, Any]:
    """The light behind the cells, by name; nothing for None."""
    if background is None:
        return {}
    try:
        return {f"background.{n}": v for n, v in zip(_LIGHT, background, strict=True)}
    except (TypeError, ValueError):
        raise ValueError(
            "transfer: background must be the four Stokes parameters I, Q, U, V"
        ) from None


def _shapes(values: Mapping[str, Numbers], light: Iterable[str]) -> tuple[Shape, Any]:
    """(Shape of the rays, cells along each); ``light``: names of what has no cells."""
    try:
        shape = broadcast_shapes([v.shape for n, v in values.items() if n not in light])
        rays = broadcast_shapes([shape[:-1], *(values[n].shape for n in light)])
    except ValueError:
        shapes = ", ".join(f"{n} {values[n].shape}" for n in values if values[n].shape)
        raise ValueError(
            f"transfer: shapes do not fit (rays..., cells; background rays...): {shapes}"
        ) from None
    if not shape:
        raise ValueError("transfer: the last axis counts the cells of a ray; got numbers only")
    if not values["ds"].shape and shape[-1] != 1:
        raise ValueError(
            f"transfer: ds is one length, but the last axis of the other arguments, {shape[-1]} "
            "long, counts the cells along a ray. For that many separate rays of one cell each, a "
            "spectrum say, give every coefficient and psi one more axis, "
            "c = jax.tree.map(lambda x: x[..., None], c), or the params before; for cells of equal "
            "length give an array of them"
        )
    return rays, shape[-1]


def _require_physical(values: Mapping[str, Numbers]) -> None:
    """Raise ValueError for concrete numbers that no ray has."""
    for n, v in values.items():
        refuse(n, v, ~np.isfinite(v), "not finite")
    ds, g = values["ds"], values["g"]
    refuse("ds", ds, np.asarray(ds) < 0.0, "path lengths of cells must not be negative")
    refuse("g", g, np.asarray(g) <= 0.0, "the frequency ratio must be positive")


def read_arguments(c: Any, ds: Any, psi: Any, g: Any, background: Any) -> Given:
    """The arguments, checked."""
    kind, light = _kind_of(c, psi), entering(background)
    named = {f"c.{n}": v for n, v in zip(c._fields, c, strict=True)} | {"ds": ds}
    named |= {} if psi is None else {"psi": psi}
    named |= {"g": 1.0 if g is None else g}
    values, dtype = reals(named | light, lambda n: f"transfer: {n}", unit_of_argument)
    values["ds"] = within_range(values["ds"], dtype)
    rays, cells = _shapes(values, light)
    known = not is_traced(values.values())
    if known:
        _require_physical(values)
    values = in_dtype(values, dtype)
    along, behind = ({n: values[n] for n in group} for group in (named, light))
    return Given(kind, along, behind, dtype, rays, cells, known)
