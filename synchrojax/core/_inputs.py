"""Numbers as users hold them, with units, masks or labels, and the plain arrays they become."""

import contextlib
import decimal
import functools
import numbers
import pathlib
import sys
import types
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Shaped

from synchrojax.core._types import Arrays, Numbers, Shape

_SHOWN = 120  # characters of a value in a message
ANY_UNIT = "any unit"  # of values that count in proportion to each other


class UnitError(ValueError):
    """A value whose unit does not fit; the message names both units."""


def is_traced(values: Iterable) -> bool:
    return any(isinstance(v, jax.core.Tracer) for v in values)


def _shown(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


# Units -----------------------------------------------------------------------------------------


def _unit_of(value: Any) -> Any:
    """What a value says its unit is, or None.

    Astropy and unxt have ``unit``, unyt, pint and xarray ``units``.
    """
    for name in ("unit", "units"):
        unit = getattr(value, name, None)
        if unit is not None and not isinstance(unit, types.MethodType):
            return unit
    return None


def _without_unit(value: Any, what: str, unit: str) -> Any:
    """The number of a value that carries a unit, in ``unit``. Raises UnitError."""
    own = _unit_of(value)
    if own is None:
        return value
    if unit == ANY_UNIT:
        unit = own
    takes = unit or "no unit: it is dimensionless"
    if isinstance(own, str) and not hasattr(value, "to_value"):
        if own.replace("**", "").replace("^", "") == unit.replace("**", "").replace("^", ""):
            return getattr(value, "values", getattr(value, "data", value))
        raise UnitError(
            f"{what} carries the unit {own!r} and takes {takes}: convert it to a plain number first"
        )
    plain = getattr(value, "quantity", value)  # a column of an astropy table
    for name in ("to_value", "m_as"):
        convert = getattr(plain, name, None)
        if convert is None:
            continue
        try:
            return convert(unit)
        except Exception as error:
            raise UnitError(f"{what} is in {own} and takes {takes} ({error})") from None
    raise UnitError(
        f"{what} carries the unit {own} and takes {takes}: convert it to a plain number first"
    )


# Masks and labels ------------------------------------------------------------------------------


def _without_mask(value: Any, what: str) -> Any:
    """The data of a masked array that has no masked element. Raises ValueError."""
    mask = getattr(value, "mask", None)
    # pandas
    if type(getattr(getattr(value, "dtype", None), "na_value", None)).__name__ == "NAType":
        mask = np.asarray(value.isna())
        value = value if np.any(mask) else value.to_numpy()
    if mask is None or callable(mask) or not isinstance(mask, bool | np.bool_ | np.ndarray):
        return value
    if np.any(mask):
        count = int(np.count_nonzero(mask))
        raise ValueError(
            f"{what} has {count} masked element(s): leave them out, or fill them, with "
            ".filled(nan) say"
        )
    return getattr(value, "unmasked", np.ma.getdata(value))


def _labels(value: Any) -> tuple[tuple[Any, ...], dict[str, np.ndarray]] | None:
    """(names of the axes, {name: labels}) of an xarray or pandas object, or None."""
    if hasattr(value, "dims") and hasattr(value, "coords"):
        named = {n: np.asarray(value.coords[n]) for n in value.dims if n in value.coords}
        return tuple(map(str, value.dims)), {str(n): v for n, v in named.items()}
    if hasattr(value, "to_numpy") and hasattr(value, "index") and not callable(value.index):
        names = ("index", "columns")[: np.ndim(value)]
        return names, {n: np.asarray(getattr(value, n)) for n in names}
    return None


def check_labels(given: Mapping[str, Any], what: Callable[[str], str]) -> None:
    """Raise ValueError where labelled arrays would be paired by position against their labels.

    ``given``: {name: value}, ``what``: name -> what a message calls it. Axes are paired from the
    last one, as everywhere; so names and labels of axes that meet must be the same.
    """
    known = {n: found for n, v in given.items() if (found := _labels(v)) is not None and found[0]}
    if len(known) < 2:
        return
    longest = max(known, key=lambda n: len(known[n][0]))
    dims, coords = known[longest]
    for n, (own, labels) in known.items():
        if own != dims[len(dims) - len(own) :]:
            raise ValueError(
                f"{what(n)} has the axes {', '.join(own)} and {what(longest)} has "
                f"{', '.join(dims)}: arrays are paired "
                "by position from the last axis; broadcast them to the same axes first, with "
                "xarray.broadcast say"
            )
        for axis in own:
            both = axis in labels and axis in coords
            if both and not np.array_equal(labels[axis], coords[axis]):
                raise ValueError(
                    f"{what(n)} and {what(longest)} have other labels along {axis!r}: arrays are "
                    "paired by position; "
                    "align them first"
                )


# Forms -----------------------------------------------------------------------------------------


def _is_real(value: Any) -> bool:
    number = isinstance(value, numbers.Real | decimal.Decimal | np.number)
    return number and not isinstance(value, bool | complex | np.timedelta64)


def _is_numeric(dtype: Any) -> bool:
    """Whether JAX counts it among real numbers."""
    return jnp.issubdtype(dtype, jnp.floating) or jnp.issubdtype(dtype, jnp.integer)


def _array(value: Any) -> Shaped[Arrays, "..."] | None:
    """``value`` as a NumPy or JAX array of real numbers, or None."""
    if isinstance(value, jax.Array) or hasattr(value, "__jax_array__"):
        traced = value if isinstance(value, jax.Array) else jnp.asarray(value)
        return traced if _is_numeric(traced.dtype) else None
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):  # a list that holds tracers
        try:
            return _array(jnp.asarray(value))
        except (TypeError, ValueError):
            return None
    if array.dtype == object and array.size and all(map(_is_real, array.flat)):
        with contextlib.suppress(OverflowError):
            array = array.astype(float)  # fractions, decimals, whole numbers of any size
    if array.dtype.kind in "iuf":
        return array
    if array.dtype.kind in "mM":  # durations have units of their own
        return None
    if _is_numeric(array.dtype):
        return array.astype(np.float32)  # the short formats of ml_dtypes
    return None


