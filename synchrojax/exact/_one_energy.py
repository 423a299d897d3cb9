"""Coefficients of electrons of one energy: emission, absorption and rotativities of a slice.

With f = delta(gamma' - gamma) / (4 pi gamma u) the derivative of f in the integrals is moved to the
kernels by parts: alpha and rho contain the slope of a slice with gamma, and no edge.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from synchrojax.core import ABSORPTION, EMISSION
from synchrojax.exact._absorption import absorption_sums
from synchrojax.exact._phase_space import Integrand, LabSlices, Resolution, arccosh, best
from synchrojax.exact._rotativities import slice_rotation


def one_energy(
    here: Integrand,
    frozen: Integrand,
    gamma: Float[Array, ""],
    resolution: Resolution,
    small_orders: bool,
) -> Float[Array, "8"]:
    """The eight at nu = 1 Hz and n_e = 1 cm^-3, harmonics averaged.

    ``here``, ``frozen``: of an f that is 1.
    """
    top = best(frozen, LabSlices, jax.lax.stop_gradient(arccosh(gamma)))
    momentum = jnp.sqrt((gamma - 1.0) * (gamma + 1.0))

    def slice_of(gamma: Float[Array, ""]) -> tuple[Float[Array, "3"], Float[Array, "2"]]:
        chi = arccosh(gamma)
        weight = 1.0 / jnp.sinh(chi)
        row = chi[None], weight[None]
        emitted = absorption_sums(
            here, frozen, LabSlices, *row, top, resolution.inner, small_orders
        )[:3]
        turned = slice_rotation(
            here, frozen, resolution, small_orders, chi, weight, jnp.zeros(()), lambda *_: 1.0
        )
        return emitted, turned

    (emitted, _), slopes = jax.jvp(slice_of, (gamma,), (jnp.ones_like(gamma),))
    per_shell = here.s_perp / (here.sine * 4.0 * jnp.pi * gamma * momentum)
    unit = per_shell * jnp.exp(top)
    return jnp.concatenate(
        [
            EMISSION * unit * emitted,
            ABSORPTION * unit * slopes[0],
            ABSORPTION * per_shell * slopes[1],
        ]
    )
