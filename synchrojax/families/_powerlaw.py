"""Power-law electrons with sharp ends, between physical and network space.

All coefficients are linear in f: those of gamma_min..gamma_max are C(gamma_min) - C(gamma_max), where the cumulative
C(g) belongs to the electrons above g. With D(g) = C(1) - C(g) and L = ln(C / D),

    C(a) - C(b) = C(1) sigma(L(a)) sigma(-L(b)) (1 - exp(L(b) - L(a))),    sigma(x) = 1 / (1 + exp(-x)),

which loses no digits, neither far below gamma_min nor far above gamma_max, and is positive. Networks learn ln C(1)
as a function of direction and p, and the corrections to L, which fall as 1 / (s sin(theta)) and 1 / gamma^2; the limit
is known (data/make_powerlaw_limit.py). rho_V needs C alone. rho_Q changes sign: its high-frequency integral, closed at
gamma_0 = sqrt(s / sin(theta)), its tabulated limit, and corrections of the same kind.

Anisotropy is learned as what it changes in C(1), L and the rotativities (``_pitch``): the isotropic networks are the
packaged ones.
"""

import pathlib
from types import MappingProxyType
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from synchrojax.core import CLASSICAL, limit_polarization, sine_cosine
from synchrojax.distributions import HIGHEST_GAMMA
from synchrojax.families import _pitch, _scale_free
from synchrojax.families._scale_free import FLOOR, conversion_cone, power_until
from synchrojax.networks import forward, product


class Point(NamedTuple):
    """A direction and a distribution; all that the coefficients depend on."""

    s: jax.Array
    sine: jax.Array
    cosine: jax.Array
    p: jax.Array
    gamma_min: jax.Array
    gamma_max: jax.Array
    k: jax.Array | None = None  # none: isotropic


class Cumulative(NamedTuple):
    """Of electrons above an edge g: L [6], C of rho_Q over ``rotation_unit`` and its scale, g^(p + 1) C of rho_V."""

    odds: jax.Array
    rho_q: jax.Array
    size: jax.Array
    rho_v: jax.Array


class Edge(NamedTuple):
    """One end of the power law: ln of its Lorentz factor, of x = gamma_0^2 / gamma^2, and the exponent there."""

    gamma: jax.Array
    log_gamma: jax.Array
    log_x: jax.Array
    exponent: jax.Array


def _log_gamma_0(p):
    return 0.5 * (jnp.log(p.s) - jnp.log(p.sine))


def edge_at(p, gamma):
    """J_a(z)^2 ~ exp(-exponent) for electrons of pitch angle theta: (2/3) x for large gamma."""
    log_gamma = jnp.log(gamma)
    u = jnp.sqrt((gamma - 1.0) * (gamma + 1.0) + 1e-4)
    drift = p.cosine / p.sine / (gamma + u)
    w = jnp.sqrt(1.0 + drift * drift)
    g = jnp.sqrt(u * u * p.sine * p.sine + w * w)
    r = w / g
    small = r < 0.3
    r2 = jnp.where(small, r * r, 0.0)
    series = 1 / 3 + r2 * (1 / 5 + r2 * (1 / 7 + r2 * (1 / 9 + r2 * (1 / 11 + r2 / 13))))
    big = jnp.where(small, 0.5, r)
    direct = (jnp.log((1.0 + big) * g / (u * p.sine)) - big) / big**3
    exponent = 2.0 * p.s * p.sine * w * r * r * jnp.where(small, series, direct)
    return Edge(gamma, log_gamma, 2.0 * (_log_gamma_0(p) - log_gamma), exponent)


# Emission and absorption -------------------------------------------------------------------


def rows_of(values, like):
    """Constants along a new first axis; a stack of expressions would evaluate what they share for each."""
    return jnp.asarray(values, like.dtype).reshape(-1, *(1,) * like.ndim)


def _log_totals(p):
    """ln |C(1)| of j_I, j_Q, j_V, alpha_I, alpha_Q, alpha_V, up to order one [6, ...]; V over |cos(theta)|."""
    log_gamma, log_sine = _log_gamma_0(p), jnp.log(p.sine)
    emission = (-1.0 - p.p) * log_gamma - 65.0
    if p.k is not None:
        emission = emission + p.k * log_sine
    circular = float(np.log(2.0)) - 0.5 * (jnp.log(p.s) + log_sine)  # of cos(theta) times this
    absorbed, turned = (rows_of(v, log_gamma) for v in ((0, 0, 0, 1, 1, 1), (0, 0, 1, 0, 0, 1)))
    return emission + absorbed * (63.5 - log_gamma) + turned * circular


