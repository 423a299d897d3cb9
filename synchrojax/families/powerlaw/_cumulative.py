"""Isotropic power laws: cumulative coefficients of electrons above an edge, and their limits."""

import functools
import math
import pathlib
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.polynomial.chebyshev import chebder

from synchrojax.core import (
    Arrays,
    Points,
    Reals,
    at_most,
    cold,
    fused,
    product,
    reciprocal,
    rows_of,
    softplus,
    square_root,
    within,
)
from synchrojax.families._base import Networks
from synchrojax.families._box import direction_features
from synchrojax.families._pitch import log_mean
from synchrojax.special import power_until

# one array for each
Features: TypeAlias = tuple[Points, ...]


class Point(NamedTuple):
    """A direction and a distribution; all that the coefficients depend on."""

    s: Points
    sine: Points
    cosine: Points
    p: Points
    gamma_min: Points
    gamma_max: Points
    k: Any = None  # like the others, or none: isotropic


class Cumulative(NamedTuple):
    """What electrons above an edge g have.

    L [6], C of rho_Q over ``rotation_unit`` and its scale, g^(p + 1) C of rho_V.
    """

    odds: Float[Arrays, "6 *points"]
    rho_q: Points
    size: Points
    rho_v: Points


class Edge(NamedTuple):
    """One end of the power law.

    Its Lorentz factor gamma, ln(gamma), 1 / gamma, ln of x = gamma_0^2 / gamma^2,
    ln(1 + 1 / x) / 2, and the exponent there.
    """

    gamma: Points
    log_gamma: Points
    per_gamma: Points
    log_x: Points
    low: Points
    exponent: Points


def log_gamma_0(p: Point) -> Points:
    return 0.5 * (jnp.log(p.s) - jnp.log(p.sine))


def _debye(v: Reals, w: Reals) -> tuple[Reals, Reals, Reals]:
    """r^2, D and H of r = w / sqrt(v^2 + w^2).

    D = (arctanh(r) - r) / r^3 and H = 2 (1 - r^2) d(r^2 D) / d(r^2) = 1 - (1 - r^2) D.
    """
    over = reciprocal(square_root(v * v + w * w))
    r, z = w * over, v * over
    # at r = 0.3 the series is right to 2e-7, its slope to 1e-6, and the direct form loses a factor
    # of 30
    square, small = r * r, r < 0.3
    r2 = jnp.where(small, square, 0.0)
    series = 1 / 3 + r2 * (1 / 5 + r2 * (1 / 7 + r2 * (1 / 9 + r2 * (1 / 11 + r2 / 13))))
    slope = 1 / 3 + r2 * (2 / 5 + r2 * (3 / 7 + r2 * (4 / 9 + r2 * (5 / 11 + r2 * (6 / 13)))))
    big, z = jnp.where(small, 0.5, r), jnp.where(small, 0.75**0.5, z)
    direct = (jnp.log((1.0 + big) * reciprocal(z)) - big) * reciprocal(big * big * big)
    rest = jnp.where(small, series, direct)
    return square, rest, jnp.where(small, 2.0 * (1.0 - r2) * slope, 1.0 - z * z * direct)


@jax.custom_jvp
def _debye_exponent(v: Reals, w: Reals) -> Reals:
    """g arctanh(w / g) - w with g^2 = v^2 + w^2, v and w > 0."""
    square, rest, _ = _debye(v, w)
    return w * square * rest


@_debye_exponent.defjvp
def _debye_exponent_slope(
    primals: tuple[Reals, Reals], tangents: tuple[Reals, Reals]
) -> tuple[Reals, Reals]:
    (v, w), (dv, dw) = primals, tangents
    square, rest, steep = _debye(v, w)
    return w * square * rest, square * ((rest + steep) * dw - w * reciprocal(v) * steep * dv)


