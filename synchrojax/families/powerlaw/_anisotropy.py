"""What sin^k of the pitch angle changes in the cumulative coefficients (``families._pitch``)."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from synchrojax.core import Arrays, Points, Reals, at_most, fused, reciprocal, rows_of, softplus
from synchrojax.families import _pitch
from synchrojax.families._base import Networks
from synchrojax.families._single_electron import conversion_cone
from synchrojax.families.powerlaw import _cumulative as physics
from synchrojax.families.powerlaw._cumulative import Cumulative, Edge, Features, Point
from synchrojax.special import power_until


def rotation_v(p: Point, cone: Points) -> tuple[Points, Points]:
    """What sin^k makes of g^(p + 1) C(g) of rho_V: a factor, and what it adds.

    The latter is the logarithm over angles.
    """
    factor, spread = _pitch.rotation_v(p, cone)
    return factor, spread / (p.p + 1.0)


# nodes in ln(gamma / g) over its range to the power 1/3. With 64 of them rho_Q changes by 3e-4 of
# its scale or less at 99 % of points to learn from (tests/families/test_quadratures.py), which the
# network takes up
_ROOTS, _WEIGHTS = np.polynomial.legendre.leggauss(16)
_ROOTS, _WEIGHTS = 0.5 * (1.0 + _ROOTS), 0.5 * _WEIGHTS
# from where the cone is narrower than theta, the integrand falls as gamma^-p: with 12 instead of 5
# rho_Q changes by 3e-4 of its scale at most (the same test)
_REACH = 5.0


def off_cone(p: Point, edge: Edge) -> Float[Array, "*points"]:
    """What sin^k over the cone of each electron adds to C(g) / g^(2 - p) of rho_Q.

    It is taken instead of sin^k(theta).
    """
    each, reach = fused(_off_cone, p, edge)
    return jnp.sum(each, 0) * reach


def _off_cone(p: Point, edge: Edge) -> tuple[Float[Arrays, "nodes *points"], Points]:
    """What is summed over nodes, and the factor of the sum."""
    reach = _REACH + 0.5 * jnp.log1p((p.cosine / (p.sine * edge.gamma)) ** 2)
    root, weight = rows_of(_ROOTS, p.p), rows_of(_WEIGHTS, p.p)
    t = reach[None] * root**3
    growth = jnp.exp(-t)
    gamma, per_gamma = edge.gamma[None] * reciprocal(growth), edge.per_gamma[None] * growth
    fast, change = _pitch.off_cone(p, gamma, edge.log_x[None] - 2.0 * t)
    each = fast * change * jnp.exp((2.0 - p.p)[None] * t) * (2.0 - per_gamma * per_gamma)
    return 3.0 * weight * root**2 * each, jnp.exp(p.k * jnp.log(p.sine)) * reach


def rotation_scales(p: Point, edge: Edge) -> tuple[Points, Points]:
    """Sizes of the corrections of rho_Q: that stay, and that fall with s sin(theta)."""
    # 0.04 is a choice of scale: ``_pitch.log_smeared`` is right to 2 %
    smear, cone = _pitch.smear(p, edge.gamma), conversion_cone(edge.log_x)
    reach = 0.5 * (smear.log_across - 2.0 * jnp.log(p.sine))
    stay = 0.04 * cone * cone * jnp.exp(smear.log_power) * power_until(2.0 - p.p - p.k, reach)
    length = 0.25 * softplus(2.0 * edge.log_x)
    low = softplus(-edge.log_x)
    high = low + edge.log_x
    follow = jnp.exp((2.0 - p.p) * length - 3.0 * low + p.k * jnp.log(p.sine))  # from gamma_0
    own = jnp.exp(smear.log_power - 4.0 / 3.0 * low - 2.0 * high)  # from g
    middle = jnp.zeros_like(edge.log_x)
    return p.k * stay, follow * _pitch.second_order(p, middle) + own * _pitch.second_order(
        p, edge.log_x
    )


# With the networks ---------------------------------------------------------------------------


def combine(
    head: str, output: Float[Arrays, "outputs *points"], extra: Float[Arrays, "extra *points"]
) -> Float[Array, "parts *points"]:
    """Parts that stay and parts that fall with s sin(theta), each in proportion to k.

    V has one that stays.
    """
    if head not in ("pitch_total", "pitch_edge"):
        return jnp.sum(extra * output, 0, keepdims=True)
    k, *falling = extra
    change = sum(fall[None] * output[6 * i : 6 * i + 6] for i, fall in enumerate(falling))
    emitted, absorbed = (rows_of(v, k) for v in ((0, 0, 1, 0, 0, 0), (0, 0, 0, 0, 0, 1)))
    return change + k[None] * (emitted * output[-2][None] + absorbed * output[-1][None])


def total_inputs(p: Point) -> tuple[Features, Features]:
    """Features and what ``combine`` takes for the network that knows no edge."""
    return (*physics.total_features(p), 0.5 * p.k - 1.0), (p.k, p.k * physics.decline(p))


class Known(NamedTuple):
    """What goes into ``changed`` beside networks.

    ``inputs``: head -> (features, what ``combine`` takes), one array for each. sin^k(theta), and
    ``rotation_v``.
    """

    inputs: dict[str, tuple[Features, Features]]
    power: Points
    rotation_v: tuple[Points, Points]


def known_at(p: Point, edge: Edge, known: physics.Known) -> Known:
    smear, slow = _pitch.smear(p, edge.gamma), p.k * known.decline
    # centres and widths bring the features to order one, and the network learns the rest
    angle = 0.5 * p.k - 1.0, smear.log_across / 6.0
    added = *angle, jnp.exp(smear.log_power), 1.0 - 2.0 * p.sine * p.sine
    smeared = *known.near, *added[:3]
    # 10 as in ``_pitch.second_order``, 0.1 as in ``slow_share``
    x = jnp.exp(at_most(edge.log_x, 10.0))
    share, curved = x * reciprocal(1.0 + 0.1 * x), slow * _pitch.curvature(p)[1]
    stay, near = rotation_scales(p, edge)
    far, k = (*known.far, *added), p.k
    # at 1 / gamma
    turning = 2.0 * smear.share - 1.0, 2.0 * reciprocal(1.0 + edge.log_gamma) - 1.0
    inputs = {
        "pitch_edge": (smeared[:-1], (k, slow, curved, slow * share, curved * share)),
        "pitch_rho_V_far": ((*far, *turning), (k,)),
        "pitch_rho_V": (smeared, (k * known.steady,)),
        "pitch_rho_Q_far": (far, (stay,)),
        "pitch_rho_Q_edge": (smeared[:-2], (near,)),
    }
    cone = edge.per_gamma**2 + p.sine * reciprocal(p.s)
    return Known(inputs, jnp.exp(p.k * jnp.log(p.sine)), rotation_v(p, cone))


class Learned(NamedTuple):
    """What networks and ``off_cone`` make of ``Known``, as far as the networks are there."""

    outputs: dict[str, Float[Arrays, "outputs *points"]]
    off_cone: Points


def learned_at(networks: Networks, p: Point, edge: Edge, known: Known) -> Learned:
    outputs: dict[str, Arrays] = {
        head: networks[head](jnp.stack(features))
        for head, (features, _) in known.inputs.items()
        if head in networks
    }
    return Learned(outputs, off_cone(p, edge))


def changed(known: Known, learned: Learned, isotropic: Cumulative) -> Cumulative:
    """``Cumulative`` with anisotropy."""
    change = {
        head: combine(head, output, jnp.stack(known.inputs[head][1]))
        for head, output in learned.outputs.items()
    }

    def total(*heads: str) -> Reals:
        return sum(change[head][0] for head in heads if head in change)

    slow, (factor, added) = learned.off_cone, known.rotation_v
    odds = isotropic.odds + change.get("pitch_edge", 0.0)
    rho_q = known.power * isotropic.rho_q + slow + total("pitch_rho_Q_far", "pitch_rho_Q_edge")
    rho_v = (factor * isotropic.rho_v + added) * jnp.exp(total("pitch_rho_V_far", "pitch_rho_V"))
    return Cumulative(odds, rho_q, known.power * isotropic.size + jnp.abs(slow), rho_v)
