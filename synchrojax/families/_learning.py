"""What training rows of several families share."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from synchrojax.core import Arrays

# a choice, of the scale of rho_Q: below, its errors are not relative any more
FLOOR = 0.03


def angle_weight(sine: Float[Arrays, " rows"]) -> Float[np.ndarray, " rows"]:
    """Weight of rho_V at small angles.

    d/d theta is 1 / sin(theta) times the slope with the logarithm that is seen.
    """
    # a choice: from theta = 0.05 down they count more, four times at most, so that large angles are
    # still learned
    return np.clip(0.05 / np.maximum(sine, 1e-4), 1.0, 4.0)


def oblique(theta: Float[Arrays, " rows"]) -> Bool[np.ndarray, " rows"]:
    """Where V carries information: not at right angles."""
    return np.abs(np.cos(theta)) > 1e-12


def log_ratios(
    y: Float[Arrays, "3 *points"], turn: Float[Arrays, "*points"]
) -> Float[Array, "3 *points"]:
    """ln I, ln(-a) and ln(b / turn) -> ln I, ln |Q / I| and ln |V / I / turn|.

    (a, b) is the point of the plane that ``from_plane`` maps: where light is polarized to 100 %,
    Q and V know little of where it is.
    """
    shrink = -0.5 * jnp.log1p(jnp.exp(2.0 * y[1]) + (turn * jnp.exp(y[2])) ** 2)
    return jnp.stack([y[0], y[1] + shrink, y[2] + shrink])