# L ~ (n / 2) ln x for x -> 0 and exponent - (m / 2) ln x for x -> infinity, with n and m above p
_LOW = (-1 / 3, -1 / 3, 0.0, 2 / 3, 2 / 3, 1.0)
_HIGH = (-2.0, -2.0, -1.0, 1.0, 1.0, 2.0)


def log_odds(p, edge):
    """The asymptotes of L [6, ...], joined."""
    low, high = 0.5 * jax.nn.softplus(-edge.log_x), 0.5 * jax.nn.softplus(edge.log_x)
    n, m = rows_of(_LOW, low), rows_of(_HIGH, high)
    return (edge.exponent - p.p * (low + high)) - n * low - m * high


_CLIP_X = (-14.0, 5.0)  # ln x beyond which the corrections are constant
# made by data/make_powerlaw_limit.py
_TABLES = np.load(pathlib.Path(__file__).with_name("_powerlaw_limit.npz"), allow_pickle=False)
_TABLES = {name: _TABLES[name] for name in _TABLES}
_LIMIT = tuple((_TABLES[f"odds.{k}.kernel"], _TABLES[f"odds.{k}.bias"]) for k in range(3))


def limit_features(p, log_x):
    """What the limit of L depends on; in the first, powers of x^(2/3) on both sides become polynomials."""
    log_x = jnp.minimum(log_x, _CLIP_X[1])
    return jnp.stack([jnp.tanh(log_x / 3.0), jnp.tanh(log_x), mapped_p(p)])


def mapped_far(log_x):
    """ln x to -1..1 about the sharpest feature of rho_Q."""
    return jnp.tanh((log_x - 2.5) / 3.0)


def mapped_p(p):
    return (p - 4.275) / 2.925


def _chebyshev(z, degree):
    """T_0 ... T_degree of z [degree + 1, ...]."""
    rows = [jnp.ones_like(z), z]
    for _ in range(degree - 1):
        rows.append(2.0 * z * rows[-1] - rows[-2])
    return jnp.stack(rows)


def _limit_odds(p, edge):
    """L - ``log_odds`` of I, Q and V of both kinds where s sin(theta) is large [6, ...]."""
    return forward(_LIMIT, limit_features(p.p, edge.log_x))


def _total_features(p):
    return [(p.p - 4.0) / 3.0, *_scale_free.features(p.s, p.sine)]


def _edge_features(p, edge):
    log_x = jnp.clip(edge.log_x, *_CLIP_X)
    slow = 1.0 / (1.0 + 1.5 * edge.exponent * jnp.exp(-edge.log_x))  # 1/2 for large gamma, less for small
    return [(log_x + 2.0) / 5.0, jnp.tanh(0.5 * log_x), 1.0 / edge.gamma, 4.0 * slow - 1.0, *_total_features(p)]


def _far_features(p, edge):
    return [(p.p - 4.0) / 3.0, 2.0 / edge.gamma - 1.0]


def _decline(p):
    """How corrections to the limit of large s sin(theta) decline."""
    return 1.0 / (p.s * p.sine)


def _slow_share(p, edge):
    """1 / gamma^2 over ``_decline``, x sin^2(theta), bounded."""
    share = p.sine * p.sine * jnp.exp(edge.log_x)
    return share / (1.0 + 0.1 * share)


# Rotativities ------------------------------------------------------------------------------


def _log_rotation_v(p, edge):
    """ln of g^(p + 1) C(g) of rho_V, from the high-frequency kernel arccosh(gamma) / (gamma u), up to order one."""
    return jnp.log(jnp.log1p(edge.gamma) / (p.p + 1.0))


def _log_rotation_v_of(c, p, edge):
    """The same of exact ``c``."""
    return np.log(c / (2.0 * CLASSICAL * p.cosine / p.s)) + (p.p + 1.0) * edge.log_gamma


def _rotation_v(p, isotropic, cone):
    """g^(p + 1) C(g) of rho_V with the logarithm over angles that anisotropy adds."""
    fixed, spread = _pitch.rotation_v(p, cone)
    return fixed * isotropic + spread / (p.p + 1.0)


