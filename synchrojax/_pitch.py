"""What a factor sin^k of the pitch angle changes: each electron sees theta smeared by 1 / gamma.

An anisotropic family is its isotropic one, networks included, plus corrections in proportion to k. Radiation comes from
pitch angles within 1 / gamma of theta, so that total and linear coefficients are those of the isotropic
distribution times sin^k(theta) up to terms of order k / (s sin(theta)).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln

from synchrojax._scale_free import power_until

BOX = {"k": (0.0, 4.0)}
FLOOR = 0.1  # of the scale of rho_Q, in training: heavier points are too few to learn from
FAR = 3e-4  # of that scale: corrections that fall with s sin(theta) are less where the others are learned


class Smear(NamedTuple):
    """sin^2(theta) averaged over the cone of an electron, the share of the cone in it, ln(sin^k) averaged."""

    log_across: jax.Array
    share: jax.Array
    log_power: jax.Array


def smear(p, gamma):
    """What electrons of Lorentz factor ``gamma`` make of the angle of ``p``."""
    direct = p.sine * p.sine
    cone = 3.0 * p.cosine * p.cosine / (1.0 + gamma * gamma)
    share = 3.0 / (3.0 + direct * (1.0 + gamma * gamma))
    log_across = jnp.log(direct + cone)
    # towards k = 4, electrons far from the line of sight count as much as those that beam along it
    far = 0.05 * p.k**3 * power_until(p.k - 4.0, jnp.log(gamma)) * share * share
    return Smear(log_across, share, 0.5 * p.k * log_across + jnp.log1p(jnp.maximum(far, 0.0)))


# made by data/make_pitch_smear.py: polynomials in 1 / (1 + ln gamma) (rows) and (k - 2) / 2 (columns)
_ALONG = np.array(
    [
        [-0.2914, 0.5284, -0.0887, -0.0754],
        [1.498, 0.967, -2.0791, -0.3415],
        [-5.8596, -7.6272, 4.4297, 3.974],
        [5.984, 11.3069, -3.1274, -6.7757],
        [-1.7357, -5.0541, 0.8067, 3.2433],
    ]
)
_ACROSS = np.array(
    [[0.3749, -0.0226, 0.0398], [-0.1197, 0.1281, -0.2004], [-0.2657, -0.3162, 0.3249], [0.3451, 0.1227, -0.1413]]
)
_BETWEEN = np.array(
    [
        [2.0331, -0.3566, -1.1559, -0.4483],
        [-0.203, -1.0065, 2.9187, 3.7453],
        [0.3998, 4.4221, -3.0146, -6.5007],
        [-0.2323, -3.0911, 1.2599, 3.2184],
    ]
)


def _polynomial(table, v, q):
    rows = [sum(float(c) * q**i for i, c in enumerate(row)) for row in table]
    total = rows[-1]
    for row in rows[-2::-1]:
        total = total * v + row
    return total


def log_smeared(p, gamma):
    """ln of sin^k over sin^k(theta) as rho_Q of electrons with ``gamma`` sees it far above resonance, to 2 %.

    rho_Q of a shell of electrons over that of an isotropic shell: sin^k(theta) for large gamma sin(theta),
    (t / gamma)^k along B, a polynomial of sin^2(theta) for k = 2 and 4.
    """
    log_gamma = jnp.log(gamma)
    v, q = 1.0 / (1.0 + log_gamma), 0.5 * jnp.clip(p.k, -0.2, 4.2) - 1.0
    spread = 0.05 * p.k**2 * power_until(p.k - 4.0, log_gamma)  # of electrons far from the line of sight, for k -> 4
    x = p.k * spread
    small = jnp.abs(x) < 1e-3
    growth = jnp.where(small, 1.0 - 0.5 * x, jnp.log1p(jnp.where(small, 1.0, x)) / jnp.where(small, 1.0, x))
    along = jnp.exp(_polynomial(_ALONG, v, q) + 2.0 * spread * growth) * (p.cosine / (gamma * p.sine)) ** 2
    lost = _polynomial(_ACROSS, v, q) / (gamma * gamma)
    gain = along * (_polynomial(_BETWEEN, v, q) * (1.0 - lost) + along) - lost * (2.0 - lost)
    return 0.25 * p.k * jnp.log1p(gain)


def rotation_v(p, gamma):
    """rho_V of electrons of Lorentz factor ``gamma``: the factor of the isotropic one, and the logarithm that it gains.

    Angles from the line of sight down to 1 / gamma count equally in their logarithm; so sin^k of each of them does.
    """
    reach = -0.5 * jnp.log(p.sine * p.sine + (p.cosine / gamma) ** 2)
    fixed = jnp.exp(-p.k * reach)
    return fixed, power_until(-p.k, reach) - fixed * reach


def rotation_v_scales(p, log_gamma, smear):
    """Sizes of the corrections to ``rotation_v`` in proportion to k: from all angles, and from those about theta.

    The latter has a logarithm too, from 1 / gamma or the cone at frequency s up to theta.
    """
    inside = -jnp.logaddexp(-log_gamma - 0.5 * smear.log_across, -0.5 * jnp.log(p.s * p.sine))
    return jnp.ones_like(inside), jnp.exp(0.5 * p.k * smear.log_across) * jnp.maximum(inside, 0.0)


def curvature(p):
    """What multiplies the two parts of a correction: sin^k over the cone of an electron bends by k (k cos^2 - 1)."""
    bend = p.k * p.cosine * p.cosine
    return jnp.stack([jnp.ones_like(bend), bend])


def log_mean(k):
    """ln of the mean of sin^k over all directions."""
    return gammaln(1.5) + gammaln(1.0 + 0.5 * k) - gammaln(1.5 + 0.5 * k)