def edge_at(p: Point, gamma: Points) -> Edge:
    """J_a(z)^2 ~ exp(-exponent) for electrons of pitch angle theta: (2/3) x for large gamma."""
    log_gamma = jnp.log(gamma)
    # 1e-4 keeps the slope of u finite where gamma = 1, and matters to gamma - 1 of that size alone
    u = square_root((gamma - 1.0) * (gamma + 1.0) + 1e-4)
    drift = p.cosine * reciprocal(p.sine * (gamma + u))
    w = square_root(1.0 + drift * drift)
    exponent = 2.0 * p.s * p.sine * _debye_exponent(u * p.sine, w)
    log_x = 2.0 * (log_gamma_0(p) - log_gamma)
    return Edge(gamma, log_gamma, reciprocal(gamma), log_x, 0.5 * softplus(-log_x), exponent)


# Emission and absorption -------------------------------------------------------------------


def log_totals(p: Point) -> Float[Arrays, "6 *points"]:
    """ln |C(1)| of the six of emission and absorption, up to order one [6, ...].

    V is over |cos(theta)|.
    """
    # -65 is about ln(4 pi e^2 / (sqrt(3) c)), and 63.5 two above -ln(2 m_e), the ratio of
    # absorption to emission of one electron but for powers of gamma and nu: what is left is of
    # order one
    log_gamma, log_sine = log_gamma_0(p), jnp.log(p.sine)
    emission = (-1.0 - p.p) * log_gamma - 65.0
    if p.k is not None:
        emission = emission + p.k * log_sine
    circular = float(np.log(2.0)) - 0.5 * (jnp.log(p.s) + log_sine)  # of cos(theta) times this
    absorbed, turned = (rows_of(v, log_gamma) for v in ((0, 0, 0, 1, 1, 1), (0, 0, 1, 0, 0, 1)))
    return emission[None] + absorbed * (63.5 - log_gamma)[None] + turned * circular[None]


# L ~ (n / 2) ln x for x -> 0 and exponent - (m / 2) ln x for x -> infinity, with n and m above p
_LOW = (-1 / 3, -1 / 3, 0.0, 2 / 3, 2 / 3, 1.0)
_HIGH = (-2.0, -2.0, -1.0, 1.0, 1.0, 2.0)


def log_odds(p: Point, edge: Edge) -> Float[Arrays, "6 *points"]:
    """The asymptotes of L [6, ...], joined."""
    low, high = edge.low, edge.low + 0.5 * edge.log_x
    n, m = rows_of(_LOW, low), rows_of(_HIGH, high)
    return (edge.exponent - p.p * (low + high))[None] - n * low[None] - m * high[None]


# ln x outside of which the corrections are constant, a choice: below, j_I has L < -8 for any p of
# the box; above, the exponent is over 90
CLIP_X = (-14.0, 5.0)
# made by data/make_powerlaw_limit.py
_TABLES = np.load(pathlib.Path(__file__).with_name("_limit.npz"), allow_pickle=False)
_TABLES = {name: _TABLES[name] for name in _TABLES}
_LIMIT = tuple((_TABLES[f"odds.{k}.kernel"], _TABLES[f"odds.{k}.bias"]) for k in range(3))


def limit_features(p: Points, log_x: Points) -> Features:
    """What the limit of L depends on.

    In the first, powers of x^(2/3) on both sides become polynomials.
    """
    # the first is the m of data/make_powerlaw_limit.py, the second a choice that helps the network
    log_x = at_most(log_x, CLIP_X[1])
    return jnp.tanh(log_x / 3.0), jnp.tanh(log_x), mapped_p(p)


def mapped_far(log_x: Points) -> Points:
    """ln x to -1..1 about the sharpest feature of rho_Q."""
    # the width as in ``limit_features``; the middle is a choice
    return jnp.tanh((log_x - 2.5) / 3.0)


def mapped_p(p: Points) -> Points:
    # p from 1.35 to 7.2, as data/make_powerlaw_limit.py draws it, to -1..1
    return (p - 4.275) / 2.925


def limit_odds(features: Float[Arrays, "3 *points"]) -> Float[Arrays, "6 *points"]:
    """L - ``log_odds`` of I, Q and V of both kinds where s sin(theta) is large [6, ...].

    Of ``limit_features``.
    """
    x = features
    for layer, (kernel, bias) in enumerate(_LIMIT):
        x = jnp.tanh(x) if layer else x
        kernel, bias = kernel.astype(x.dtype), bias.astype(x.dtype)
        x = product(kernel.T, x) + bias.reshape(-1, *(1,) * (x.ndim - 1))
    return x


