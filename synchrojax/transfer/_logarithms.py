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
    Numbers,
    at_most,
    bounded_exp,
    is_traced,
    reals,
)
from synchrojax.transfer._arguments import entering, refuse, unit_of_argument
from synchrojax.transfer._arithmetic import Values

# a choice, of alpha_I ds and |rho| ds: nothing changes any more far below
_DEEPEST = 1e20


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
            refuse(name, v, ~np.isfinite(v) & ~nothing, "neither a number nor -inf for nothing")
    arrays = {name: jnp.asarray(v, dtype) for name, v in values.items()}
    return (
        LogCoefficients(*(arrays[n] for n in fields)),
        arrays["ds"],
        [arrays[n] for n in light],
    )


def _times(log: Values, log_ds: Values, log_unit: Values, ds: Values) -> Float[Array, "..."]:
    """exp(log - log_unit) ds; of a cell without length with the slope by it."""
    log = log - log_unit
    return jnp.where(ds > 0.0, bounded_exp(log + log_ds), bounded_exp(log) * ds)


def _per_cell(c: LogCoefficients, log_ds: Values, log_unit: Values, ds: Values) -> Coefficients:
    """j ds over the unit, alpha ds and rho ds."""
    j = _times(c.log_j, log_ds, log_unit, ds)
    alpha = _times(c.log_alpha, log_ds, jnp.zeros_like(log_ds), ds)
    longest = float(np.log(_DEEPEST))
    rho_q, rho_v = (
        sign * _times(at_most(log, longest - log_ds), log_ds, jnp.zeros_like(log_ds), ds)
        for sign, log in ((c.sign_rho_Q, c.log_rho_Q), (c.sign_rho_V, c.log_rho_V))
    )
    return Coefficients(
        j, j * c.q_j, j * c.v_j, alpha, alpha * c.q_alpha, alpha * c.v_alpha, rho_q, rho_v
    )


def _log(ds: Values) -> Values:
    return jnp.log(jnp.where(ds > 0.0, ds, 1.0))


def _lengths(ds: Values) -> Values:
    """Of cells whose coefficients are times their length; what is no length stays as it is."""
    return jnp.where(ds >= 0.0, 1.0, ds)


def in_units_of_rays(
    c: Any, ds: Any, background: Any
) -> tuple[Coefficients, Values, Any, Float[Array, "..."]]:
    """(coefficients, lengths, background, ln of the unit of light) of rays.

    The coefficients are times lengths. A cell is no longer than what it takes to see nothing
    through it.
    """
    c, ds, light = _read(c, ds, background)
    log_ds = at_most(_log(ds), float(np.log(_DEEPEST)) - c.log_alpha)
    emitted = jnp.where(ds > 0.0, c.log_j + log_ds, -jnp.inf)
    log_unit = jnp.max(emitted, axis=-1) if emitted.ndim else emitted
    if light:
        brightest = functools.reduce(jnp.maximum, map(jnp.abs, light))
        log_unit = jnp.maximum(log_unit, jnp.log(brightest))
    log_unit = jax.lax.stop_gradient(jnp.where(jnp.isfinite(log_unit), log_unit, 0.0))
    light = [x * jnp.exp(-log_unit) for x in light]
    c = _per_cell(c, log_ds, log_unit[..., None], ds)
    return c, _lengths(ds), light or None, log_unit


def times_lengths(c: Any, ds: Any) -> tuple[Coefficients, Numbers]:
    """(alpha ds and rho ds with whatever emission, lengths) of cells."""
    c, ds, _ = _read(c, ds, None)
    log_ds = _log(ds)
    return _per_cell(c, log_ds, jnp.zeros_like(log_ds), ds), _lengths(ds)
