"""What a call takes: names, units, broadcasting, and the tests for unphysical input."""

from types import MappingProxyType

import jax
import jax.numpy as jnp
import numpy as np

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
    "k": "dimensionless, f times sin^k of the pitch angle",
}
COMMON = ("nu", "B", "n_e", "theta")


def describe(names):
    """One line per name with its unit, for error messages and ``--help``."""
    return "; ".join(f"{n} [{UNITS.get(n, 'dimensionless')}]" for n in names)


def reals(given, complaint):
    """{name: array} of ``given`` and the float dtype that they promote to.

    Raises ValueError, ``complaint(name)`` and what was given, for anything but real numbers.
    """
    values, floats = {}, []
    for n, value in given.items():
        try:
            # whole numbers first become floats: 230 * 10**9 overflows int32
            array = np.asarray(value) if isinstance(value, int | list | tuple | np.ndarray | np.generic) else value
            whole = isinstance(array, np.ndarray) and array.dtype.kind in "iu"
            array = jnp.asarray(array.astype(float) if whole else array)
            real = jnp.issubdtype(array.dtype, jnp.floating)
            if real and not whole:
                floats.append(array)
        except (TypeError, ValueError):
            real = array = None
        if array is None or not (real or jnp.issubdtype(array.dtype, jnp.integer)):
            raise ValueError(f"{complaint(n)}, got {value!r}"[:300])
        values[n] = array
    return values, jnp.result_type(*floats) if floats else jnp.result_type(float)


def broadcast(params, names, defaults=MappingProxyType({})):
    """The values of ``params`` in the order of ``names``, broadcast, in one float dtype.

    ``defaults``: the values of those that may be left out.

    Raises ValueError for missing or unknown names, values that are not real numbers, and
    shapes that do not broadcast.
    """
    try:
        given = set(params)
    except TypeError:
        given = None
    if given is None or not hasattr(params, "__getitem__"):
        raise ValueError(
            f"params must be a mapping of names to values, got {type(params).__name__}; it takes {describe(names)}"
        )
    missing, unknown = [n for n in names if n not in given and n not in defaults], sorted(map(str, given - set(names)))
    if missing or unknown:
        parts = [f"missing {', '.join(missing)}"] * bool(missing) + [f"unknown {', '.join(unknown)}"] * bool(unknown)
        raise ValueError(f"params: {' and '.join(parts)}; the model takes {describe(names)}")
    given = {n: params[n] if n in given else defaults[n] for n in names}
    values, dtype = reals(given, lambda n: f"params[{n!r}] must be real numbers [{UNITS.get(n, 'dimensionless')}]")
    try:
        shape = np.broadcast_shapes(*(v.shape for v in values.values()))
    except ValueError:
        shapes = ", ".join(f"{n} {v.shape}" for n, v in values.items())
        raise ValueError(f"params do not broadcast against each other: {shapes}") from None
    return [jnp.broadcast_to(v.astype(dtype), shape) for v in values.values()]


def unphysical(nu, b, n_e, theta, own, violated):
    """True where no electron gas has such values: nu <= 0, B < 0, n_e < 0, anything not finite.

    ``own``: the distribution's parameters, ``violated``: where they break its own conditions.
    """
    bad = (nu <= 0.0) | (b < 0.0) | (n_e < 0.0)
    for value in (nu, b, n_e, theta, *own):
        bad = bad | ~jnp.isfinite(value)
    for broken in violated.values():
        bad = bad | broken
    return bad


def is_traced(values):
    return any(isinstance(v, jax.core.Tracer) for v in values)