def total_features(p: Point) -> Features:
    # p from 1.5 to 7 to about -1..1
    return (p.p - 4.0) / 3.0, *direction_features(p.s, p.sine)


def edge_features(p: Point, edge: Edge) -> Features:
    log_x = within(edge.log_x, *CLIP_X)
    # 1/2 for large gamma, where the exponent is (2/3) x; centres and widths bring the features to
    # order one, and the network learns the rest
    slow = reciprocal(1.0 + 1.5 * edge.exponent * jnp.exp(-edge.log_x))
    return (
        (log_x + 2.0) / 5.0,
        jnp.tanh(0.5 * log_x),
        edge.per_gamma,
        4.0 * slow - 1.0,
    )


def far_features(p: Point, edge: Edge) -> Features:
    return (p.p - 4.0) / 3.0, 2.0 * edge.per_gamma - 1.0


def decline(p: Point) -> Points:
    """How corrections to the limit of large s sin(theta) decline."""
    return reciprocal(p.s * p.sine)


def slow_share(p: Point, edge: Edge) -> Points:
    """1 / gamma^2 over ``decline``, x sin^2(theta), bounded."""
    # the bound of 10 is a choice: a larger share has x > 10, where emission is below e^-6
    share = p.sine * p.sine * jnp.exp(edge.log_x)
    return share * reciprocal(1.0 + 0.1 * share)


# Rotativities ------------------------------------------------------------------------------


def log_rotation_v(p: Point, edge: Edge) -> Points:
    """ln of g^(p + 1) C(g) of rho_V, up to order one.

    It comes from the high-frequency kernel arccosh(gamma) / (gamma u).
    """
    return jnp.log(jnp.log1p(edge.gamma) / (p.p + 1.0))


def steady(log_x: Points) -> Points:
    """How corrections to rho_V vanish where gamma is far below gamma_0."""
    # as 1 / x; from where, x = e^3, is a choice of scale, and the network learns the rest
    return jax.nn.sigmoid(3.0 - log_x)


def flat(p: Point, edge: Edge) -> Points:
    """Where what follows gamma_0 matters to edges far below it, and can be learned from them."""
    # p < 3.3 and x > e^4, soft: choices, beside p < 3.6 and x from 300 to 1e5 of the rows that
    # ``rho_Q_total`` learns from
    return jax.nn.sigmoid(6.0 * (3.3 - p.p)) * jax.nn.sigmoid(2.0 * (edge.log_x - 4.0))


def rotation_q_parts(p: Point, edge: Edge) -> tuple[Points, Points, Points, Points]:
    """The parts of C(g) / g^(2 - p) of rho_Q.

    ``inside`` + ``constant`` t + ``envelope`` y + ``wide`` z, t and y known, z learned. ``inside``:
    the high-frequency kernel 2 gamma - 1 / gamma up to gamma_0, ``constant``: what follows, which
    matters where p is small. The kernel is 1 + 16 / x^2 + 2.1 / (s' x) + ... of its limit for x ->
    infinity and goes as x^(4/3) for x -> 0; its corrections fall as 1 / s' and are largest where x
    is a few.
    """
    log_x, above = edge.log_x, edge.log_x > 0.0
    # powers of x by those of t <= 1: x = t^-6 or t^6
    t = jnp.exp(jnp.where(above, -log_x, log_x) / 6.0)
    t2 = t * t
    t4 = t2 * t2
    t6, t8 = t2 * t4, t4 * t4
    t9, t12 = t * t8, t4 * t8
    t14, t20, t21 = t2 * t12, t8 * t12, t9 * t12
    length = 0.25 * softplus(2.0 * log_x)  # ln(gamma_0 / g) where that is positive
    inside = 2.0 * power_until(2.0 - p.p, length) - edge.per_gamma**2 * power_until(-p.p, length)
    # 1 to 0 where p passes 3.5: there ``constant`` hands over to the tail of ``envelope``; middle
    # and width are choices, to which t and y are then fitted (data/make_powerlaw_limit.py)
    level = jax.nn.sigmoid(1.5 * (3.5 - p.p))
    below_gamma_0 = jnp.where(above, 1.0, t12) * reciprocal(1.0 + t12)
    constant = 2.0 * level * jnp.exp((2.0 - p.p) * length) * below_gamma_0
    # x^(4/3) / (1 + x^(7/3)) and x^(4/3) / (1 + x^(10/3))
    tail = (1.0 - level) * jnp.where(above, t6, t8) * reciprocal(1.0 + t14)
    envelope = jnp.where(above, t12, t8) * reciprocal(1.0 + t20) + tail
    envelope = envelope * reciprocal(p.p + 2.0 / 3.0)
    # the size of what is learned, a choice of scale: 1 / ((x / e^1.2)^-2 + (x / e^1.7)^1.5),
    # largest at x = 4.5
    low, high = math.exp(2.4), math.exp(-2.55)
    peak = jnp.where(above, t9, t12) * reciprocal(
        jnp.where(above, low * t21 + high, low + high * t21)
    )
    # and 2 % up to x = e^7: 0.02 / (1 + x / e^7)
    far = math.exp(-7.0)
    reach = (
        0.02 * jnp.where(above, t6, 1.0) * reciprocal(jnp.where(above, t6 + far, 1.0 + far * t6))
    )
    reach = reach + peak
    return inside, constant, envelope, reach * rotation_size(inside, constant, envelope)


