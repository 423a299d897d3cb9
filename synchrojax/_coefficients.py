"""The eight transfer coefficients as one value."""

from typing import NamedTuple

import jax


class Coefficients(NamedTuple):
    """Polarized transfer coefficients in the fluid frame, CGS.

    j_S [erg s^-1 cm^-3 Hz^-1 sr^-1]; alpha_S and rho_S [cm^-1]. Stokes Q is positive along the
    projection of B on the sky, V is IAU/IEEE; the transfer matrix is that of ``README.md``.
    """

    j_I: jax.Array
    j_Q: jax.Array
    j_V: jax.Array
    alpha_I: jax.Array
    alpha_Q: jax.Array
    alpha_V: jax.Array
    rho_Q: jax.Array
    rho_V: jax.Array
