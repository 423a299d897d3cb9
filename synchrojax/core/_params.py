"""What a call takes: names, units, broadcasting, and the tests for unphysical input."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import jax.numpy as jnp
import numpy as np

from synchrojax.core._inputs import ANY_UNIT, broadcast_shapes, reals
from synchrojax.core._types import Masks, Numbers, Points, Reals, Shape, Truths

# what begins with a unit has that, what calls itself dimensionless has none
UNITS = {
    "nu": "Hz, observing frequency in the fluid frame",
    "B": "G, magnetic field strength",
    "n_e": "cm^-3, electron number density",
    "theta": "rad, angle between the wave vector and B",
    "theta_e": "k T / (m_e c^2), dimensionless electron temperature",
    "p": "dimensionless, N ~ gamma^-p",
    "gamma_min": "dimensionless, lowest Lorentz factor, default 1",
    "gamma_max": "dimensionless, highest Lorentz factor, default infinity",
    "kappa": "dimensionless, f ~ gamma^-(kappa + 1) in the tail",
    "w": "dimensionless, width of the kappa distribution",
    "gamma": "dimensionless, Lorentz factor",
    "N": "cm^-3, dN / dgamma; with n_e any unit",
    "k": "dimensionless, f times sin^k of the pitch angle",
}
COMMON = ("nu", "B", "n_e", "theta")


def describe(names: Iterable[str]) -> str:
    """One line per name with its unit, for error messages and ``--help``."""
    return "; ".join(f"{n} [{UNITS.get(n, 'dimensionless')}]" for n in names)


def unit_of(name: str) -> str:
    """The unit of a parameter, as units are written: "Hz", "" for what is dimensionless."""
    text = UNITS.get(name, "dimensionless")
    return "" if "dimensionless" in text else text.split(",")[0]


def as_mapping(params: Any, names: Sequence[str]) -> dict[Any, Any]:
    """``params`` as a mapping, or what is wrong with it. Raises ValueError."""
    fields = getattr(getattr(params, "dtype", None), "names", None)
    if fields:  # a row or column of a structured array, as of a FITS table
        return {n: params[n] for n in fields}
    if not (hasattr(params, "keys") and hasattr(params, "__getitem__")):
        raise ValueError(
            f"params must be a mapping of names to values, got {type(params).__name__}; it takes "
            f"{describe(names)}"
        )
    return {n: params[n] for n in params.keys()}  # noqa: SIM118 (a row of a table iterates over its values)


def one_mapping(params: Any, named: Mapping[str, Any]) -> None:
    """Raise TypeError where values come by name instead of in ``params``."""
    if named or params is None:
        given = ", ".join(f'"{n}": ...' for n in named) or '"nu": ..., "B": ...'
        raise TypeError(
            f"params is one mapping of names to values: write ({{{given}}}), not (name=value)"
        )


def require_names(
    given: Mapping[Any, Any], names: Iterable[str], optional: Iterable[str], where: str, takes: str
) -> None:
    """Raise ValueError for names that are missing or unknown, with what ``takes`` says."""
    missing = [n for n in names if n not in given and n not in optional]
    unknown = sorted(str(n) for n in given if n not in names)
    if missing or unknown:
        parts = [f"missing {', '.join(missing)}"] * bool(missing)
        parts += [f"unknown {', '.join(unknown)}"] * bool(unknown)
        raise ValueError(f"{where}: {' and '.join(parts)}; {takes}")


def broadcast(
    params: Any,
    names: Sequence[str],
    defaults: Mapping[str, float] = MappingProxyType({}),
    *,
    apart: Sequence[str] = (),
    any_unit: Sequence[str] = (),
) -> tuple[dict[str, Numbers], np.dtype, Shape]:
    """({name: value} of ``params`` in the order of ``names``, their float dtype, their shape).

    ``defaults``: the values of those that may be left out; ``apart``: those whose shapes are their
    own; ``any_unit``: those of which only proportions count.

    Raises ValueError for missing or unknown names, values that are not real numbers, units, masks
    and labels that do not fit, and shapes that do not broadcast.
    """
    given = as_mapping(params, names)
    require_names(given, names, defaults, "params", f"the model takes {describe(names)}")

    def what(n: str) -> str:
        return f"params[{n!r}] [{UNITS.get(n, 'dimensionless')}]"

    def unit(n: str) -> str:
        return ANY_UNIT if n in any_unit else unit_of(n)

    values, dtype = reals({n: given.get(n, defaults.get(n)) for n in names}, what, unit)
    together = {n: v.shape for n, v in values.items() if n not in apart}
    try:
        shape = broadcast_shapes(list(together.values()))
    except ValueError:
        shapes = ", ".join(f"{n} {v}" for n, v in together.items())
        raise ValueError(f"params do not broadcast against each other: {shapes}") from None
    return values, dtype, shape


def unphysical(
    nu: Points,
    b: Points,
    n_e: Points,
    theta: Points,
    own: Iterable[Reals],
    violated: Mapping[str, Truths],
) -> Masks:
    """True where no electron gas has such values: nu <= 0, B < 0, n_e < 0, anything not finite.

    ``own``: the distribution's parameters, ``violated``: where they break its own conditions.
    """
    bad = (nu <= 0.0) | (b < 0.0) | (n_e < 0.0)
    for value in (nu, b, n_e, theta, *own):
        bad = bad | ~jnp.isfinite(value)
    for broken in violated.values():
        bad = bad | broken
    return bad