def _chebyshev(degree: int, z: Points) -> Features:
    """T_0 ... T_degree of z."""
    rows = [jnp.ones_like(z), z]
    for _ in range(degree - 1):
        rows.append(2.0 * z * rows[-1] - rows[-2])
    return tuple(rows)


def _clenshaw(z: Points, coefficients: Features) -> Points:
    """The sum of those times ``coefficients``."""
    after: Points = jnp.zeros_like(z)
    last = after
    for each in coefficients[:0:-1]:
        after, last = each + 2.0 * z * after - last, after
    return coefficients[0] + z * after - last


# coefficients c_nm of T_n(z) T_m(q), with as many T_m(q) in both, which are evaluated once
_SERIES = {name: np.atleast_2d(_TABLES[name]) for name in ("constant", "conversion")}
_DEGREE = max(table.shape[1] for table in _SERIES.values()) - 1


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def _series(name: str, order_x: int, order_p: int, z: Points, q: Points) -> Float[Array, "*points"]:
    """A derivative of one of ``_SERIES``, of such orders."""
    table = chebder(chebder(_SERIES[name], order_p, axis=1), order_x, axis=0)
    # as many for derivatives, too, so that what is compiled is the same
    rows, columns = table.shape
    table = np.pad(table, [(0, len(_SERIES[name]) - rows), (0, _DEGREE + 1 - columns)])
    by_p = fused(functools.partial(_chebyshev, _DEGREE), q)
    return fused(_clenshaw, z, tuple(product(jnp.asarray(table, q.dtype), jnp.stack(by_p))))


@_series.defjvp
def _series_slope(
    name: str,
    order_x: int,
    order_p: int,
    primals: tuple[Points, Points],
    tangents: tuple[Reals, Reals],
) -> tuple[Float[Array, "*points"], Float[Array, "*points"]]:
    # a series again, instead of the derivative of the recurrence
    value = _series(name, order_x, order_p, *primals)
    by_z = _series(name, order_x + 1, order_p, *primals)
    by_q = _series(name, order_x, order_p + 1, *primals)
    return value, by_z * tangents[0] + by_q * tangents[1]


def conversion_limit(p: Point, edge: Edge) -> tuple[Points, Points]:
    """t and y of ``rotation_q_parts`` where s sin(theta) is large."""
    z, q = mapped_far(edge.log_x), mapped_p(p.p)
    return _series("constant", 0, 0, jnp.zeros_like(q), q), _series("conversion", 0, 0, z, q)


def rotation_unit(p: Point, gamma: Points) -> Points:
    """What ``rotation_q_parts`` is measured in."""
    return cold(p.s, p.sine, p.cosine)[0] * jnp.exp((2.0 - p.p) * jnp.log(gamma))