def _rotation_v_limit(p):
    """g^(p + 1) C(g) of rho_V at g = gamma_min with anisotropy far above resonance, by quadrature."""
    nodes, weights = (0.5 * v for v in np.polynomial.legendre.leggauss(24))

    def one(p):
        reach = 22.0 / (p.p + 1.0)
        t = reach * (nodes + 0.5)
        gamma = p.gamma_min * jnp.exp(t)
        wide = jnp.sqrt((gamma - 1.0) * (gamma + 1.0))
        each = p.gamma_min * jnp.exp(-p.p * t) * 2.0 * jnp.arcsinh(jnp.sqrt(0.5 * (gamma - 1.0))) / wide
        return reach * jnp.sum(weights * each * _pitch.rotation_v_ratio(p, gamma))

    return jax.lax.map(one, jax.tree.map(jnp.asarray, p), batch_size=256)


def _steady(log_x):
    """How corrections to rho_V vanish where gamma is far below gamma_0."""
    return jax.nn.sigmoid(3.0 - log_x)


def _flat(p, edge):
    """Where what follows gamma_0 matters to edges far below it, and can be learned from them."""
    return jax.nn.sigmoid(6.0 * (3.3 - p.p)) * jax.nn.sigmoid(2.0 * (edge.log_x - 4.0))


def rotation_q_parts(p, edge):
    """C(g) / g^(2 - p) of rho_Q = ``inside`` + ``constant`` t + ``envelope`` y + ``wide`` z, t, y known, z learned.

    ``inside``: the high-frequency kernel 2 gamma - 1 / gamma up to gamma_0, ``constant``: what follows, which matters
    where p is small. The kernel is 1 + 16 / x^2 + 2.1 / (s' x) + ... of its limit for x -> infinity and goes as x^(4/3)
    for x -> 0; its corrections fall as 1 / s' and are largest where x is a few.
    """
    log_x = edge.log_x
    length = 0.25 * jax.nn.softplus(2.0 * log_x)  # ln(gamma_0 / g) where that is positive
    inside = 2.0 * power_until(2.0 - p.p, length) - jnp.exp(-2.0 * edge.log_gamma) * power_until(-p.p, length)
    flat = jax.nn.sigmoid(1.5 * (3.5 - p.p))
    constant = 2.0 * flat * jnp.exp((2.0 - p.p) * length) * jax.nn.sigmoid(2.0 * log_x)
    low = 4.0 / 3.0 * log_x - jnp.log(p.p + 2.0 / 3.0)
    tail = (1.0 - flat) * jnp.exp(low - jax.nn.softplus(7.0 / 3.0 * log_x))
    envelope = jnp.exp(low - jax.nn.softplus(10.0 / 3.0 * log_x)) + tail
    peak = jnp.exp(-jnp.logaddexp(2.0 * (1.2 - log_x), 1.5 * (log_x - 1.7)))
    reach = 0.02 * jax.nn.sigmoid(7.0 - log_x) + peak
    return inside, constant, envelope, reach * rotation_size(inside, constant, envelope)


def _conversion_limit(p, edge):
    """t and y of ``rotation_q_parts`` where s sin(theta) is large."""
    constant, table = (jnp.asarray(_TABLES[k], p.p.dtype) for k in ("constant", "conversion"))
    by_p = _chebyshev(mapped_p(p.p), table.shape[1] - 1)
    by_x, t = product(table, by_p), product(constant[None], by_p[: len(constant)])[0]
    # Clenshaw's recurrence
    z, after, last = mapped_far(edge.log_x), 0.0, 0.0
    for row in by_x[:0:-1]:
        after, last = row + 2.0 * z * after - last, after
    return t, by_x[0] + z * after - last


def rotation_unit(p, gamma):
    """What ``rotation_q_parts`` is measured in."""
    return -CLASSICAL * (p.sine / p.s) ** 2 * jnp.exp((2.0 - p.p) * jnp.log(gamma))


# nodes in ln(gamma / g) over its range to the power 1/3
_ROOTS, _WEIGHTS = np.polynomial.legendre.leggauss(16)
_ROOTS, _WEIGHTS = 0.5 * (1.0 + _ROOTS), 0.5 * _WEIGHTS


def _off_cone(p, edge):
    """What sin^k over the cone of each electron, instead of sin^k(theta), adds to C(g) / g^(2 - p) of rho_Q."""
    reach = 5.0 + 0.5 * jnp.log1p((p.cosine / (p.sine * edge.gamma)) ** 2)
    root, weight = rows_of(_ROOTS, p.p), rows_of(_WEIGHTS, p.p)
    t = reach * root**3
    gamma = edge.gamma * jnp.exp(t)
    each = _pitch.off_cone(p, gamma, edge.log_x - 2.0 * t) * jnp.exp((2.0 - p.p) * t) * (2.0 - 1.0 / (gamma * gamma))
    return jnp.exp(p.k * jnp.log(p.sine)) * jnp.sum(3.0 * weight * root**2 * each, 0) * reach