def _numbers(value: Any, what: str, unit: str) -> tuple[Numbers, np.dtype | None]:
    """(array, the dtype that it insists on).

    The dtype is None for integers and for numbers of Python, which go along with others.
    """
    if type(value) is float:  # the usual one
        return np.asarray(value), None
    if isinstance(value, list | tuple) and any(_unit_of(v) is not None for v in value):
        each = [_numbers(v, what, unit)[0] for v in value]
        value = jnp.stack(each) if is_traced(each) else np.stack([np.asarray(v) for v in each])
    elif not isinstance(value, int | float | list | tuple | jax.Array):
        value = _without_mask(_without_unit(_without_mask(value, what), what, unit), what)
    array = _array(value)
    if array is None:
        raise ValueError(
            f"{what} must be real numbers{f' [{unit}]' if unit else ''}, got {_shown(value)}"
        )
    is_integer = not jnp.issubdtype(array.dtype, jnp.floating)
    if isinstance(array, np.ndarray):
        weak = is_integer or (isinstance(value, float) and not isinstance(value, np.generic))
        single = not is_integer and array.dtype.itemsize <= 4
        # half and extended precision, byte order
        array = array.astype(np.float32 if single else np.float64, copy=False)
    else:
        weak = is_integer or getattr(array, "weak_type", False)
    return array, None if weak else array.dtype


def real(value: Any, what: str, unit: str = "") -> Numbers:
    """``value`` as an array of real numbers: NumPy's (float32 or float64) or JAX's.

    ``what``: how messages call it, ``unit``: in which it is wanted ("": dimensionless). Raises
    ValueError for units that do not fit, masked elements and anything but real numbers.
    """
    return _numbers(value, what, unit)[0]


def number(value: Any, what: str, unit: str = "") -> float:
    """One real number as a float, read as by ``real``."""
    value = real(value, what, unit)
    if np.shape(value):
        raise ValueError(f"{what}: expected one number, got an array of shape {np.shape(value)}")
    return float(value)