def rotation_size(inside: Points, constant: Points, envelope: Points) -> Points:
    """The scale of rho_Q, which has no zero."""
    # 0.5 and 0.3 are choices: errors are measured in this, and rho_Q is between -1 and 1.3 of it at
    # the edges that are learned from
    return jnp.abs(inside) + 0.5 * constant + 0.3 * envelope


def log_norm(p: Point) -> Points:
    """ln of (p - 1) / (gamma_min^(1 - p) - gamma_max^(1 - p)), and over the mean of sin^k."""
    # right for ends close to each other
    decades = jnp.log1p((p.gamma_max - p.gamma_min) / p.gamma_min)
    steep = p.p - 1.0
    norm = jnp.log(steep) + steep * jnp.log(p.gamma_min) - jnp.log(-jnp.expm1(-steep * decades))
    return norm if p.k is None else norm - log_mean(p.k)


# With the networks ---------------------------------------------------------------------------


class Known(NamedTuple):
    """What goes into ``Cumulative`` beside networks: their features, and the functions above."""

    near: Features
    far: Features
    limit: Features
    decline: Points
    slow_share: Points
    flat: Points
    steady: Points
    rotation_q: tuple[Points, Points, Points, Points]
    size: Points
    log_rotation_v: Points


def known_at(p: Point, edge: Edge, total: Features) -> Known:
    """``total``: ``total_features``."""
    parts = rotation_q_parts(p, edge)
    return Known(
        (*edge_features(p, edge), *total),
        far_features(p, edge),
        limit_features(p.p, edge.log_x),
        decline(p),
        slow_share(p, edge),
        flat(p, edge),
        steady(edge.log_x),
        parts,
        rotation_size(*parts[:3]),
        log_rotation_v(p, edge),
    )


def combine(
    head: str, output: Float[Arrays, "outputs *points"], extra: Float[Arrays, "1 *points"]
) -> Float[Arrays, "parts *points"]:
    """Corrections near an edge, of two parts.

    One falls as 1 / s' and one as 1 / gamma^2 (``slow_share``).
    """
    if head not in ("edge", "rho_Q_edge"):
        return output
    half = len(output) // 2
    return output[:half] + extra * output[half:]


class Learned(NamedTuple):
    """What networks, of electrons and of the limits, make of ``Known``."""

    limit: Float[Arrays, "6 *points"]
    odds: Float[Arrays, "12 *points"]
    constant: Points
    envelope: Points
    following: Points
    wide: Float[Arrays, "2 *points"]
    rotation_v: tuple[Points, Points]


def following(networks: Networks, total: Features) -> Points:
    """What ``rho_Q_total`` makes of ``total_features``, whatever the edge."""
    return networks["rho_Q_total"](jnp.stack(total))[0]


def learned_at(
    networks: Networks, p: Point, edge: Edge, known: Known, following: Points
) -> Learned:
    near = jnp.stack(known.near)
    return Learned(
        limit_odds(jnp.stack(known.limit)),
        networks["edge"](near),
        *conversion_limit(p, edge),
        following,
        networks["rho_Q_edge"](near),
        (networks["rho_V_far"](jnp.stack(known.far))[0], networks["rho_V"](near)[0]),
    )


def cumulative(p: Point, edge: Edge, known: Known, learned: Learned) -> Cumulative:
    """``Cumulative`` of isotropic electrons."""

    def correction(
        head: str, output: Float[Arrays, "outputs *points"]
    ) -> Float[Arrays, "parts *points"]:
        return known.decline[None] * combine(head, output, known.slow_share[None])

    odds = log_odds(p, edge) + learned.limit + correction("edge", learned.odds)
    inside, constant, envelope, wide = known.rotation_q
    rho_q = (
        inside
        + constant * (learned.constant + known.flat * known.decline * learned.following)
        + envelope * learned.envelope
        + wide * correction("rho_Q_edge", learned.wide)[0]
    )
    far, near = learned.rotation_v
    rho_v = jnp.exp(known.log_rotation_v + far + known.steady * near)
    return Cumulative(odds, rho_q, known.size, rho_v)