def _pitch_rotation_scales(p, edge):
    """Sizes of the corrections of rho_Q: that stay, and that fall with s sin(theta)."""
    smear, cone = _pitch.smear(p, edge.gamma), conversion_cone(edge.log_x)
    reach = 0.5 * (smear.log_across - 2.0 * jnp.log(p.sine))
    stay = 0.04 * cone * cone * jnp.exp(smear.log_power) * power_until(2.0 - p.p - p.k, reach)
    length = 0.25 * jax.nn.softplus(2.0 * edge.log_x)
    low, high = jax.nn.softplus(-edge.log_x), jax.nn.softplus(edge.log_x)
    follow = jnp.exp((2.0 - p.p) * length - 3.0 * low + p.k * jnp.log(p.sine))  # from gamma_0
    own = jnp.exp(smear.log_power - 4.0 / 3.0 * low - 2.0 * high)  # from g
    middle = jnp.zeros_like(edge.log_x)
    return p.k * stay, follow * _pitch.second_order(p, middle) + own * _pitch.second_order(p, edge.log_x)


def rotation_size(inside, constant, envelope):
    """The scale of rho_Q, which has no zero."""
    return jnp.abs(inside) + 0.5 * constant + 0.3 * envelope


def _odds_weight(odds, lower, upper):
    """How much an error of L matters at a lower or upper end; large L are of no consequence."""
    share = 1.0 / (1.0 + np.exp(-odds))  # C / (C + D)
    return np.maximum((1.0 - share) * lower, share * upper) / (1.0 + np.maximum(odds / 8.0, 0.0) ** 2)


# Families ----------------------------------------------------------------------------------

_STOKES = ("j_I", "j_Q", "j_V", "alpha_I", "alpha_Q", "alpha_V")
_SIGNS = np.array([1.0, -1.0, 1.0, 1.0, -1.0, 1.0])
_RATIOS = np.kron(np.eye(2), [[1.0, 0.0, 0.0], [-1.0, 1.0, 0.0], [-1.0, 0.0, 1.0]])  # ln I, ln Q / I, ln V / I
NEARLY_ONE = 1.0 + 2e-6  # harmonics averaged, as for every gamma_min above 1


def log_norm(p):
    """ln of (p - 1) / (gamma_min^(1 - p) - gamma_max^(1 - p)), and over the mean of sin^k."""
    decades = jnp.log1p((p.gamma_max - p.gamma_min) / p.gamma_min)  # right for ends close to each other
    steep = p.p - 1.0
    norm = jnp.log(steep) + steep * jnp.log(p.gamma_min) - jnp.log(-jnp.expm1(-steep * decades))
    return norm if p.k is None else norm - _pitch.log_mean(p.k)


