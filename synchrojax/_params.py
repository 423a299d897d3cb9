"""What a call takes: names, units, broadcasting, and the tests for unphysical input."""

import jax
import jax.numpy as jnp
import numpy as np

UNITS = {
    "nu": "Hz, observing frequency in the fluid frame",
    "B": "G, magnetic field strength",
    "n_e": "cm^-3, electron number density",
    "theta": "rad, angle between the wave vector and B",
    "theta_e": "k T / (m_e c^2), dimensionless electron temperature",
}
COMMON = ("nu", "B", "n_e", "theta")


def describe(names):
    """One line per name with its unit, for error messages and ``--help``."""
    return "; ".join(f"{n} [{UNITS.get(n, 'dimensionless')}]" for n in names)


def broadcast(params, names):
    """The values of ``params`` in the order of ``names``, broadcast, in one float dtype.

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
    missing, unknown = [n for n in names if n not in given], sorted(map(str, given - set(names)))
    if missing or unknown:
        parts = [f"missing {', '.join(missing)}"] * bool(missing) + [f"unknown {', '.join(unknown)}"] * bool(unknown)
        raise ValueError(f"params: {' and '.join(parts)}; the model takes {describe(names)}")
    values = []
    for n in names:
        try:
            value = jnp.asarray(params[n])
        except (TypeError, ValueError):
            value = None
        if value is None or not (jnp.issubdtype(value.dtype, jnp.floating) or jnp.issubdtype(value.dtype, jnp.integer)):
            raise ValueError(
                f"params[{n!r}] must be real numbers [{UNITS.get(n, 'dimensionless')}], got {params[n]!r}"[:300]
            )
        values.append(value)
    dtype = jnp.result_type(*values)
    if not jnp.issubdtype(dtype, jnp.floating):
        dtype = jnp.result_type(float)
    try:
        shape = np.broadcast_shapes(*(v.shape for v in values))
    except ValueError:
        shapes = ", ".join(f"{n} {v.shape}" for n, v in zip(names, values, strict=True))
        raise ValueError(f"params do not broadcast against each other: {shapes}") from None
    return [jnp.broadcast_to(v.astype(dtype), shape) for v in values]


def unphysical(nu, b, n_e, theta, own):
    """True where no electron gas has such values: NaN, nu <= 0, B < 0, n_e < 0, own parameters <= 0.

    Infinite values are unphysical too.
    """
    bad = (nu <= 0.0) | (b < 0.0) | (n_e < 0.0)
    for value in (nu, b, n_e, theta, *own):
        bad = bad | ~jnp.isfinite(value)
    for value in own:
        bad = bad | (value <= 0.0)
    return bad


def is_traced(values):
    return any(isinstance(v, jax.core.Tracer) for v in values)
