"""What the networks of a power law learn from pairs of rows: electrons above a gamma, and below."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Shaped

from synchrojax.core import Arrays, Columns, cold
from synchrojax.distributions import HIGHEST_GAMMA
from synchrojax.families import _pitch
from synchrojax.families._base import Networks, Rows
from synchrojax.families._box import S_PERP
from synchrojax.families._learning import FLOOR, angle_weight, oblique
from synchrojax.families.powerlaw import _anisotropy
from synchrojax.families.powerlaw import _cumulative as physics

_STOKES = ("j_I", "j_Q", "j_V", "alpha_I", "alpha_Q", "alpha_V")
_SIGNS = np.array([1.0, -1.0, 1.0, 1.0, -1.0, 1.0])
NEARLY_ONE = 1.0 + 2e-6  # harmonics averaged, as for every gamma_min above 1


class Pairs(NamedTuple):
    """Pairs of rows that share an edge.

    Numbers of the first in the table, point and edge, exact C and D of the eight. ``lower`` and
    ``upper``: how much an error matters where the edge is a gamma_min and where it is a gamma_max.
    """

    numbers: Int[np.ndarray, " pairs"]
    p: physics.Point
    edge: physics.Edge
    above: Float[np.ndarray, "8 pairs"]
    below: Float[np.ndarray, "8 pairs"]
    lower: Float[np.ndarray, " pairs"]
    upper: Bool[np.ndarray, " pairs"]

    @property
    def odds(self) -> Float[np.ndarray, "6 pairs"]:
        """L [6, pair]."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log(self.above[:6] / self.below[:6])

    @property
    def log_rotation_v(self) -> Float[Arrays, " pairs"]:
        """ln of g^(p + 1) C(g) of rho_V."""
        exact = self.above[7] / cold(self.p.s, self.p.sine, self.p.cosine)[1]
        return np.log(exact) + (self.p.p + 1.0) * self.edge.log_gamma

    @property
    def log_totals(self) -> Float[Arrays, "6 pairs"]:
        """ln |C + D| [6, pair], V over |cos(theta)|, less the known part."""
        odd = np.where(np.arange(6)[:, None] % 3 == 2, np.asarray(self.p.cosine), 1.0)
        return np.log((self.above + self.below)[:6] * _SIGNS[:, None] / odd) - physics.log_totals(
            self.p
        )


def read_pairs(table: Columns, point: Callable) -> Pairs:
    """``Pairs`` of a table of pairs {name: [row]}; ``point``: (s, theta, own) -> ``Point``."""
    columns = {n: np.asarray(table[n]) for n in table}
    above = np.flatnonzero(columns["gamma_max"] > 0.999 * HIGHEST_GAMMA)
    above = above[above + 1 < len(columns["s"])]
    paired = columns["gamma_min"][above] == columns["gamma_max"][above + 1]
    for n in ("s", "theta"):
        paired &= columns[n][above] == columns[n][above + 1]
    keep = above[paired & oblique(columns["theta"][above])]

    def read(
        rows: Int[np.ndarray, " pairs"],
    ) -> tuple[physics.Point, Float[np.ndarray, "8 pairs"]]:
        p = point(
            columns["s"][rows], columns["theta"][rows], {n: v[rows] for n, v in columns.items()}
        )
        eight = np.stack([columns[n][rows] for n in (*_STOKES, "rho_Q", "rho_V")])
        return p, eight / np.exp(np.asarray(physics.log_norm(p)))

    (p, c), (_, d) = read(keep), read(keep + 1)
    gamma = np.asarray(p.gamma_min)
    # as gamma_min an edge is at most 1e3; as gamma_max at least 1e2, and above 1e3 it is a small
    # part
    lower = np.minimum(1.0, 1.2e3 / gamma) ** (np.asarray(p.p) - 1.0)
    return Pairs(keep, p, physics.edge_at(p, p.gamma_min), c, d, lower, gamma > 80.0)


def _odds_weight(
    odds: Float[np.ndarray, "6 pairs"],
    lower: Float[np.ndarray, " pairs"],
    upper: Shaped[np.ndarray, " pairs"],
) -> Float[np.ndarray, "6 pairs"]:
    """How much an error of L matters at a lower or upper end; large L are of no consequence."""
    # 8, like 12 where rows are chosen, is a choice: D is e^-8 = 3e-4 of C there
    share = 1.0 / (1.0 + np.exp(-odds))  # C / (C + D)
    return np.maximum((1.0 - share) * lower, share * upper) / (
        1.0 + np.maximum(odds / 8.0, 0.0) ** 2
    )