class Family(_scale_free.Family):
    """Power-law electrons; see ``_families``."""

    WIDTHS = (24, 24)
    REACH = MappingProxyType(
        {"p": (1.01, 8.5), "gamma_min": (1.0, 3e3), "gamma_max": (1.001, HIGHEST_GAMMA), "k": (-0.2, 4.2)}
    )
    HEAD_WIDTHS = MappingProxyType({"rho_Q_edge": (32, 32)})

    def __init__(self, name, *, pitch):
        own = {"p": (1.5, 7.0), "gamma_min": (1.0, 1e3), "gamma_max": (1e2, HIGHEST_GAMMA)}
        own |= _pitch.BOX if pitch else {}
        self.pitch = pitch
        self.BLOCK = 16384 if pitch else 32768
        super().__init__(name, own)
        total, edge, far = 3, 7, 2
        self.HEADS = {
            "total": (total, 6),
            "edge": (edge, 12),
            "rho_V_far": (far, 1),
            "rho_V": (edge, 1),
            "rho_Q_total": (total, 1),
            "rho_Q_edge": (edge, 2),
        }
        if pitch:
            self.BASE = "powerlaw"
            own = {"total": (total + 1, 8), "edge": (edge + 2, 26)}
            own |= {"rho_V_far": (far + 6, 1), "rho_V": (edge + 3, 1)}
            own |= {"rho_Q_far": (far + 4, 1), "rho_Q_edge": (edge + 1, 1)}
            self.HEADS |= {f"pitch_{head}": size for head, size in own.items()}
            self.HEAD_WIDTHS = dict.fromkeys(
                ("rho_Q_edge", "pitch_edge", "pitch_rho_V_far", "pitch_rho_V", "pitch_rho_Q_edge"), (32, 32)
            )

    def __reduce__(self):
        return self.NAME.upper()  # one object each, under that name below

    def combine(self, head, output, extra):
        """Corrections near an edge: a part that falls as 1 / s' and one that falls as 1 / gamma^2 (``_slow_share``).

        What anisotropy changes: for V a part that stays beside those that fall.
        """
        if head in ("edge", "rho_Q_edge"):
            half = len(output) // 2
            return output[:half] + extra * output[half:]
        if head in ("pitch_total", "pitch_edge"):
            k, *falling = extra
            change = sum(fall * output[6 * i : 6 * i + 6] for i, fall in enumerate(falling))
            emitted, absorbed = (rows_of(v, k) for v in ((0, 0, 1, 0, 0, 0), (0, 0, 0, 0, 0, 1)))
            return change + k * (emitted * output[-2] + absorbed * output[-1])
        return jnp.sum(extra * output, 0, keepdims=True) if head.startswith("pitch") else output

    def point(self, s, theta, p, gamma_min, gamma_max, k=None):
        gamma_max = jnp.minimum(gamma_max, HIGHEST_GAMMA)
        return Point(s, *sine_cosine(theta), p, gamma_min, gamma_max, k)

    def training_rows(self, head, table, networks):
        """Rows come in pairs (``lessons``): all electrons above a gamma, then all below."""
        columns = {n: np.asarray(table[n]) for n in table}
        above = np.flatnonzero(columns["gamma_max"] > 0.999 * HIGHEST_GAMMA)
        above = above[above + 1 < len(columns["s"])]
        paired = columns["gamma_min"][above] == columns["gamma_max"][above + 1]
        for n in ("s", "theta"):
            paired &= columns[n][above] == columns[n][above + 1]
        keep = above[paired & _scale_free.oblique(columns["theta"][above])]

        def read(rows):
            p = self.point(*(columns[n][rows] for n in ("s", "theta", *self.PARAMETERS)))
            return p, np.stack([columns[n][rows] for n in (*_STOKES, "rho_Q", "rho_V")]) / np.exp(
                np.asarray(log_norm(p))
            )

        (p, c), (_, d) = read(keep), read(keep + 1)
        edge, gamma = edge_at(p, p.gamma_min), np.asarray(p.gamma_min)
        # as gamma_min an edge is at most 1e3; as gamma_max at least 1e2, and above 1e3 it is a small part
        lower = np.minimum(1.0, 1.2e3 / gamma) ** (np.asarray(p.p) - 1.0)
        upper = gamma > 80.0
        use, features = np.asarray(p.s * p.sine) > 0.999 * _scale_free.S_PERP, _edge_features(p, edge)
        if head in ("total", "rho_Q_total"):
            features = _total_features(p)
        elif head == "rho_V_far":
            features = _far_features(p, edge)
        if head.startswith("pitch"):
            return self._anisotropy(head, keep, use, p, edge, c, d, lower, upper, networks)
        decline = np.asarray(_decline(p))
        near = decline > 1.0 / 2000.0  # what is left beyond is no more than the errors of the limit
        if head == "total":
            odd = np.where(np.arange(6)[:, None] % 3 == 2, np.asarray(p.cosine), 1.0)
            target = np.log((c + d)[:6] * _SIGNS[:, None] / odd) - _log_totals(p)
            weight = np.ones(target.shape)
        elif head == "edge":
            with np.errstate(divide="ignore", invalid="ignore"):
                odds = np.log(c[:6] / d[:6])
            use &= near & np.all(np.isfinite(odds) & (odds < 12.0), 0)
            weight = _odds_weight(odds, lower, upper)
            target = (odds - log_odds(p, edge) - _limit_odds(p, edge)) / decline
            weight = weight * decline
        elif head == "rho_V_far":
            target = _log_rotation_v_of(c[7], p, edge) - _log_rotation_v(p, edge)
            weight = lower
            use &= edge.log_x > np.log(1e5)
        elif head == "rho_V":
            far = np.asarray(_log_rotation_v(p, edge) + networks["rho_V_far"](jnp.stack(_far_features(p, edge)))[0])
            steady = np.asarray(_steady(edge.log_x))
            target = (_log_rotation_v_of(c[7], p, edge) - far) / steady
            weight = lower * steady * _scale_free.angle_weight(p.sine)
            use &= edge.log_x < np.log(1e3)
        else:
            unit = rotation_unit(p, gamma)
            inside, constant, envelope, wide = (np.asarray(v) for v in rotation_q_parts(p, edge))
            t, y = _conversion_limit(p, edge)
            c, d = np.asarray(c[6] / unit), np.asarray(d[6] / unit)
            if head == "rho_Q_total":
                # what the kernel's 2.1 / (s' x) takes away below g
                following = 4.2 * np.exp(-edge.log_x) / (4.0 - p.p) / (p.s * p.sine)
                scale = constant * decline * np.asarray(_flat(p, edge))
                target = (c - inside - constant * t - envelope * y + following) / scale
                use &= near & (edge.log_x > np.log(300.0)) & (edge.log_x < np.log(1e5)) & (p.p < 3.6)
                weight = scale / np.abs(c)
            else:
                t = t + _flat(p, edge) * decline * networks["rho_Q_total"](jnp.stack(_total_features(p)))[0]
                target = (c - inside - constant * t - envelope * y) / wide / decline
                floor = FLOOR * rotation_size(inside, constant, envelope)
                weight = wide * np.maximum(lower / np.maximum(np.abs(c), floor), upper / np.maximum(d, floor))
                weight = weight * decline
                use &= near & (edge.log_x > _CLIP_X[0]) & (edge.log_x < np.log(1e4))
        share = _slow_share(p, edge)[None]
        columns = np.stack(features), np.asarray(share), np.atleast_2d(target), np.atleast_2d(weight)
        return keep[use], *(v[:, use].T for v in columns)

    def _anisotropy(self, head, rows, use, p, edge, c, d, lower, upper, networks):
        """``training_rows`` of a network of anisotropy; ``c`` and ``d`` belong to the electrons above and below."""
        before = list(self.HEADS)[: list(self.HEADS).index(head)]
        known = self._cumulative({h: networks[h] for h in before if h in networks}, p, edge)
        features, extra = self._pitch_total_inputs(p) if head == "pitch_total" else self._pitch_inputs(p, edge)[head]
        if head == "pitch_total":
            odd = np.where(np.arange(6)[:, None] % 3 == 2, p.cosine, 1.0)
            target = np.log((c + d)[:6] * _SIGNS[:, None] / odd) - _log_totals(p) - networks["total"](features[:-1])
            weight = np.ones(target.shape)
        elif head == "pitch_edge":
            with np.errstate(divide="ignore", invalid="ignore"):
                odds = np.log(c[:6] / d[:6])
            use = use & np.all(np.isfinite(odds) & (odds < 12.0), 0)
            target, weight = odds - known.odds, _odds_weight(odds, lower, upper)
        elif head in ("pitch_rho_Q_far", "pitch_rho_Q_edge"):
            unit = rotation_unit(p, edge.gamma)
            floor = _pitch.FLOOR * known.size
            target = c[6] / unit - known.rho_q
            weight = np.maximum(lower / np.maximum(np.abs(c[6] / unit), floor), upper / np.maximum(d[6] / unit, floor))
            near = _pitch_rotation_scales(p, edge)[1]
            use = use & (edge.log_x > _CLIP_X[0] if head == "pitch_rho_Q_edge" else near < _pitch.FAR * known.size)
        else:
            weight = lower * _pitch.angle_weight(p.sine)
            if head == "pitch_rho_V_far":
                isotropic = _log_rotation_v(p, edge) + networks["rho_V_far"](jnp.stack(_far_features(p, edge)))[0]
                base = _rotation_v(p, jnp.exp(isotropic), 1.0 / edge.gamma**2)
                target = jnp.log(_rotation_v_limit(p) / base)
            else:
                use = use & (edge.log_x < np.log(1e4))
                target = _log_rotation_v_of(c[7], p, edge) - np.log(known.rho_v)
        use = np.asarray(use)
        columns = features, extra, np.atleast_2d(target), np.atleast_2d(weight)
        return rows[use], *(np.asarray(v)[:, use].T for v in columns)

    def _pitch_total_inputs(self, p):
        """Features and what ``combine`` takes for the network of anisotropy that knows no edge."""
        return jnp.stack([*_total_features(p), 0.5 * p.k - 1.0]), jnp.stack([p.k, p.k * _decline(p)])

    def _pitch_inputs(self, p, edge):
        """head -> (features, what ``combine`` takes) for the networks of anisotropy at an edge."""
        smear, slow = _pitch.smear(p, edge.gamma), p.k * _decline(p)
        angle = [0.5 * p.k - 1.0, smear.log_across / 6.0]
        smeared = jnp.stack([*_edge_features(p, edge), *angle, jnp.exp(smear.log_power)])
        x = jnp.exp(jnp.minimum(edge.log_x, 10.0))
        share, curved = x / (1.0 + 0.1 * x), slow * _pitch.curvature(p)[1]
        stay, near = _pitch_rotation_scales(p, edge)
        square = 1.0 - 2.0 * p.sine * p.sine
        far, k = jnp.stack([*_far_features(p, edge), *angle, smeared[-1], square]), p.k[None]
        turning = jnp.stack([*far, 2.0 * smear.share - 1.0, 2.0 / (1.0 + edge.log_gamma) - 1.0])  # at 1 / gamma
        return {
            "pitch_edge": (smeared[:-1], jnp.stack([p.k, slow, curved, slow * share, curved * share])),
            "pitch_rho_V_far": (turning, k),
            "pitch_rho_V": (smeared, k * _steady(edge.log_x)),
            "pitch_rho_Q_far": (far, stay[None]),
            "pitch_rho_Q_edge": (smeared[:-2], near[None]),
        }

    def _cumulative(self, networks, p, edge):
        """What belongs to the electrons above an edge, from those networks of anisotropy that are there."""
        features, decline = jnp.stack(_edge_features(p, edge)), _decline(p)

        def correction(head):
            return decline * self.combine(head, networks[head](features), _slow_share(p, edge))

        odds = log_odds(p, edge) + _limit_odds(p, edge) + correction("edge")
        t, y = _conversion_limit(p, edge)
        following = decline * networks["rho_Q_total"](jnp.stack(_total_features(p)))[0]
        inside, constant, envelope, wide = rotation_q_parts(p, edge)
        size = rotation_size(inside, constant, envelope)
        rho_q = inside + constant * (t + _flat(p, edge) * following) + envelope * y + wide * correction("rho_Q_edge")[0]
        far = networks["rho_V_far"](jnp.stack(_far_features(p, edge)))
        near = _steady(edge.log_x) * networks["rho_V"](features)
        rho_v = jnp.exp(_log_rotation_v(p, edge) + (far + near)[0])
        if p.k is not None:
            change = {
                head: self.combine(head, networks[head](x), extra)
                for head, (x, extra) in self._pitch_inputs(p, edge).items()
                if head in networks
            }
            power, slow = jnp.exp(p.k * jnp.log(p.sine)), _off_cone(p, edge)
            odds = odds + change.get("pitch_edge", 0.0)
            rho_q = power * rho_q + slow
            rho_q = rho_q + sum(change.get(head, (0.0,))[0] for head in ("pitch_rho_Q_far", "pitch_rho_Q_edge"))
            rho_v = _rotation_v(p, rho_v, jnp.exp(-2.0 * edge.log_gamma) + p.sine / p.s)
            rho_v = rho_v * jnp.exp(sum(change.get(head, (0.0,))[0] for head in ("pitch_rho_V_far", "pitch_rho_V")))
            size = power * size + jnp.abs(slow)
        return Cumulative(odds, rho_q, size, rho_v)

    def evaluate(self, networks, p, *, clip):
        """ln j_I, j_Q / j_I, j_V / j_I, the same of alpha, rho_Q, rho_V at nu = 1 Hz, n_e = 1 cm^-3."""
        true, p = p, self.clamp(p) if clip else self.within_reach(p)

        norm = log_norm(p)

        def at(gamma):
            edge = edge_at(p, gamma)
            # with the norm in the same exponential, since each alone may leave the range of the numbers
            units = tuple(jnp.exp(norm + power * edge.log_gamma) for power in (2.0 - p.p, -1.0 - p.p))
            return self._cumulative(networks, p, edge), log_odds(p, edge), units

        ends = jnp.stack([p.gamma_min, p.gamma_max])
        if isinstance(ends, jax.core.Tracer):
            # one after the other: on CPU the end of a loop is where XLA keeps results instead of evaluating them again
            both, asymptote, units = jax.lax.map(at, ends)
        else:  # outside jit a loop would be compiled at every call
            both, asymptote, units = jax.tree.map(lambda *v: jnp.stack(v), *(at(gamma) for gamma in ends))
        total_features = jnp.stack(_total_features(p))
        # L falls with gamma; the networks may err on that where the two ends meet
        a, b = both.odds
        gap = jnp.maximum(a - b, 0.2 * (asymptote[0] - asymptote[1]))
        gap = jnp.maximum(gap, 0.01 * jnp.log(p.gamma_max / p.gamma_min))
        # ln of sigma(a) sigma(-b) (1 - exp(-gap)), without overflow
        joined = -jnp.expm1(-gap) / ((1.0 + jnp.exp(-jnp.abs(a))) * (1.0 + jnp.exp(-jnp.abs(b))))
        parts = _log_totals(p) + networks["total"](total_features) + jnp.minimum(a, 0.0) - jnp.maximum(b, 0.0)
        if self.pitch:
            features, extra = self._pitch_total_inputs(p)
            parts = parts + self.combine("pitch_total", networks["pitch_total"](features), extra)
        parts = parts + jnp.log(joined)
        # a product of matrices is kept, too
        log_j, j_q, j_v, log_alpha, alpha_q, alpha_v = product(jnp.asarray(_RATIOS, parts.dtype), parts)
        j = limit_polarization(-jnp.exp(j_q), p.cosine * jnp.exp(j_v))
        alpha = -jnp.exp(alpha_q), p.cosine * jnp.exp(alpha_v)
        rho_q, rho_v = (v[0] - v[1] for v in (both.rho_q * units[0], both.rho_v * units[1]))
        thin = true.sine / p.s
        return (
            log_j + norm,
            *j,
            log_alpha + norm,
            *alpha,
            -CLASSICAL * thin * thin * rho_q,
            2.0 * CLASSICAL * p.cosine / p.s * rho_v,
        )

    def rotation_floor(self, p):
        """The magnitude of rho_Q below which its errors are not relative any more: near its zero."""
        edge = edge_at(p, p.gamma_min)
        size = rotation_size(*rotation_q_parts(p, edge)[:3])
        if self.pitch:
            size = jnp.exp(p.k * jnp.log(p.sine)) * size + jnp.abs(_off_cone(p, edge))
        return FLOOR * size * jnp.abs(rotation_unit(p, p.gamma_min)) * jnp.exp(log_norm(p))

    def sample(self, u, margin):
        """Unit numbers [n, DIMENSIONS] to the box, widened by ``margin``; theta <= pi/2."""
        rows = self.sample_direction(u, margin) | {"p": self.stretch("p", u[:, 2], margin)}
        lowest, highest = (self.DOMAIN["gamma_min"][1] * margin, HIGHEST_GAMMA)
        gamma_min = lowest ** u[:, 3]
        start = np.maximum(self.DOMAIN["gamma_max"][0], gamma_min * 1.01)
        ends = {"gamma_min": gamma_min, "gamma_max": start * (highest / start) ** u[:, 4]}
        if self.pitch:
            ends["k"] = self.stretch("k", u[:, 5], margin)
        return rows | ends

    def lessons(self, u, margin):
        """A sample to learn from: pairs of rows that share an edge, gamma_min of one and gamma_max of the next."""
        # a quarter of them mildly relativistic, 40 % between 1 and 1e3, the others from 80 to beyond gamma_0
        rows = self.sample_direction(u, margin, crowding=3.0) | {"p": self.stretch("p", u[:, 2], margin)}
        top = np.maximum(1e3, 30.0 * np.sqrt(rows["s"] / np.sin(rows["theta"]))) * margin
        if self.pitch:
            rows["k"] = self.stretch("k", u[:, 5], margin)
        t = u[:, 3]
        edge = np.where(t < 0.65, (1e3 * margin) ** ((t - 0.25) / 0.4), 80.0 * (top / 80.0) ** ((t - 0.65) / 0.35))
        edge = np.where(t < 0.25, 1.0 + 10.0 ** (12.0 * t - 2.0), np.maximum(edge, 1.0 + 1e-5))
        first = {"gamma_min": edge, "gamma_max": np.full(len(u), HIGHEST_GAMMA)}
        second = {"gamma_min": np.full(len(u), NEARLY_ONE), "gamma_max": edge}
        pairs = [[{**rows, **ends}[n] for n in ("s", "theta", *self.PARAMETERS)] for ends in (first, second)]
        return dict(zip(("s", "theta", *self.PARAMETERS), np.stack(pairs, -1).reshape(-1, 2 * len(u)), strict=True))


POWERLAW, POWERLAW_PITCH = Family("powerlaw", pitch=False), Family("powerlaw_pitch", pitch=True)
