"""The transfer coefficients as one value, in the basis of B and in one fixed on the sky."""

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, NoReturn

import jax
import jax.numpy as jnp
from jax import export
from jaxtyping import Array

from synchrojax.core._inputs import is_traced, own_settings, real
from synchrojax.core._types import Points

EMISSION_UNIT, LENGTH_UNIT = "erg s^-1 cm^-3 Hz^-1 sr^-1", "cm^-1"


def unit_of_coefficient(name: str) -> str:
    """The unit of j_S, or of alpha_S and rho_S."""
    return EMISSION_UNIT if name.startswith("j") else LENGTH_UNIT


@functools.lru_cache
def _each(operation: Callable) -> Callable:
    def one(a: Any, b: Any) -> Array:
        # ranks of the user's arrays may differ
        return operation(*(jnp.broadcast_arrays(a, b) if jnp.ndim(a) and jnp.ndim(b) else (a, b)))

    return jax.jit(lambda x, y: tuple(one(a, b) for a, b in zip(x, y, strict=True)))


def _applied(operation: Callable, kind: type, x: Sequence[Any], y: Sequence[Any]) -> Any:
    """``operation`` on two sequences of arrays, field by field."""
    try:
        jnp.broadcast_shapes(*(jnp.shape(v) for v in (*x, *y)))
    except ValueError:
        shapes = f"{jnp.shape(x[0])} and {jnp.shape(y[0])}"
        raise ValueError(
            f"{kind.__name__}: shapes {shapes} do not broadcast against each other"
        ) from None
    return kind(*_each(operation)(tuple(x), tuple(y)))


def _refuse_as(written: str, kind: str) -> NoReturn:
    raise TypeError(
        f"{written}: only {kind} + {kind}, {kind} - {kind}, and products with and quotients by "
        "real numbers have a meaning"
    )


def _refuse(c: tuple, symbol: str, other: Any) -> NoReturn:
    kind = type(c).__name__
    _refuse_as(f"{kind} {symbol} {type(other).__name__}", kind)


def _refused(symbol: str) -> Callable:
    def method(self: tuple, other: Any, *_: Any) -> NoReturn:
        _refuse(self, symbol, other)

    return method


def _refused_from_the_right(symbol: str) -> Callable:
    def method(self: tuple, other: Any, *_: Any) -> NoReturn:
        kind = type(self).__name__
        _refuse_as(f"{type(other).__name__} {symbol} {kind}", kind)

    return method


def _refused_alone(form: str) -> Callable:
    def method(self: tuple) -> NoReturn:
        kind = type(self).__name__
        _refuse_as(form.format(kind), kind)

    return method


def _joined(operation: Callable, symbol: str) -> Callable:
    @own_settings
    def method(self: tuple, other: Any) -> Any:
        if type(other) is not type(self):
            _refuse(self, symbol, other)
        return _applied(operation, type(self), self, other)

    return method


def _scaled(operation: Callable, symbol: str) -> Callable:
    @own_settings
    def method(self: tuple, other: Any) -> Any:
        if isinstance(other, tuple | list | str | bytes | bool) or other is None:
            _refuse(self, symbol, other)
        try:
            factor: Any = real(other, "the factor")
        except ValueError as error:
            if hasattr(other, "unit") or hasattr(other, "units"):
                raise
            raise TypeError(
                f"{type(self).__name__} {symbol} {type(other).__name__}: {error}"
            ) from None
        if not is_traced([factor]) and not isinstance(factor, jax.Array):
            # a plain number goes along with the precision of the coefficients
            factor = float(factor) if factor.ndim == 0 else factor
        return _applied(operation, type(self), self, (factor,) * len(self))

    return method


def _total(self: Any, other: Any) -> Any:
    """``sum`` begins with 0."""
    if type(other) is int and other == 0:
        return self
    _refuse(self, "+", other)


_add, _subtract = _joined(operator.add, "+"), _joined(operator.sub, "-")
_multiply, _divide = _scaled(operator.mul, "*"), _scaled(operator.truediv, "/")