def _rows(
    pairs: Pairs,
    use: Bool[Arrays, " pairs"],
    features: Float[Arrays, "features pairs"],
    extra: Float[Arrays, "extra pairs"],
    target: Float[Arrays, "*targets pairs"],
    weight: Float[Arrays, "*targets pairs"],
) -> Rows:
    use = np.asarray(use)
    columns = features, extra, np.atleast_2d(target), np.atleast_2d(weight)
    return Rows(pairs.numbers[use], *(np.asarray(v)[:, use].T for v in columns))


def _near_features(p: physics.Point, edge: physics.Edge) -> physics.Features:
    return *physics.edge_features(p, edge), *physics.total_features(p)


def isotropic_rows(head: str, pairs: Pairs, networks: Networks) -> Rows:
    """``Rows`` of a network of the isotropic power law."""
    p, edge = pairs.p, pairs.edge
    use, features = np.asarray(p.s * p.sine) > 0.999 * S_PERP, _near_features(p, edge)
    decline = np.asarray(physics.decline(p))
    near = decline > 1.0 / 2000.0  # what is left beyond is no more than the errors of the limit
    if head == "total":
        features, target = physics.total_features(p), pairs.log_totals
        weight = np.ones(target.shape)
    elif head == "edge":
        odds, limit = pairs.odds, jnp.stack(physics.limit_features(p.p, edge.log_x))
        use &= near & np.all(np.isfinite(odds) & (odds < 12.0), 0)
        target = (odds - physics.log_odds(p, edge) - physics.limit_odds(limit)) / decline
        weight = _odds_weight(odds, pairs.lower, pairs.upper) * decline
    elif head == "rho_V_far":
        features, target = (
            physics.far_features(p, edge),
            pairs.log_rotation_v - physics.log_rotation_v(p, edge),
        )
        weight = pairs.lower
        # ``steady`` is below 2e-4 there
        use &= edge.log_x > np.log(1e5)
    elif head == "rho_V":
        far = networks["rho_V_far"](jnp.stack(physics.far_features(p, edge)))[0]
        steady = np.asarray(physics.steady(edge.log_x))
        target = (pairs.log_rotation_v - np.asarray(physics.log_rotation_v(p, edge) + far)) / steady
        weight = pairs.lower * steady * angle_weight(p.sine)
        # ``steady`` is below 2 % from there on
        use &= edge.log_x < np.log(1e3)
    else:
        return _conversion_rows(head, pairs, networks, use & near)
    return _rows(
        pairs,
        use,
        jnp.stack(features),
        np.asarray(physics.slow_share(p, edge)[None]),
        target,
        weight,
    )


def _conversion_rows(
    head: str, pairs: Pairs, networks: Networks, use: Bool[np.ndarray, " pairs"]
) -> Rows:
    """The same for rho_Q."""
    p, edge, decline = pairs.p, pairs.edge, np.asarray(physics.decline(pairs.p))
    unit = physics.rotation_unit(p, np.asarray(p.gamma_min))
    inside, constant, envelope, wide = (np.asarray(v) for v in physics.rotation_q_parts(p, edge))
    t, y = physics.conversion_limit(p, edge)
    c, d = np.asarray(pairs.above[6] / unit), np.asarray(pairs.below[6] / unit)
    share = np.asarray(physics.slow_share(p, edge)[None])
    total, flat = jnp.stack(physics.total_features(p)), physics.flat(p, edge)
    if head == "rho_Q_total":
        # what the kernel's 2.1 / (s' x) takes away below g
        following = 4.2 * np.exp(-edge.log_x) / (4.0 - p.p) / (p.s * p.sine)
        scale = constant * decline * np.asarray(flat)
        target = (c - inside - constant * t - envelope * y + following) / scale
        use = use & (edge.log_x > np.log(300.0)) & (edge.log_x < np.log(1e5)) & (p.p < 3.6)
        return _rows(pairs, use, total, share, target, scale / np.abs(c))
    t = t + flat * decline * networks["rho_Q_total"](total)[0]
    target = (c - inside - constant * t - envelope * y) / wide / decline
    floor = FLOOR * physics.rotation_size(inside, constant, envelope)
    weight = (
        wide
        * np.maximum(pairs.lower / np.maximum(np.abs(c), floor), pairs.upper / np.maximum(d, floor))
        * decline
    )
    # the kernel is within 16 / x^2 + 2.1 / (s' x) of its limit: nothing to learn is left at 1e4
    use = use & (edge.log_x > physics.CLIP_X[0]) & (edge.log_x < np.log(1e4))
    return _rows(pairs, use, jnp.stack(_near_features(p, edge)), share, target, weight)


