"""What a factor sin^k of the pitch angle changes: each electron sees theta smeared by 1 / gamma.

An anisotropic family is its isotropic one, networks included, plus corrections in proportion to k.
Radiation comes from pitch angles within 1 / gamma of theta, so that total and linear coefficients
are those of the isotropic distribution times sin^k(theta) up to terms of order k / (s sin(theta)).
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln
from jaxtyping import Array, Float

from synchrojax.core import (
    Arrays,
    Points,
    Reals,
    at_least,
    at_most,
    fused,
    kept,
    product,
    reciprocal,
    square_root,
    within,
)
from synchrojax.families._base import Point
from synchrojax.families._single_electron import conversion_cone
from synchrojax.special import power_until

BOX = {"k": (0.0, 4.0)}
# a choice, of the scale of rho_Q, in training: heavier points are too few to learn from
FLOOR = 0.1
# a choice, of that scale: corrections that fall with s sin(theta) are less where the others are
# learned
FAR = 3e-4


class Smear(NamedTuple):
    """ln of sin^2(theta) and sin^k averaged over a cone; the share of the cone in the former."""

    log_across: Points
    share: Points
    log_power: Points


def smear(p: Point, gamma: Points) -> Smear:
    """What electrons of Lorentz factor ``gamma`` make of the angle of ``p``."""
    direct = p.sine * p.sine
    # 3 / (1 + gamma^2) is a rough mean square angle of the cone: it goes into features and scales
    # alone, and the networks learn the rest
    cone = 3.0 * p.cosine * p.cosine * reciprocal(1.0 + gamma * gamma)
    share = 3.0 * reciprocal(3.0 + direct * (1.0 + gamma * gamma))
    log_across = jnp.log(direct + cone)
    # towards k = 4, electrons far from the line of sight count as much as those that beam along it;
    # 0.05 as in ``log_smeared``, a rough size for features and scales
    far = 0.05 * p.k**3 * power_until(p.k - 4.0, jnp.log(gamma)) * share * share
    return kept(Smear(log_across, share, 0.5 * p.k * log_across + jnp.log1p(at_least(far, 0.0))))


# made by data/make_pitch_smear.py: polynomials in 1 / (1 + ln gamma) (rows) and (k - 2) / 2
# (columns)
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
    [
        [0.3749, -0.0226, 0.0398],
        [-0.1197, 0.1281, -0.2004],
        [-0.2657, -0.3162, 0.3249],
        [0.3451, 0.1227, -0.1413],
    ]
)
_BETWEEN = np.array(
    [
        [2.0331, -0.3566, -1.1559, -0.4483],
        [-0.203, -1.0065, 2.9187, 3.7453],
        [0.3998, 4.4221, -3.0146, -6.5007],
        [-0.2323, -3.0911, 1.2599, 3.2184],
    ]
)


_TABLES = np.zeros((13, 4))
_TABLES[:5], _TABLES[5:9, :3], _TABLES[9:] = _ALONG, _ACROSS, _BETWEEN


class _Sight(NamedTuple):
    """What ``log_smeared`` takes of a point: the angle, k, and rows of ``_TABLES``."""

    sine: Points
    cosine: Points
    k: Points
    rows: tuple[Points, ...]


def _sight(p: Point) -> _Sight:
    q = 0.5 * within(p.k, -0.2, 4.2) - 1.0
    powers = jnp.stack([jnp.ones_like(q), q, q * q, q**3])
    return _Sight(p.sine, p.cosine, p.k, tuple(product(jnp.asarray(_TABLES, q.dtype), powers)))


def _polynomials(
    v: Float[Arrays, "nodes *points"], rows: tuple[Points, ...]
) -> list[Float[Arrays, "nodes *points"]]:
    """Those three."""
    found = []
    for table in rows[:5], rows[5:9], rows[9:]:
        total: Points = table[-1][None]
        for row in table[-2::-1]:
            total = total * v + row[None]
        found.append(total)
    return found


def log_smeared(p: Point, gamma: Float[Arrays, "nodes *points"]) -> Float[Arrays, "nodes *points"]:
    """ln of sin^k over sin^k(theta) as rho_Q sees it far above resonance, to 2 %.

    rho_Q of a shell of electrons over that of an isotropic shell: sin^k(theta) for large gamma
    sin(theta), (t / gamma)^k along B, a polynomial of sin^2(theta) for k = 2 and 4.
    """
    return _log_smeared(_sight(p), gamma)


def _log_smeared(
    p: _Sight, gamma: Float[Arrays, "nodes *points"]
) -> Float[Arrays, "nodes *points"]:
    # the bounds here and below hold off poles, 1 + ln gamma = 0 and the arguments of log1p at -1,
    # that are met far outside the box alone
    log_gamma = at_least(jnp.log(gamma), -0.5)
    k, sine, cosine = p.k[None], p.sine[None], p.cosine[None]
    v = reciprocal(1.0 + log_gamma)
    # of electrons far from the line of sight, for k -> 4: the factor 0.05 is a choice with which
    # data/make_pitch_smear.py fits the polynomials, so that they take up what it leaves
    spread = 0.05 * k**2 * power_until(k - 4.0, log_gamma)
    x = at_least(k * spread, -0.9)
    # below 1e-3 the series is right to x^2 / 3 = 3e-7
    small = jnp.abs(x) < 1e-3
    safe = jnp.where(small, 1.0, x)
    growth = jnp.where(small, 1.0 - 0.5 * x, jnp.log1p(safe) * reciprocal(safe))
    log_along, across, between = _polynomials(v, p.rows)
    slant = cosine * reciprocal(gamma * sine)
    along = jnp.exp(log_along + 2.0 * spread * growth) * slant * slant
    lost = across * reciprocal(gamma * gamma)
    gain = along * (between * (1.0 - lost) + along) - lost * (2.0 - lost)
    return 0.25 * k * jnp.log1p(at_least(gain, -0.9))


def off_cone(
    p: Point, gamma: Float[Arrays, "nodes *points"], log_x: Float[Arrays, "nodes *points"]
) -> tuple[Float[Arrays, "nodes *points"], Float[Arrays, "nodes *points"]]:
    """Two factors of what sin^k changes in rho_Q of electrons.

    Over sin^k(theta) and the high-frequency limit; the second is that change of what electrons far
    off their cone turn. Below resonance their cone is wider; far off it they are as at high
    frequency. A smear with gamma sqrt(c) and weight c^2 has both, the mean square angle c / gamma^2
    and the tail ~ angle^-5.
    """
    return fused(_off_cone, _sight(p), gamma, log_x)


def _off_cone(
    p: _Sight, gamma: Float[Arrays, "nodes *points"], log_x: Float[Arrays, "nodes *points"]
) -> tuple[Float[Arrays, "nodes *points"], Float[Arrays, "nodes *points"]]:
    cone = kept(conversion_cone(log_x))
    return cone * cone, jnp.expm1(_log_smeared(p, kept(gamma * square_root(cone))))


def rotation_v(p: Point, cone: Points) -> tuple[Points, Points]:
    """What sin^k makes of rho_V: the factor of the isotropic one, and the logarithm it gains.

    Angles from the line of sight down to the square root of ``cone`` count equally in their
    logarithm; so sin^k of each of them does.
    """
    reach = -0.5 * jnp.log(p.sine * p.sine + p.cosine * p.cosine * cone)
    fixed = jnp.exp(-p.k * reach)
    return fixed, power_until(-p.k, reach) - fixed * reach


# enough for the 1e-5 of ``rotation_v_ratio``
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(96)


def rotation_v_ratio(p: Point, gamma: Float[Array, " gammas"]) -> Float[Array, " gammas"]:
    """rho_V of electrons with ``gamma`` far above resonance, over the isotropic one, to 1e-5.

    To learn from: a quadrature for scalars of ``p``, ``gamma`` of any shape. The leading Debye term
    of (J Y)' is -z / (pi (a^2 - z^2)^(3/2)); by parts in g' a shell contributes -Int du_par f u' g'
    / w^3, if isotropic 2 sin(theta) cos(theta) arccosh(gamma) f.
    """
    gamma = gamma[..., None]
    u = jnp.sqrt((gamma - 1.0) * (gamma + 1.0))
    low = -jnp.arcsinh((u + p.cosine * gamma) / p.sine)
    high = jnp.arcsinh((gamma * p.sine**2 / (1.0 + p.cosine) - 1.0 / (gamma + u)) / p.sine)
    middle, total = jnp.clip(0.0, low, high), jnp.zeros_like(gamma[..., 0])
    for start, stop in ((low, middle), (middle, high)):
        v = 0.5 * (stop + start + (stop - start) * _NODES[None])
        along = p.sine * jnp.sinh(v) + p.cosine * gamma  # u_par
        g = (gamma - p.cosine * along) / p.sine
        power = at_least(1.0 - (along / u) ** 2, 1e-30) ** (0.5 * p.k)
        each = -power * g * jnp.sinh(v) / jnp.cosh(v) ** 2
        total = total + 0.5 * (stop - start)[..., 0] * jnp.sum(_WEIGHTS[None] * each, -1)
    return 0.5 * total / (p.cosine * 2.0 * jnp.arcsinh(jnp.sqrt(0.5 * (gamma[..., 0] - 1.0))))


def angle_weight(sine: Float[Arrays, " rows"]) -> Float[np.ndarray, " rows"]:
    """Weight of rho_V at small angles where sin^k counts.

    As in ``_learning``, but that sin^k changes its slope down to theta = 1 / gamma = 1e-3.
    """
    # falling again from where the two meet, sine = 1.3e-3
    return np.clip(np.minimum(0.05 / sine, 3e4 * sine), 1.0, None)


def curvature(p: Point) -> Float[Array, "2 *points"]:
    """What multiplies the two parts of a correction.

    sin^k over the cone of an electron bends by k (k cos^2 - 1).
    """
    bend = p.k * p.cosine * p.cosine
    return jnp.stack([jnp.ones_like(bend), bend])


def second_order(p: Point, log_x: Points) -> Float[Array, "*points"]:
    """What ``off_cone`` leaves to learn of its own size, as far as it falls with s sin(theta).

    It holds the bend of sin^k over the cone of an electron, so that the square of that is left, a
    small part of itself, and that times corrections of the isotropic kernel. The cone is x^(1/6) /
    gamma_0 wide for x < 1.
    """
    # 10 keeps squares of x in the range of float32; 0.02 is that small part, a choice of scale
    width = (jnp.exp(at_most(log_x, 10.0)) + jnp.exp(log_x / 3.0)) * reciprocal(p.s * p.sine)
    z = p.k * (1.0 + p.k * p.cosine * p.cosine) * width
    return z * (0.02 + width + z) * reciprocal((1.0 + z) * (1.0 + z + width))


def log_mean(k: Reals) -> Float[Array, "..."]:
    """ln of the mean of sin^k over all directions."""
    return gammaln(1.5) + gammaln(1.0 + 0.5 * k) - gammaln(1.5 + 0.5 * k)