# what tuples would answer, or refuse without a reason: symbol -> name of the method
_BINARY = {
    **{"**": "pow", "//": "floordiv", "%": "mod", "@": "matmul", "divmod": "divmod"},
    **{"&": "and", "|": "or", "^": "xor", "<<": "lshift", ">>": "rshift"},
}
_ORDERING = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge"}
_UNARY = {"-{}": "neg", "+{}": "pos", "~{}": "invert", "abs({})": "abs"}
_REFUSED = {
    **{f"__{name}__": _refused(symbol) for symbol, name in {**_BINARY, **_ORDERING}.items()},
    **{
        f"__r{name}__": _refused_from_the_right(symbol)
        for symbol, name in {**_BINARY, "/": "truediv", "-": "sub"}.items()
    },
    **{f"__{name}__": _refused_alone(form) for form, name in _UNARY.items()},
}


def field_by_field(kind: Any) -> Any:
    """Give a NamedTuple of arrays sums, differences and multiples instead of those of tuples."""
    kind.__add__, kind.__radd__, kind.__sub__ = _add, _total, _subtract
    kind.__mul__, kind.__rmul__, kind.__truediv__ = _multiply, _multiply, _divide
    for name, method in _REFUSED.items():
        setattr(kind, name, method)
    kind.__array_ufunc__ = None  # NumPy leaves x * c to us
    kind.__pandas_priority__ = 10_000  # so does pandas
    return kind


@field_by_field
class Coefficients(NamedTuple):
    """Polarized transfer coefficients in the fluid frame, CGS.

    j_S [erg s^-1 cm^-3 Hz^-1 sr^-1]; alpha_S and rho_S [cm^-1]. Stokes Q is positive along the
    projection of B on the sky, V is IAU/IEEE; the transfer matrix is that of ``README.md``.

    Mixtures of electrons are sums: ``c1 + c2``, ``c1 - c2``, ``sum([...])``, ``x * c``, ``c * x``,
    ``c / x``, field by field. Anything else is a TypeError.
    """

    j_I: Points
    j_Q: Points
    j_V: Points
    alpha_I: Points
    alpha_Q: Points
    alpha_V: Points
    rho_Q: Points
    rho_V: Points


@field_by_field
class SkyCoefficients(NamedTuple):
    """The eleven coefficients in a basis fixed on the sky.

    Units, sums and multiples are as in ``Coefficients``.
    """

    j_I: Points
    j_Q: Points
    j_U: Points
    j_V: Points
    alpha_I: Points
    alpha_Q: Points
    alpha_U: Points
    alpha_V: Points
    rho_Q: Points
    rho_U: Points
    rho_V: Points


def _no_sums(kind: Any) -> Any:
    """Refuse what tuples would answer: logarithms have no sums and multiples of their own."""

    def refused(self: tuple, *_: Any) -> NoReturn:
        raise TypeError(
            f"{kind.__name__} are logarithms, which do not add up as coefficients do: add the "
            "Coefficients of `coefficients`"
        )

    arithmetic = (f"__{name}__" for name in ("add", "radd", "sub", "mul", "rmul", "truediv"))
    for name in (*arithmetic, *_REFUSED):
        setattr(kind, name, refused)
    kind.__array_ufunc__ = None
    return kind


@_no_sums
class LogCoefficients(NamedTuple):
    """The same as ``Coefficients`` where they may leave the range of the dtype.

    Natural logarithms of j_I [erg s^-1 cm^-3 Hz^-1 sr^-1] and alpha_I [cm^-1]; ``q_j`` = j_Q / j_I,
    ``v_alpha`` = alpha_V / alpha_I and so on; signs (-1, 0 or 1) and natural logarithms of the
    magnitudes of rho_Q and rho_V [cm^-1]. What is zero has the logarithm -inf, with zero slope.
    ``transfer.solve`` takes them in place of ``Coefficients``.
    """

    log_j: Points
    q_j: Points
    v_j: Points
    log_alpha: Points
    q_alpha: Points
    v_alpha: Points
    sign_rho_Q: Points
    log_rho_Q: Points
    sign_rho_V: Points
    log_rho_V: Points


for _kind in (Coefficients, SkyCoefficients, LogCoefficients):
    export.register_namedtuple_serialization(_kind, serialized_name=f"synchrojax.{_kind.__name__}")
