"""Coefficients in a basis fixed on the sky, and in the orders and signs of other codes."""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class SkyCoefficients(NamedTuple):
    """The eleven coefficients in a basis fixed on the sky; units as in ``Coefficients``."""

    j_I: jax.Array
    j_Q: jax.Array
    j_U: jax.Array
    j_V: jax.Array
    alpha_I: jax.Array
    alpha_Q: jax.Array
    alpha_U: jax.Array
    alpha_V: jax.Array
    rho_Q: jax.Array
    rho_U: jax.Array
    rho_V: jax.Array


def rotate(c, psi):
    """Turn ``Coefficients`` into a basis fixed on the sky.

    ``psi`` [rad], broadcasting with the coefficients: the angle, counter-clockwise as seen by the observer,
    from the Q axis of the sky basis to the projection of B. (Q, U) turn by 2 psi, I and V stay.
    """
    cos, sin = jnp.cos(2.0 * psi), jnp.sin(2.0 * psi)
    turned = (v for q in (c.j_Q, c.alpha_Q, c.rho_Q) for v in (q * cos, q * sin))
    j_q, j_u, alpha_q, alpha_u, rho_q, rho_u = turned
    shape = jnp.shape(j_q)
    j_i, j_v, alpha_i, alpha_v, rho_v = (
        jnp.broadcast_to(v, shape) for v in (c.j_I, c.j_V, c.alpha_I, c.alpha_V, c.rho_V)
    )
    return SkyCoefficients(j_i, j_q, j_u, j_v, alpha_i, alpha_q, alpha_u, alpha_v, rho_q, rho_u, rho_v)


_ORDER = ("j_I", "alpha_I", "j_Q", "alpha_Q", "j_U", "alpha_U", "j_V", "alpha_V", "rho_Q", "rho_U", "rho_V")
# convention -> the coefficients that change sign
_CONVENTIONS = {
    "synchrojax": (),
    "neurosynchro": ("rho_Q", "rho_U"),
    "ipole": ("j_Q", "alpha_Q", "rho_Q"),
    "grtrans": ("j_Q", "alpha_Q", "rho_Q"),
}


def as_array(c, *, convention):
    """The eight (or eleven) coefficients stacked along a new last axis, in the order and signs of another code.

    ``"neurosynchro"``: j_I, alpha_I, j_Q, alpha_Q, j_V, alpha_V, rho_Q, rho_V with rho_Q negated. ``"ipole"`` and
    ``"grtrans"``: Q along the X mode, so j_Q, alpha_Q, rho_Q negated; and ``"synchrojax"``: our own; these
    three in the order of ``Coefficients``. Of ``SkyCoefficients``, whose U stands behind Q, ``"neurosynchro"`` negates
    rho_Q and rho_U; the X mode is that of B, so that ``"ipole"`` and ``"grtrans"`` take the eight alone. ValueError for
    anything else.
    """
    if convention not in _CONVENTIONS:
        raise ValueError(f"unknown convention {convention!r}; available: {', '.join(_CONVENTIONS)}")
    negated, fields = _CONVENTIONS[convention], c._fields
    if "j_Q" in negated and "j_U" in fields:
        raise ValueError(
            f"convention {convention!r} is that of the eight coefficients in the basis of B, before rotate"
        )
    order = [n for n in _ORDER if n in fields] if convention == "neurosynchro" else fields
    return jnp.stack([-getattr(c, n) if n in negated else getattr(c, n) for n in order], -1)
