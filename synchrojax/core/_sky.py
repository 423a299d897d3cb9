"""Coefficients in a basis fixed on the sky, and in the orders and signs of other codes."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from synchrojax.core._coefficients import Coefficients, SkyCoefficients, unit_of_coefficient
from synchrojax.core._compiled import pointwise
from synchrojax.core._inputs import broadcast_shapes, is_traced, own_settings, reals
from synchrojax.core._types import Points


def turned(c: Coefficients, psi: Points) -> SkyCoefficients:
    """``rotate`` for arrays."""
    cos, sin = jnp.cos(2.0 * psi), jnp.sin(2.0 * psi)
    j_q, j_u, alpha_q, alpha_u, rho_q, rho_u = (
        v for q in (c.j_Q, c.alpha_Q, c.rho_Q) for v in (q * cos, q * sin)
    )
    return SkyCoefficients(
        c.j_I, j_q, j_u, c.j_V, c.alpha_I, alpha_q, alpha_u, c.alpha_V, rho_q, rho_u, c.rho_V
    )


def _turned(_: None, values: Mapping[str, Points]) -> SkyCoefficients:
    return turned(Coefficients(*(values[n] for n in Coefficients._fields)), values["psi"])


@own_settings
def rotate(c: Coefficients, psi: Any) -> SkyCoefficients:
    """Turn ``Coefficients`` into a basis fixed on the sky.

    ``psi`` [rad], broadcasting with the coefficients: the angle, counter-clockwise as seen by the
    observer, from the Q axis of the sky basis to the projection of B. (Q, U) turn by 2 psi, I and V
    stay. Raises ValueError for anything but real numbers and for shapes that do not broadcast.
    """
    if getattr(c, "_fields", None) != Coefficients._fields:
        raise ValueError(f"rotate: needs Coefficients in the basis of B, got {type(c).__name__}")
    values, dtype = reals(
        {"psi": psi, **c._asdict()},
        lambda n: n if n == "psi" else f"c.{n}",
        lambda n: "rad" if n == "psi" else unit_of_coefficient(n),
    )
    try:
        shape = broadcast_shapes([v.shape for v in values.values()])
    except ValueError:
        shapes = f"psi {values['psi'].shape}, c {values['j_I'].shape}"
        raise ValueError(f"rotate: shapes do not broadcast against each other: {shapes}") from None
    return pointwise(_turned, None, values, dtype, shape)


_ORDER = (
    "j_I",
    "alpha_I",
    "j_Q",
    "alpha_Q",
    "j_U",
    "alpha_U",
    "j_V",
    "alpha_V",
    "rho_Q",
    "rho_U",
    "rho_V",
)
# convention -> the coefficients that change sign
_CONVENTIONS = {
    "synchrojax": (),
    "neurosynchro": ("rho_Q", "rho_U"),
    "ipole": ("j_Q", "alpha_Q", "rho_Q"),
    "grtrans": ("j_Q", "alpha_Q", "rho_Q"),
}


@own_settings
def as_array(c: Any, *, convention: Any) -> Float[Array, "*points coefficients"]:
    """The eight or eleven coefficients stacked along a new last axis.

    ``c``: ``Coefficients`` or ``SkyCoefficients``. They are in the order and signs of another code.
    ``"neurosynchro"``: j_I, alpha_I, j_Q, alpha_Q, j_V, alpha_V, rho_Q, rho_V with rho_Q negated.
    ``"ipole"`` and ``"grtrans"``: Q along the X mode, so j_Q, alpha_Q, rho_Q negated; and
    ``"synchrojax"``: our own; these three in the order of ``Coefficients``. Of ``SkyCoefficients``,
    whose U stands behind Q, ``"neurosynchro"`` negates rho_Q and rho_U; the X mode is that of B, so
    that ``"ipole"`` and ``"grtrans"`` take the eight alone. ValueError for anything else.
    """
    if not isinstance(convention, str) or convention not in _CONVENTIONS:
        raise ValueError(f"unknown convention {convention!r}; available: {', '.join(_CONVENTIONS)}")
    if getattr(c, "_fields", None) not in (Coefficients._fields, SkyCoefficients._fields):
        raise ValueError(
            f"as_array: needs Coefficients or SkyCoefficients, got {type(c).__name__}; of a "
            "sequence of the eight make Coefficients(*sequence)"
        )
    negated, fields = _CONVENTIONS[convention], c._fields
    if "j_Q" in negated and "j_U" in fields:
        raise ValueError(
            f"convention {convention!r} is that of the eight coefficients in the basis of B, "
            "before rotate"
        )
    order = [n for n in _ORDER if n in fields] if convention == "neurosynchro" else fields
    values, dtype = reals(c._asdict(), lambda n: f"c.{n}", unit_of_coefficient)
    xp = jnp if is_traced(values.values()) else np  # concrete ones in one step
    shape = broadcast_shapes([v.shape for v in values.values()])
    values = {n: xp.broadcast_to(xp.asarray(v), shape) for n, v in values.items()}
    return jnp.asarray(
        xp.stack([-values[n] if n in negated else values[n] for n in order], -1), dtype
    )