def whole_number(value: Any, least: int, most: int = sys.maxsize) -> int:
    """``value``, a number of any type, as an integer.

    Raises TypeError for what is no real number, ValueError for one that is not whole or outside of
    ``least`` to ``most``.
    """
    one = np.asarray(value)[()]
    if not _is_real(one):
        raise TypeError(f"expected a whole number, got {value!r}")
    if not (least <= one <= most and one % 1 == 0):
        raise ValueError(f"expected a whole number from {least} to {most}, got {value!r}")
    return int(one)


def low_and_high(given: Any, what: str, unit: str = "") -> tuple[float, float]:
    """The two ends of a range, finite and in order. Raises ValueError."""
    ends = tuple(number(v, what, unit) for v in (given if np.iterable(given) else [given]))
    if len(ends) != 2 or not np.all(np.isfinite(ends)) or not ends[0] < ends[1]:
        raise ValueError(f"{what}: expected (low, high) with low < high, got {ends}")
    return ends


def is_finite_number(value: Any) -> bool:
    """True for an int or float, as JSON and TOML give them, that a float can hold."""
    known = isinstance(value, int | float) and not isinstance(value, bool)
    # integers of any size compare with a float; np.isfinite refuses those beyond 64 bits
    return known and abs(value) <= sys.float_info.max


def reals(
    given: Mapping[str, Any], what: Callable[[str], str], unit: Callable[[str], str]
) -> tuple[dict[str, Numbers], np.dtype]:
    """({name: array} of ``given``, the float dtype that they promote to).

    ``what``: name -> how messages call it, ``unit``: name -> the unit in which it is wanted. Half
    precision becomes float32: coefficients in CGS leave its range. Raises ValueError as ``real``
    does, and for labels that do not fit.
    """
    check_labels(given, what)
    found = {n: _numbers(v, what(n), unit(n)) for n, v in given.items()}
    widest = max((d.itemsize for _, d in found.values() if d is not None), default=8)
    dtype = jax.dtypes.canonicalize_dtype(np.float64 if widest > 4 else np.float32)
    return {n: array for n, (array, _) in found.items()}, dtype


def in_dtype(values: Mapping[str, Numbers], dtype: np.dtype) -> dict[str, Numbers]:
    """NumPy arrays in ``dtype``, as what is compiled inside someone's program has to be given them.

    JAX would keep float64 ones as they are, and refuse the program where float64 is switched on
    later. Its own arrays are left to the program.
    """
    with np.errstate(over="ignore"):
        return {
            n: v if isinstance(v, jax.Array) else np.asarray(v).astype(dtype)
            for n, v in values.items()
        }


def broadcast_shapes(shapes: Sequence[Shape]) -> Shape:
    """The common shape, sizes that are symbols included. Raises ValueError."""
    if all(isinstance(n, int) for shape in shapes for n in shape):
        return np.broadcast_shapes(*shapes)
    return jnp.broadcast_shapes(*shapes)


def warn_user(message: str) -> None:
    """Warn at the line outside this package that led here, however many functions lie between."""
    level, frame, here = 2, sys._getframe(1), str(pathlib.Path(__file__).parents[1])

    def inside(frame: types.FrameType) -> bool:
        # checks of types may be wrapped around any function
        package = frame.f_globals.get("__name__", "").partition(".")[0]
        return frame.f_code.co_filename.startswith(here) or package in ("jaxtyping", "beartype")

    while frame.f_back is not None and inside(frame):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)


# Settings of the caller ------------------------------------------------------------------------


def _setting(name: str) -> Any:
    """A setting of JAX, which its types do not declare."""
    return getattr(jax.config, f"jax_{name}")


def float64_is_on() -> bool:
    """Whether JAX computes in float64 where it is asked to."""
    return _setting("enable_x64")


_P = ParamSpec("_P")
_R = TypeVar("_R")
# tests refuse ranks that are promoted without a word
_OWN = {"numpy_dtype_promotion": "standard", "numpy_rank_promotion": "allow"}


def own_settings(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Run a function under JAX's usual rules of promotion, whatever its caller has set."""

    @functools.wraps(function)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        if all(_setting(name) == value for name, value in _OWN.items()):
            return function(*args, **kwargs)
        with (
            jax.numpy_dtype_promotion(_OWN["numpy_dtype_promotion"]),
            jax.numpy_rank_promotion(_OWN["numpy_rank_promotion"]),
        ):
            return function(*args, **kwargs)

    return wrapped