def _rotation_v_limit(p: physics.Point) -> Float[Array, " pairs"]:
    """g^(p + 1) C(g) of rho_V at gamma_min with anisotropy far above resonance, by quadrature."""
    nodes, weights = (0.5 * v for v in np.polynomial.legendre.leggauss(24))

    def one(p: physics.Point) -> Float[Array, ""]:
        # the integrand has fallen by about e^-22
        reach: Any = 22.0 / (p.p + 1.0)
        t = reach * (nodes + 0.5)
        gamma: Any = p.gamma_min * jnp.exp(t)
        wide = jnp.sqrt((gamma - 1.0) * (gamma + 1.0))
        each = (
            p.gamma_min
            * jnp.exp(-p.p * t)
            * 2.0
            * jnp.arcsinh(jnp.sqrt(0.5 * (gamma - 1.0)))
            / wide
        )
        return reach * jnp.sum(weights * each * _pitch.rotation_v_ratio(p, gamma))

    return jax.lax.map(one, jax.tree.map(jnp.asarray, p), batch_size=256)


def anisotropic_rows(head: str, pairs: Pairs, networks: Networks) -> Rows:
    """``Rows`` of a network of anisotropy: what it changes."""
    p, edge = pairs.p, pairs.edge
    use = np.asarray(p.s * p.sine) > 0.999 * S_PERP
    if head == "pitch_total":
        features, extra = map(jnp.stack, _anisotropy.total_inputs(p))
        target = pairs.log_totals - networks["total"](features[:-1])
        return _rows(pairs, use, features, extra, target, np.ones(target.shape))
    total = physics.total_features(p)
    known = physics.known_at(p, edge, total)
    turned = _anisotropy.known_at(p, edge, known)
    features, extra = map(jnp.stack, turned.inputs[head])
    if head == "pitch_rho_V_far":
        isotropic = known.log_rotation_v + networks["rho_V_far"](jnp.stack(known.far))[0]
        factor, added = _anisotropy.rotation_v(p, 1.0 / edge.gamma**2)
        base = factor * jnp.exp(isotropic) + added
        target, weight = (
            jnp.log(_rotation_v_limit(p) / base),
            pairs.lower * _pitch.angle_weight(p.sine),
        )
        return _rows(pairs, use, features, extra, target, weight)
    following = physics.following(networks, total)
    plain = physics.cumulative(
        p, edge, known, physics.learned_at(networks, p, edge, known, following)
    )
    learned = _anisotropy.learned_at(networks, p, edge, turned)
    found = _anisotropy.changed(turned, learned, plain)
    if head == "pitch_edge":
        odds = pairs.odds
        use &= np.all(np.isfinite(odds) & (odds < 12.0), 0)
        target, weight = odds - found.odds, _odds_weight(odds, pairs.lower, pairs.upper)
    elif head == "pitch_rho_V":
        # ``steady`` is 2e-3 there
        use &= np.asarray(edge.log_x < np.log(1e4))
        target, weight = (
            pairs.log_rotation_v - np.log(found.rho_v),
            pairs.lower * _pitch.angle_weight(p.sine),
        )
    else:
        unit = physics.rotation_unit(p, edge.gamma)
        floor, c, d = _pitch.FLOOR * found.size, pairs.above[6] / unit, pairs.below[6] / unit
        target = c - found.rho_q
        weight = np.maximum(
            pairs.lower / np.maximum(np.abs(c), floor), pairs.upper / np.maximum(d, floor)
        )
        near = _anisotropy.rotation_scales(p, edge)[1]
        at_edge = head == "pitch_rho_Q_edge"
        use &= np.asarray(
            edge.log_x > physics.CLIP_X[0] if at_edge else near < _pitch.FAR * found.size
        )
    return _rows(pairs, use, features, extra, target, weight)
