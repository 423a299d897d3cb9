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
    values, dtypes = [], []
    for n in names:
        value = params[n] if n in given else defaults[n]
        try:
            # whole numbers first become floats: 230 * 10**9 overflows int32
            plain = isinstance(value, int | list | tuple | np.ndarray | np.generic)
            whole = plain and np.asarray(value).dtype.kind in "iu"
            value = jnp.asarray(np.asarray(value, float) if whole else value)
            if not whole and jnp.issubdtype(value.dtype, jnp.floating):
                dtypes.append(value)
        except (TypeError, ValueError):
            value = None
        if value is None or not (jnp.issubdtype(value.dtype, jnp.floating) or jnp.issubdtype(value.dtype, jnp.integer)):
            raise ValueError(
                f"params[{n!r}] must be real numbers [{UNITS.get(n, 'dimensionless')}], got {params[n]!r}"[:300]
            )
        values.append(value)
    dtype = jnp.result_type(*dtypes) if dtypes else jnp.result_type(float)
    try:
        shape = np.broadcast_shapes(*(v.shape for v in values))
    except ValueError:
        shapes = ", ".join(f"{n} {v.shape}" for n, v in zip(names, values, strict=True))
        raise ValueError(f"params do not broadcast against each other: {shapes}") from None
    return [jnp.broadcast_to(v.astype(dtype), shape) for v in values]


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
