"""Cells given by logarithms: coefficients times lengths, in units of the light of the ray.

What a cell emits and its optical depths are moderate numbers where j and alpha of a cubic
centimetre are none that float32 holds.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from synchrojax.core import (
    Coefficients,
    LogCoefficients,
    at_most,
    bounded_exp,
    is_traced,
    reals,
)
from synchrojax.transfer._arguments import entering, refuse, unit_of_argument
from synchrojax.transfer._arithmetic import Values

# choices: of alpha_I ds, from where on nothing changes any more, and of |rho| ds, so much larger
# that their ratio stays where it counts
_OPAQUE, _TURNED = 1e10, 1e20


def is_logarithmic(c: Any) -> bool:
    """Whether ``c`` are ``LogCoefficients``."""
    return getattr(c, "_fields", None) == LogCoefficients._fields


def _read(c: Any, ds: Any, background: Any) -> tuple[LogCoefficients, Values, list[Values]]:
    """The arguments in one dtype. Raises ValueError."""
    fields = {f"c.{n}": v for n, v in zip(c._fields, c, strict=True)}
    light = entering(background)
    values, dtype = reals(
        fields | {"ds": ds} | light,
        lambda n: f"transfer: {n}",
        lambda n: "" if n in fields else unit_of_argument(n),
    )
    for name in fields:
        v = values[name]
        if not is_traced([v]):
            nothing = name.startswith("c.log") & np.isneginf(np.asarray(v))
            refuse(
                name,
                v,
                ~np.isfinite(v) & ~nothing,
                "not finite; only logarithms may be -inf, where there is nothing",
            )
    arrays = {name: jnp.asarray(v, dtype) for name, v in values.items()}
    return (
        LogCoefficients(*(arrays[n] for n in fields)),
        arrays["ds"],
        [arrays[n] for n in light],
    )


def _log(ds: Values) -> Values:
    return jnp.log(jnp.where(ds > 0.0, ds, 1.0))


def _per_cell(c: LogCoefficients, log_ds: Values, ds: Values) -> tuple[Coefficients, Values]:
    """(coefficients times lengths, the lengths of such cells)."""
    longest = float(np.log(_TURNED)) - log_ds

    def times(log: Values) -> Float[Array, "..."]:
        # of a cell without length with the slope by it
        return jnp.where(ds > 0.0, bounded_exp(log + log_ds), bounded_exp(log) * ds)

    j, alpha = times(c.log_j), times(c.log_alpha)
    rho_q = c.sign_rho_Q * times(at_most(c.log_rho_Q, longest))
    rho_v = c.sign_rho_V * times(at_most(c.log_rho_V, longest))
    found = Coefficients(
        j, j * c.q_j, j * c.v_j, alpha, alpha * c.q_alpha, alpha * c.v_alpha, rho_q, rho_v
    )
    return found, jnp.where(ds >= 0.0, 1.0, ds)  # what is no length stays, to be refused


def in_units_of_rays(
    c: Any, ds: Any, background: Any
) -> tuple[Coefficients, Values, Any, Float[Array, "..."]]:
    """(coefficients, lengths, background, ln of the unit of light [..., 1]) of rays.

    The coefficients are times lengths. A cell is no longer than what it takes to see nothing
    through it.
    """
    c, ds, light = _read(c, ds, background)
    log_ds = at_most(_log(ds), float(np.log(_OPAQUE)) - c.log_alpha)
    log_unit = jnp.where(ds > 0.0, c.log_j + log_ds, -jnp.inf)
    if log_unit.ndim:  # numbers alone are no ray, and are refused
        log_unit = jnp.max(log_unit, axis=-1, keepdims=True, initial=-jnp.inf)
    if light:
        brightest = functools.reduce(jnp.maximum, map(jnp.abs, light))
        log_unit = jnp.maximum(log_unit, jnp.log(brightest)[..., None])
    log_unit = jax.lax.stop_gradient(jnp.where(jnp.isfinite(log_unit), log_unit, 0.0))
    cells, lengths = _per_cell(c._replace(log_j=c.log_j - log_unit), log_ds, ds)
    light = [x * jnp.exp(-log_unit[..., 0]) for x in light]
    return cells, lengths, light or None, log_unit


def times_lengths(c: Any, ds: Any) -> tuple[Coefficients, Values]:
    """(coefficients times lengths, the lengths of such cells)."""
    c, ds, _ = _read(c, ds, None)
    return _per_cell(c, _log(ds), ds)
