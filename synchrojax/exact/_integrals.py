"""The truth: all eight transfer coefficients of any gyrotropic f(gamma, mu), by quadrature.

The wave crosses B at right angles in a frame boosted along B by cos(theta); there, with
s' = s sin(theta), Lorentz factor g' and parallel momentum u' = sinh(v), the Bessel order is
a = s' g' and a^2 - z^2 = (s' w)^2, w = cosh(v). The kernels and prefactors follow from Leung,
Gammie & Noble 2011 (ApJ 737, 21) and Heyvaerts et al. 2013 (MNRAS 430, 3320); the leading Debye
terms are subtracted from the rotativities, where they integrate to zero for every f.

Two outer rules share one integrand: Gauss-Legendre in the laboratory Lorentz factor where
harmonics overlap, and the sum over harmonics n = a where they do not. There the rotativities
gain the principal value of cot(pi a) times the absorption kernels (Newberger's sum rule).
"""

import concurrent.futures
import functools
import os
import weakref
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from synchrojax.core import (
    ABSORPTION,
    COMMON,
    EMISSION,
    GYRO,
    STEPS,
    Coefficients,
    broadcast,
    describe,
    is_traced,
    one_mapping,
    own_settings,
    pointwise,
    quick_jit,
    unphysical,
    warn_user,
)
from synchrojax.distributions import HIGHEST_GAMMA, Function, get_distribution
from synchrojax.special import (
    bessel,
    composite,
    debye_angle,
    debye_products,
    gregory_weights,
    kinks,
    legendre,
    maximise,
    scaled_bessel,
    scan,
    trim,
)

__all__ = ["at_unit_frequency", "bessel", "coefficients"]

_DROP = 28.0  # the integrand is trimmed where it is below e^-28 of its peak
_GROWTH = 7.0 / 3.0  # kernels, measure and width of a slice grow with this power of gamma
_DEBYE_FROM = 25.0  # xi from which the Debye products are used
_SMALL_S = 5.0  # Bessel orders below this need the series
FEW = 64  # points up to which compilation costs more than what it saves; also the size of a block
_MANY = 4096  # points whose modes are found at once
_SIDE = 1e-12  # relative distance from a break at which f is taken for its limit
_GREGORY_TERMS = 12  # harmonics before a break that are summed one by one
_RULE = "quadrature rule"  # no name that a parameter could have
_SPLITS = 0.39, 0.54  # where the rules that tell the error cut each panel in two
_PROBES = 4  # points of a call on which a user's f is judged
_SUSPICIOUS = 1e-5  # estimated relative error from which a user's f is taken for not smooth
_SMALL_BLOCK = 8  # few points are computed as many at a time
_SEEN: weakref.WeakSet = weakref.WeakSet()  # functions f that were judged before
_WARNED: weakref.WeakSet = weakref.WeakSet()  # what users were warned of
_PHASES = 8, 16  # samples of the harmonic phase in the principal value: s' >= 5, below


class Resolution(NamedTuple):
    """Gauss-Legendre nodes: outer and inner, emission and (per half) rotativities.

    ``harmonics``: twice this many are summed one by one; of more, this many, and as many nodes for their tail.
    ``rotation_cluster``: nodes gather towards momenta along B like this power.
    ``principal``: the same and the inner nodes for the principal value, a small part of the rotativities.
    """

    outer: int = 40
    inner: int = 48
    harmonics: int = 40
    principal: tuple[int, int] = (24, 40)
    rotation_outer: int = 56
    rotation_inner: tuple[int, int] = (32, 24)
    rotation_cluster: int = 1


# tails over many decades of gamma, and pitch angles that f may favour
_EXTENDED = Resolution(outer=80, rotation_outer=160, rotation_inner=(36, 48), rotation_cluster=4)


class _Integrand(NamedTuple):
    """One direction and one distribution: s' = s sin(theta), ln f(gamma, mu) up to its norm, bounds and jumps.

    ``breaks``: Lorentz factors where f is not smooth, or None. ``rule``: see ``_panel``.
    """

    s_perp: jax.Array
    sine: jax.Array
    cosine: jax.Array
    log_f: Callable
    bounds: tuple[jax.Array, jax.Array]
    jumps: tuple[tuple[jax.Array, float], ...]
    edges: str
    breaks: jax.Array | None
    rule: jax.Array | None


def _integrand(distribution, parameters, s, theta, rule):
    sine = jnp.maximum(jnp.abs(jnp.sin(theta)), 1e-9)

    def log_f(gamma, mu, across):
        return distribution.log_shape(gamma, mu, across, **parameters)

    bounds = tuple(jnp.asarray(b, float) for b in distribution.gamma_bounds(**parameters))
    jumps = tuple(distribution.jumps(**parameters))
    breaks = [jnp.asarray(b, float) for b in distribution.breaks(**parameters)]
    breaks = jnp.stack(breaks) if breaks else None
    return _Integrand(s * sine, sine, jnp.cos(theta), log_f, bounds, jumps, distribution.edges, breaks, rule)


def _chosen(here, n, of):
    """``of`` nodes and weights on [0, 1]: Gauss-Legendre, or another rule of as many nodes, which tells the error.

    ``of`` is computed before the choice: what the standard rule gives does not depend on there being others.
    """
    if here.rule is None:
        return of(*legendre(n))
    rules = [of(*legendre(n)), *(of(*composite(n, split)) for split in _SPLITS)]
    return tuple(jnp.asarray(np.stack(rows))[here.rule.astype(int)] for rows in zip(*rules, strict=True))


def _panel(here, lo, hi, n):
    """Nodes and weights between two scalars."""
    x, w = _chosen(here, n, lambda x, w: (x, w))
    return lo + (hi - lo) * x, (hi - lo) * w


def _panels(here, lo, hi, n):
    """The same between each of ``lo`` and its ``hi``, in one row."""
    x, w = jax.vmap(lambda a, b: _panel(here, a, b, n))(lo, hi)
    return x.ravel(), w.ravel()


class _Node(NamedTuple):
    """A point of phase space in both frames."""

    g: jax.Array  # g'
    u: jax.Array  # u' = sinh v
    w: jax.Array  # cosh v
    u_perp: jax.Array
    gamma: jax.Array
    mu: jax.Array
    across: jax.Array  # 1 - mu^2


def _node(here, g, gap, v, gamma):
    """From g', g' - w (kept apart to save digits), v and gamma."""
    w, u = jnp.cosh(v), jnp.sinh(v)
    u_perp = jnp.sqrt(jnp.maximum(gap, 1e-20 * w) * (g + w))  # the floor is met only at zero weight
    u_par = here.sine * u + here.cosine * gamma
    gamma = jnp.broadcast_to(gamma, jnp.shape(u))
    total = jnp.hypot(u_par, u_perp)
    return _Node(g, u, w, u_perp, gamma, u_par / total, (u_perp / total) ** 2)


def _bessel_at(here, node, **options):
    return scaled_bessel(here.s_perp * node.g, node.u_perp / node.g, node.w / node.g, **options)


def _exponent(here, node):
    """xi, with J ~ exp(-xi) and Y ~ exp(xi)."""
    return here.s_perp * node.g * debye_angle(node.u_perp / node.g, node.w / node.g)[1]


def _log_weight(here, node):
    """ln of f exp(-2 xi), the part of the emission integrand that spans many decades."""
    return here.log_f(node.gamma, node.mu, node.across) - 2.0 * _exponent(here, node)


def _log_slope(here, node):
    """D ln f = (d/dgamma at fixed u_par + cos(theta) d/du_par at fixed gamma) ln f."""
    gamma, mu, across = node.gamma, node.mu, node.across
    u = jnp.sqrt((gamma - 1.0) * (gamma + 1.0))
    one = jnp.ones_like(gamma)
    along_gamma = jax.jvp(lambda t: here.log_f(t, mu, across), (gamma,), (one,))[1]
    along_mu = jax.jvp(lambda t, sq: here.log_f(gamma, t, sq), (mu, across), (one, -2.0 * mu))[1]
    # (cos(theta) - mu gamma / u) / u, without cancellation along B
    return along_gamma - along_mu * (here.cosine + here.sine * node.u * gamma) / u**3


# Slices of phase space at a fixed outer coordinate: limits in v, nodes and measure ----------


class _LabSlices:
    """gamma = cosh(chi) fixed; dg' du' = sinh(chi) sin(theta) dchi cosh(v) dv."""

    @staticmethod
    def limits(here, chi):
        tilt = jnp.arcsinh(here.cosine / here.sine)
        return -tilt - chi, -tilt + chi

    @staticmethod
    def edges(here, chi):
        """Limits, and what f is not smooth at between them: nothing."""
        return jnp.stack(_LabSlices.limits(here, chi))

    @staticmethod
    def node(here, chi, v):
        delta = v + jnp.arcsinh(here.cosine / here.sine)  # rapidity along B in the laboratory
        gap = 2.0 * here.sine * jnp.sinh(0.5 * (chi - delta)) * jnp.sinh(0.5 * (chi + delta))
        gap = jnp.maximum(gap, 0.0)
        return _node(here, jnp.cosh(v) + gap, gap, v, jnp.cosh(chi))

    @staticmethod
    def measure(here, chi):
        return jnp.sinh(chi) * here.sine


class _HarmonicSlices:
    """a = s' g' = s' cosh(eta) fixed; the measure is that of a sum over harmonics."""

    @staticmethod
    def crossings(here, a, gammas):
        """v where gamma has these values; far away where the slice has none of them."""
        cosine = jnp.where(jnp.abs(here.cosine) < 1e-200, 1e-200, here.cosine)
        return [jnp.arcsinh((here.sine * b - a / here.s_perp) / cosine) for b in gammas]

    @staticmethod
    def limits(here, a):
        eta = _arccosh(a / here.s_perp)
        ends = _HarmonicSlices.crossings(here, a, here.bounds)
        lo = jnp.clip(jnp.minimum(*ends), -eta, eta)
        return lo, jnp.clip(jnp.maximum(*ends), lo, eta)

    @staticmethod
    def edges(here, a):
        """Limits and breaks between them, in order; breaks outside lie on the limits."""
        lo, hi = _HarmonicSlices.limits(here, a)
        inner = jnp.stack(_HarmonicSlices.crossings(here, a, list(here.breaks)))
        return jnp.concatenate([lo[None], jnp.sort(jnp.clip(inner, lo, hi)), hi[None]])

    @staticmethod
    def node(here, a, v):
        g, eta = a / here.s_perp, _arccosh(a / here.s_perp)
        gap = jnp.maximum(2.0 * jnp.sinh(0.5 * (eta - v)) * jnp.sinh(0.5 * (eta + v)), 0.0)
        gamma = (g + here.cosine * jnp.sinh(v)) / here.sine
        return _node(here, g, gap, v, jnp.maximum(gamma, 1.0 + 1e-15))

    @staticmethod
    def measure(here, a):
        return jnp.ones_like(a) / here.s_perp


def _arccosh(gamma):
    return 2.0 * jnp.arcsinh(jnp.sqrt(0.5 * jnp.maximum(gamma - 1.0, 1e-300)))


def _chi_edges(here):
    """chi = arccosh(gamma) at the bounds and at the breaks between them, in order.

    Breaks outside go to the middle, where one panel edge more does no harm: every panel keeps its width.
    """
    lo, hi = map(_arccosh, here.bounds)
    chi = _arccosh(here.breaks)
    outside = (chi <= jnp.maximum(lo * (1.0 + 1e-9), 1e-3)) | (chi >= hi * (1.0 - 1e-9))
    return jnp.concatenate([lo[None], jnp.sort(jnp.where(outside, 0.5 * (lo + hi), chi)), hi[None]])


def _follow(trimmed, fixed, live):
    """Ends of panels: trimmed ones stay, those on an edge move with it, so that derivatives know its motion."""
    return jnp.where(jnp.abs(trimmed - fixed) > 1e-12 * (1.0 + jnp.abs(fixed)), trimmed, live)


def _scan_pieces(function, edges, drop):
    """``scan`` between neighbouring edges: all left ends, right ends and highest values."""

    def one(lo, hi):
        left, right, top = scan(function, lo, jnp.maximum(hi, lo + 1e-9), drop)
        return jnp.minimum(left, hi), jnp.minimum(right, hi), top

    return jax.vmap(one)(edges[:-1], edges[1:])


def _best(frozen, slices, outer):
    def along(v):
        return _log_weight(frozen, slices.node(frozen, outer, v))

    if frozen.breaks is None:
        return maximise(along, *slices.limits(frozen, outer), 26)[1]
    edges = slices.edges(frozen, outer)
    return jnp.max(jax.vmap(lambda lo, hi: maximise(along, lo, hi, 26)[1])(edges[:-1], edges[1:]))


def _slice_nodes(here, frozen, slices, outer, nodes):
    """v and its weights, where a slice matters; between breaks a panel each."""
    still = jax.lax.stop_gradient(outer)

    def along(v):
        return _log_weight(frozen, slices.node(frozen, still, v))

    if here.breaks is None:
        fixed, live = slices.limits(frozen, still), slices.limits(here, outer)
        return _panel(here, *map(_follow, trim(along, *fixed, _DROP), fixed, live), nodes)
    fixed, live = slices.edges(frozen, still), slices.edges(here, outer)
    lo, hi = jax.vmap(lambda lo, hi: trim(along, lo, hi, _DROP))(fixed[:-1], fixed[1:])
    return _panels(here, _follow(lo, fixed[:-1], live[:-1]), _follow(hi, fixed[1:], live[1:]), nodes)


def _absorption_sums(here, frozen, slices, outer, weight, top, nodes, small_orders):
    """[f k_I, f k_Q, f k_V, Df k_I, Df k_Q, Df k_V] summed over slices, divided by exp(top)."""

    def row(outer, weight):
        v, dv = _slice_nodes(here, frozen, slices, outer, nodes)
        node = slices.node(here, outer, v)
        pair = _bessel_at(here, node, small_orders=small_orders, second_kind=False)
        f = slices.measure(here, outer) * weight * dv * node.w
        # the bound matters only where exp(top) underflows and the scan missed a needle of a peak
        f = f * jnp.exp(jnp.minimum(here.log_f(node.gamma, node.mu, node.across) - 2.0 * pair.xi - top, 300.0))
        parallel, perpendicular = (node.u * pair.j) ** 2, (node.u_perp * pair.dj) ** 2
        cross = -2.0 * node.u * node.u_perp * pair.j * pair.dj
        kernels = jnp.stack([parallel + perpendicular, parallel - perpendicular, cross])
        return jnp.concatenate([jnp.sum(kernels * f, -1), jnp.sum(kernels * (f * _log_slope(here, node)), -1)])

    return jnp.sum(jax.vmap(row)(outer, weight), 0)


def _jump_rows(here):
    """Outer nodes and weights that turn sums over slices of Df into the delta functions at the jumps of f.

    df/dgamma = +-f delta(gamma - edge), and dgamma = sinh(chi) dchi. No electron moves at gamma = 1.
    """
    for gamma, sign in here.jumps if here.edges == "keep" else ():
        moving = gamma > 1.0 + 1e-12
        chi = _arccosh(jnp.where(moving, gamma, 2.0))
        yield chi[None], jnp.where(moving, sign / jnp.sinh(chi), 0.0)[None]


def _break_rows(here):
    """The same for the jumps at breaks: what f is just above less what it is just below."""
    gamma = jnp.cosh(_chi_edges(here)[1:-1])
    chi = _arccosh(jnp.concatenate([gamma * (1.0 + _SIDE), gamma * (1.0 - _SIDE)]))
    return chi, jnp.repeat(jnp.array([1.0, -1.0]), len(gamma)) / jnp.sinh(chi)


def _absorption_jumps(here, frozen, top, nodes, small_orders):
    """What the jumps of f add to the last three of ``_absorption_sums``, harmonics averaged."""
    total = jnp.zeros(3)
    for chi, weight in [*_jump_rows(here), *([] if here.breaks is None else [_break_rows(here)])]:
        total += _absorption_sums(here, frozen, _LabSlices, chi, weight, top, nodes, small_orders)[:3]
    return jnp.concatenate([jnp.zeros(3), total])


def _continuous(here, frozen, resolution, small_orders):
    """The six absorption integrals and the logarithm of their unit."""

    def height(chi):
        return _best(frozen, _LabSlices, chi) + _GROWTH * chi

    if here.breaks is None:
        fixed, live = ([_arccosh(b) for b in i.bounds] for i in (frozen, here))
        *ends, top = scan(height, *fixed, _DROP)
        chi, weight = _panel(here, *map(_follow, ends, fixed, live), resolution.outer)
    else:
        fixed, live = _chi_edges(frozen), _chi_edges(here)
        lo, hi, tops = _scan_pieces(height, fixed, _DROP)
        top = jnp.max(tops)
        lo, hi = _follow(lo, fixed[:-1], live[:-1]), _follow(hi, fixed[1:], live[1:])
        chi, weight = _panels(here, lo, hi, resolution.outer)
    return _absorption_sums(here, frozen, _LabSlices, chi, weight, top, resolution.inner, small_orders), top


def _orders(here, start, end, count, closing=0):
    """Bessel orders and weights of the sum over start, start + 1, ... up to ``end``.

    Of more than twice ``count``, the first few and an integral with Gregory's correction; likewise the last
    ``closing``, where the summand does not vanish towards ``end``.
    """
    each = start + jnp.arange(2 * count + closing)
    each_weight = jnp.where(each <= end, 1.0, 0.0)
    corner = start + (count - 1.0)
    final = start + jnp.floor(end - start) if closing else end
    stop = jnp.maximum(final - (closing - 1.0) if closing else end, corner)
    log_a, tail_weight = _panel(here, jnp.log(corner), jnp.log(stop), count)
    mixed = [each[:count], jnp.exp(log_a)]
    mixed_weight = [gregory_weights(count, 9), tail_weight * jnp.exp(log_a)]
    if closing:
        mixed.append(final - jnp.arange(closing))
        mixed_weight.append(gregory_weights(closing, 9))
    few = end - start < 2 * count + closing
    weight = jnp.where(few, each_weight, jnp.concatenate(mixed_weight))
    return jnp.where(few, each, jnp.concatenate(mixed)), weight


def _harmonics(here, frozen, resolution, small_orders):
    """The same as sums over harmonics, and the principal values that the rotativities gain."""
    highest = _arccosh(jnp.maximum(2.0 * frozen.bounds[1], 2.0 + 4.0 / frozen.s_perp))

    def order(eta):
        return frozen.s_perp * jnp.cosh(eta)

    def height(eta):
        return _best(frozen, _HarmonicSlices, order(eta)) + _GROWTH * eta

    def after(value, edge, phase):
        """The first n + phase that matters and is beyond an edge."""
        start = jnp.floor(value - phase) + phase
        return jnp.where(start <= edge, start + 1.0, start)

    if here.breaks is None:
        lo, hi, top = scan(height, jnp.zeros(()), highest, _DROP)

        def orders(phase, count):
            start = after(order(lo), frozen.s_perp, phase)
            return _orders(here, start, jnp.maximum(order(hi), start) + 2.0, count)
    else:
        # at right angles gamma = g' and the sum itself has a kink or jumps
        middles = _arccosh(jnp.cosh(_chi_edges(frozen)[1:-1]) * frozen.sine)
        edges = jnp.concatenate([jnp.zeros(1), middles, highest[None]])
        lo, hi, tops = _scan_pieces(height, edges, _DROP)
        top = jnp.max(tops)

        def piece(phase, count, lo, hi, first, last):
            start = after(order(lo), order(first), phase)
            return _orders(here, start, jnp.minimum(order(hi) + 2.0, last), count, _GREGORY_TERMS)

        def orders(phase, count):
            ends = jnp.append(order(edges[1:-1]), jnp.inf)
            rows = [piece(phase, count, lo[k], hi[k], edges[k], ends[k]) for k in range(len(ends))]
            return tuple(map(jnp.concatenate, zip(*rows, strict=True)))

    def total(phase, count, nodes):
        """Sum of K(n + phase) over integers n."""
        a, weight = orders(phase, count)
        return _absorption_sums(here, frozen, _HarmonicSlices, a, weight, top, nodes, small_orders)

    count = _PHASES[small_orders]
    phases = (np.arange(count) + 0.5) / count
    shifted = jax.lax.map(lambda phase: total(phase, *resolution.principal)[3:], jnp.asarray(phases))
    # principal value of Int da cot(pi a) K(a): exact for the first count - 1 Fourier modes
    cot = jnp.asarray(1.0 / np.tan(np.pi * phases)) / count
    return total(0.0, resolution.harmonics, resolution.inner), top, jnp.tensordot(cot, shifted, 1)


def _without_end(here):
    """f continued above its upper jump, and the part above, or None without such a jump.

    A sharp end far up, where harmonics overlap by far, would cut single ones off: it is taken by the integral.
    """
    tops = [gamma for gamma, sign in here.jumps if sign < 0.0]
    if not tops:
        return here, None
    end = jnp.full_like(tops[0], 10.0 * HIGHEST_GAMMA)
    return here._replace(bounds=(here.bounds[0], end)), here._replace(bounds=(tops[0], end))


def _rotativities(here, frozen, resolution, small_orders):
    """Int dg' du' Df {rho_Q, rho_V kernels}, harmonics averaged, and the logarithm of the unit."""

    def height(chi):
        mu = jnp.array([-1.0, -0.7, 0.0, 0.7, 1.0])
        return jnp.max(frozen.log_f(jnp.cosh(chi) + 0.0 * mu, mu, 1.0 - mu**2)) + 3.0 * jnp.log(jnp.sinh(chi) + 1e-300)

    if here.breaks is None:
        (lo, hi), live = ([_arccosh(b) for b in i.bounds] for i in (frozen, here))
        _, end, top = scan(height, lo, hi, _DROP + 6.0)
        chis, weights = _panel(here, live[0], _follow(end, hi, live[1]), resolution.rotation_outer)
    else:
        fixed, live = _chi_edges(frozen), _chi_edges(here)
        _, hi, tops = _scan_pieces(height, fixed, _DROP + 6.0)
        top = jnp.max(tops)
        chis, weights = _panels(here, live[:-1], _follow(hi, fixed[1:], live[1:]), resolution.rotation_outer)

    def kernels(node, debye):
        """The kernels of rho_Q and rho_V, leading Debye terms removed."""
        root = here.s_perp * node.w  # sqrt(a^2 - z^2)
        if debye:
            jy, both, slope = debye_products((node.u_perp / node.w) ** 2, 1.0 / root)
        else:
            z = here.s_perp * node.u_perp
            pair = _bessel_at(here, node, small_orders=small_orders)
            jy = -pair.j * pair.y * root * jnp.pi - 1.0
            both = jy + pair.dj * pair.dy * jnp.pi * z * z / root - 1.0
            slope = (pair.dj * pair.y + pair.j * pair.dy) * jnp.pi * z
        # u'^2 = w^2 - 1: each term is small where the wave runs along B, as rho_Q is
        k_q = (both * node.w - jy / node.w) / (jnp.pi * here.s_perp)
        return jnp.stack([k_q, node.u * slope / (jnp.pi * here.s_perp)])

    def row(chi, weight, slope):
        still = jax.lax.stop_gradient(chi)

        def exponent(v):
            return _exponent(frozen, _LabSlices.node(frozen, still, v))

        def transition(middle, end):
            """The rapidity between middle and end at which xi, rising, reaches _DEBYE_FROM."""

            def bisect(_, state):
                inside, outside = state
                half = 0.5 * (inside + outside)
                far = exponent(half) > _DEBYE_FROM
                return jnp.where(far, inside, half), jnp.where(far, half, outside)

            outside = jax.lax.fori_loop(0, 20, bisect, (middle, end))[1]
            return jnp.where(exponent(middle) > _DEBYE_FROM, middle, outside)

        def integrate(outer, inner, nodes, debye):
            # along B, f may vanish like a fractional power of the distance from the end of the slice
            cluster = resolution.rotation_cluster if debye else 1
            x, slant, dx = _chosen(here, nodes, lambda x, dx: (x**cluster, x ** (cluster - 1), dx))
            v = outer + (inner - outer) * x
            dv = jnp.abs(inner - outer) * cluster * slant * dx
            node = _LabSlices.node(here, chi, v)
            f = weight * dv * node.w * jnp.exp(here.log_f(node.gamma, node.mu, node.across) - top)
            return jnp.sum(kernels(node, debye) * (f * slope(here, node)), -1)

        left, right = _LabSlices.limits(frozen, still)
        middle = maximise(lambda v: -exponent(v), left, right, 22)[0]
        near_left, near_right = transition(middle, left), transition(middle, right)
        left, right = _LabSlices.limits(here, chi)
        near, far = resolution.rotation_inner
        return _LabSlices.measure(here, chi) * (
            integrate(near_left, middle, near, False)
            + integrate(middle, near_right, near, False)
            + integrate(left, near_left, far, True)
            + integrate(right, near_right, far, True)
        )

    if here.breaks is None:
        total = jnp.sum(jax.vmap(lambda chi, weight: row(chi, weight, _log_slope))(chis, weights), 0)
    else:  # the jumps at breaks in the same loop: it takes long to compile

        def any_row(chi, weight, jump):
            return row(chi, weight, lambda here, node: jnp.where(jump, 1.0, _log_slope(here, node)))

        jump_chis, jump_weights = _break_rows(here)
        jump = np.arange(len(chis) + len(jump_chis)) >= len(chis)
        both = jnp.concatenate([chis, jump_chis]), jnp.concatenate([weights, jump_weights])
        total = jnp.sum(jax.vmap(any_row)(*both, jnp.asarray(jump)), 0)
    for chi, weight in _jump_rows(here):
        total += row(chi[0], weight[0], lambda here, node: 1.0)
    return total, top


class _Ruled:
    """A distribution with one parameter more: which of the rules of ``_panel`` its integrals are taken by."""

    def __init__(self, distribution):
        self.distribution, self.parameters = distribution, (*distribution.parameters, _RULE)

    def without_rule(self, parameters):
        return {n: parameters[n] for n in self.distribution.parameters}

    def harmonics_matter(self, s, sine, **parameters):
        return self.distribution.harmonics_matter(s, sine, **self.without_rule(parameters))


def _point_at_unit_frequency(distribution, parameters, s, theta, mode, resolution):
    """Array of the eight coefficients at nu = 1 Hz and n_e = 1 cm^-3 for one point.

    mode 0: continuous; 1: harmonics, s' >= 5; 2: harmonics, any s'.
    """
    rule = None
    if isinstance(distribution, _Ruled):
        rule = parameters[_RULE]
        distribution, parameters = distribution.distribution, distribution.without_rule(parameters)
    here = _integrand(distribution, parameters, s, theta, rule)
    # places the nodes, so that derivatives act on the integrand and its limits alone
    frozen = _integrand(distribution, *jax.lax.stop_gradient((parameters, s, theta)), rule)
    frozen = frozen._replace(breaks=jax.lax.stop_gradient(frozen.breaks))  # they may be the user's tracers
    rotation, rotation_top = _rotativities(here, frozen, resolution, mode == 2)
    rotation = rotation * jnp.exp(rotation_top)
    if mode == 0:
        sums, top = _continuous(here, frozen, resolution, False)
    else:
        (endless, above), (frozen_endless, frozen_above) = _without_end(here), _without_end(frozen)
        sums, top, principal = _harmonics(endless, frozen_endless, resolution, mode == 2)
        rotation = rotation + principal[1:] * jnp.exp(top)
        if above is not None:
            excess, excess_top = _continuous(above, frozen_above, resolution, mode == 2)
            sums -= excess * jnp.exp(excess_top - top)
    sums += _absorption_jumps(here, frozen, top, resolution.inner, mode == 2)
    norm = distribution.log_norm(**parameters)
    unit, rotation = jnp.exp(top - norm) * s, rotation * (jnp.exp(-norm) * s)
    return jnp.concatenate([EMISSION * unit * sums[:3], -ABSORPTION * unit * sums[3:], -ABSORPTION * rotation])


def _mode(distribution, parameters, s, theta):
    sine = jnp.abs(jnp.sin(theta))
    harmonics = distribution.harmonics_matter(s, sine, **parameters)
    return jnp.where(harmonics, jnp.where(s * sine >= _SMALL_S, 1, 2), 0)


@functools.lru_cache(maxsize=64)
def _modes(distribution):
    """Compiled ``_mode``, [point, input] -> [point]."""

    def modes(x):
        parameters = dict(zip(distribution.parameters, x.T[2:], strict=True))
        return jnp.broadcast_to(_mode(distribution, parameters, x[:, 0], x[:, 1]), len(x))

    return jax.jit(modes)


def _mode_of(distribution, x):
    """The mode of each of up to ``_MANY`` points: one size to compile."""
    return np.asarray(_modes(distribution)(x[np.resize(np.arange(len(x)), _MANY)]))[: len(x)]


@functools.lru_cache(maxsize=64)
def _block(distribution, mode, resolution, batch):
    """Compiled evaluation of a block of points, (block [point, input], how many of them count) -> [point, 8].

    ``batch``: so many at a time, all of the block; 0: one after another, as many as count, and compiled quickly.
    """

    def one(x):
        return _point_at_unit_frequency(
            distribution, dict(zip(distribution.parameters, x[2:], strict=True)), x[0], x[1], mode, resolution
        )

    def few(block, count):
        def step(i, out):
            return out.at[i].set(one(block[i]))

        return jax.lax.fori_loop(0, count, step, jnp.zeros((len(block), 8)))

    def many(block, count):
        return jax.lax.map(one, block, batch_size=batch)

    return jax.jit(many) if batch else quick_jit(few)


def _evaluate(distribution, x, resolution, mode=None):
    """Concrete points: sorted by ``mode`` (if that is not known, it is found), in blocks, on all cores."""
    if mode is None:
        mode = np.concatenate([_mode_of(distribution, x[k : k + _MANY]) for k in range(0, len(x), _MANY)])
    out = np.zeros((len(x), 8))
    size, batch, cores = FEW, 4, os.cpu_count() or 1
    few = len(x) <= size
    if few:  # less to compile and to wait for, and mode 2 holds for mode 1, too
        batch, mode = 0, np.where(mode > 0, 2, 0)
    jobs = []
    for m in np.unique(mode):
        where = np.flatnonzero(mode == m)
        each = -(-len(where) // cores) if few else size
        jobs += [(k, m, where[k : k + each]) for k in range(0, len(where), each)]
    jobs.sort(key=lambda job: job[:2])  # the modes are compiled side by side
    programs = {m: _block(distribution, int(m), resolution, batch) for _, m, _ in jobs}

    @own_settings  # in a thread of its own
    def run(job):
        _, m, index = job
        block = x[np.resize(index, size)]  # the last block is filled up by repetition
        with jax.enable_x64(True):
            out[index] = np.asarray(programs[m](block, len(index)))[: len(index)]

    if len(jobs) == 1:
        run(jobs[0])
    else:
        with concurrent.futures.ThreadPoolExecutor(cores) as pool:
            list(pool.map(run, jobs))
    return out


def _evaluate_traced(distribution, x, resolution):
    """Inside someone else's jit, grad or vmap: one point after another, by a real branch.

    Mode 2 stands in for mode 1: one branch less to compile.
    """

    def one(row):
        parameters = dict(zip(distribution.parameters, row[2:], strict=True))

        def branch(mode):
            return lambda: _point_at_unit_frequency(distribution, parameters, row[0], row[1], mode, resolution)

        return jax.lax.cond(_mode(distribution, parameters, row[0], row[1]) > 0, branch(2), branch(0))

    return jax.lax.map(one, x)


@functools.lru_cache(maxsize=64)
def _ruled(distribution):
    """One object per distribution, so that compiled code is found again."""
    return _Ruled(distribution)


def _module_of(x):
    """NumPy for concrete arrays, whose sizes are many: JAX would compile for each of them."""
    return jnp if is_traced([x]) else np


def _with_rules(x, which):
    """Every row by the standard rule, then those of ``which`` by each of the others."""
    xp, rows = _module_of(x), [x, *[x[which]] * len(_SPLITS)]
    rules = [np.full((len(r), 1), float(k)) for k, r in enumerate(rows)]
    return xp.concatenate([xp.concatenate(rows), np.concatenate(rules)], -1)


def _errors(flat, n, which):
    """Estimated relative errors [row of ``which``, 8]: the largest deviation by another rule."""
    xp, values = _module_of(flat), flat[:n][which]
    others = flat[n:].reshape(len(_SPLITS), *values.shape)
    safe = xp.where(values == 0.0, 1.0, values)
    gap = xp.where(values == 0.0, xp.where(others == 0.0, 0.0, np.inf), xp.abs(others / safe - 1.0))
    return xp.max(gap, 0)


def _judge(distribution, x, resolution, error, mode=None):
    """Values of concrete points and, with ``error``, estimates of their relative errors.

    A user's f is looked at on the way, on up to four of the points.
    """
    own = _is_own(distribution) and not _warned(distribution)
    if not (error or _is_own(distribution)):
        return _evaluate(distribution, x, resolution, mode), None
    n = len(x)
    probes = _probes(distribution, n) if own else np.zeros(0, int)
    which = np.arange(n) if error else probes
    rows = _with_rules(x, which)
    # few points have a program of their own: no second one for the sake of an estimate
    parts = [rows[k : k + FEW] for k in range(0, len(rows), FEW)] if n <= FEW else [rows]
    flat = np.concatenate([_evaluate(_ruled(distribution), part, resolution) for part in parts])
    errors = _errors(flat, n, which)
    if len(probes):
        _look_at(distribution, x[probes], flat[probes], errors[probes] if error else errors)
    return flat[:n], errors if error else None


def _probes(distribution, n):
    """Up to four of n points: all four in the first call with an f and among many, later as fill incomplete blocks."""
    count, identity = _PROBES, _identity(distribution)
    if n <= FEW and identity in _SEEN:
        count = min(count, -n % _SMALL_BLOCK // len(_SPLITS))
    _SEEN.add(identity)
    return np.unique(np.linspace(0, n - 1, count).astype(int))


def _is_own(distribution):
    base = getattr(distribution, "base", distribution)
    return isinstance(base, Function) or type(base).__module__ != Function.__module__


def _warned(distribution):
    return distribution in _WARNED or _identity(distribution) in _WARNED


def _identity(distribution):
    """What f is, however often it is wrapped."""
    base = getattr(distribution, "base", distribution)
    f = getattr(base, "_f", type(base))
    try:
        weakref.ref(f), hash(f)
    except TypeError:
        return base
    return f


def _look_at(distribution, x, values, errors):
    """Warn, once for each f, where the estimated errors say that it is not smooth."""
    # a coefficient near its zero has no relative error: Q and V count at a thousandth of I, rho_Q and rho_V of both
    size = np.abs(values)
    least = np.repeat(np.stack([size[:, 0], size[:, 3], np.hypot(size[:, 6], size[:, 7])], -1), (3, 3, 2), 1)
    counted = errors * size / np.maximum(size, np.maximum(1e-3 * least, 1e-250))
    counted[x[:, 0] * np.abs(np.sin(x[:, 1])) < _SMALL_S, 6:] = 0.0  # less accurate there for every f
    point = int(np.argmax(np.max(counted, -1)))
    worst = float(np.max(counted[point]))
    if worst <= _SUSPICIOUS:
        return
    _WARNED.add(_identity(distribution))
    own = dict(zip(distribution.parameters, x[point, 2:], strict=True))
    s, theta = x[point, :2]
    warn_user(
        f"the integrals over f have relative errors of about {worst:.1g} (nu / nu_c = {s:.4g}, theta = {theta:.4g}"
        f"{''.join(f', {k} = {v:.6g}' for k, v in own.items())}): {_advice(distribution, own)}"
    )


def _advice(distribution, parameters):
    """What to do about an f that is not smooth, with the places that are found."""
    lo, hi = (float(_arccosh(jnp.asarray(b, float))) for b in distribution.gamma_bounds(**parameters))
    mu = np.array([-0.9, -0.5, 0.05, 0.5, 0.9])[:, None]

    def log_f(chi):
        return np.asarray(distribution.log_shape(np.cosh(chi) + 0.0 * mu, mu + 0.0 * chi, 1.0 - mu**2, **parameters))

    known = [float(b) for b in distribution.breaks(**parameters)]
    found = [g for g in np.cosh(kinks(log_f, max(lo, 0.02), hi)) if not np.any(np.isclose(g, known, rtol=1e-3))]
    names = {g: [repr(k) for k, v in parameters.items() if np.isclose(v, g, rtol=1e-4)] for g in found}
    places = ", ".join((names[g] or [f"{g:.6g}"])[0] for g in [*known, *found] if g in names)
    if not found:
        return (
            "if f has kinks or jumps in gamma, tell where, as distributions.Function(f, ..., breaks=(gamma, ...)) or "
            "Family(..., breaks=...)"
        )
    besides = " besides those that it has" if known else ""
    return (
        f"f has a kink or a jump near gamma = {', '.join(f'{g:.6g}' for g in found)}; pass breaks=({places},){besides} "
        "to distributions.Function or Family (a number, the name of a parameter or a function of the parameters)"
    )


def _require_x64():
    if not jax.config.jax_enable_x64:
        raise RuntimeError(
            'the exact integrals need float64: call jax.config.update("jax_enable_x64", True) first, '
            "or use them inside `with jax.enable_x64(True):`"
        )


def _resolution(distribution):
    return _EXTENDED if distribution.extended else Resolution()


@own_settings
def at_unit_frequency(distribution, s, theta, *, resolution=None, **parameters):
    """The eight coefficients at nu = 1 Hz and n_e = 1 cm^-3 as a NumPy array [point, 8].

    ``s`` = nu / nu_c, ``theta`` [rad] and the distribution's own ``parameters`` are one-dimensional
    arrays of one length. Every input must be physical.
    """
    _require_x64()
    distribution = get_distribution(distribution)
    columns = [s, theta, *(parameters[n] for n in distribution.parameters)]
    resolution = resolution or _resolution(distribution)
    return _judge(distribution, np.stack([np.asarray(c, float) for c in columns], -1), resolution, False)[0]


@own_settings
def coefficients(distribution, params=None, *, resolution=None, error=False, **named):
    """All eight coefficients from the integrals: the truth that everything else is held to.

    ``distribution``: a name (``"thermal"``, ``"powerlaw"``, ``"kappa"``, ``"powerlaw_pitch"``, ``"kappa_pitch"``), a
    ``synchrojax.distributions`` object, or your own f(gamma, mu) written in JAX (further arguments
    become entries of ``params``).
    ``params``: nu [Hz], B [G], n_e [cm^-3], theta [rad] and the distribution's own parameters; any
    shapes that broadcast. Returns ``Coefficients`` of that shape in CGS, float64.

    Relative error for thermal electrons: below 1e-7 (rho_Q: 1e-6) for theta_e from 0.03 to 100,
    1 <= s <= 1e8, s sin(theta) >= 5 (``tests/test_exact.py``); for the others see ``tests/test_distributions.py``.
    Concrete input runs on all cores; traced input (jit, grad, vmap) takes long to compile and runs one
    point after another. theta = 0 is taken as 1e-9.
    Unphysical nu, B, n_e and NaN give NaN, B = 0 or n_e = 0 gives zeros. ValueError for wrong names or shapes, for
    concrete parameters that break a condition of the distribution and for a user's f that is negative, not finite or
    not normalisable (a warning where it does not integrate to 1); RuntimeError where float64 is switched off.

    ``error=True``: returns (coefficients, estimates of their relative errors), both ``Coefficients``: how far the
    values move when every panel of the integrals is cut in two, the larger of the moves by two such cuts. It takes
    three times as long and, for packaged distributions, compiles another program. For kinks and jumps that ``breaks``
    leaves out it is about the true error (nine in ten are above half of it); a peak of f between the points that are
    scanned for the range that matters stays unseen.
    A user's f (``distributions.Function``, ``Distribution``) is judged so on up to four points of each call with
    concrete input (after the first, a call with few points only where that costs no time); if an estimate exceeds
    1e-5, one warning per f names ``breaks`` and, if it finds them, their places.
    """
    one_mapping(params, named)
    distribution = get_distribution(distribution)
    names = (*COMMON, *distribution.parameters)
    values, _, shape = broadcast(params, names, distribution.defaults)
    _require_x64()
    resolution = resolution or _resolution(distribution)
    return _coefficients(distribution, values, shape, resolution, error)


def _prepared(distribution, values):
    """What ``_coefficients`` needs of its input, as numbers of one dtype.

    s, theta and own parameters, harmless where there is nothing to compute; n_e nu and n_e / nu; the mode; 1 where the
    input is unphysical, where there is nothing, and where each condition of the distribution is broken.
    """
    nu, b, n_e, theta = (values[name] for name in COMMON)
    parameters = distribution.canonical(**{name: values[name] for name in distribution.parameters})
    violated = distribution.violated(**parameters)
    bad = unphysical(nu, b, n_e, theta, parameters.values(), violated)
    empty = bad | (b == 0.0) | (n_e == 0.0)
    s = jnp.where(empty, 1e3, nu / (GYRO * jnp.where(empty, 1.0, b)))
    inputs = [s, jnp.where(empty, 1.0, theta), *(jnp.where(bad, 1.0, v) for v in parameters.values())]
    nu = jnp.where(empty, 1.0, nu)
    mode = _mode(distribution, dict(zip(parameters, inputs[2:], strict=True)), *inputs[:2])
    masks = (jnp.broadcast_to(m, nu.shape).astype(float) for m in (mode, bad, empty, *violated.values()))
    return *(jnp.broadcast_to(v, nu.shape) for v in inputs), n_e * nu, n_e / nu, *masks


def _coefficients(distribution, values, shape, resolution, error):
    """``coefficients`` for checked arguments."""
    found = pointwise(_prepared, distribution, values, np.dtype(float), shape, host=True, steps=STEPS[-1:])
    count = 2 + len(distribution.parameters)
    inputs, (n_nu, n_per_nu, mode, bad, empty, *violated) = found[:count], found[count:]
    own = dict(zip(distribution.parameters, inputs[2:], strict=True))
    first = {k: v.ravel()[:1] for k, v in own.items()}
    traced = is_traced([*found, *distribution.breaks(**first)])
    conditions = distribution.violated(**first)
    for condition, broken in zip(conditions, violated, strict=True):
        if not is_traced([broken]) and np.any(broken):
            names = (*COMMON, *distribution.parameters)
            raise ValueError(f"params: {condition} does not hold; the distribution takes {describe(names)}")
    xp = jnp if traced else np
    bad, empty = bad > 0.0, empty > 0.0
    x = xp.stack([v.ravel() for v in inputs], -1)
    flat, errors = _traced(distribution, x, resolution, error) if traced else (np.zeros((len(x), 8)) for _ in range(2))
    live = np.zeros(0) if traced else np.flatnonzero(~empty.ravel())
    if len(live):
        distribution.check(**dict(zip(distribution.parameters, x[live].T[2:], strict=True)))
        flat[live], estimates = _judge(distribution, x[live], resolution, error, mode.ravel()[live])
        errors[live] = estimates if error else 0.0
    scale, nothing = [n_nu] * 3 + [n_per_nu] * 5, xp.where(bad, np.nan, 0.0)

    def shaped(columns):
        return [xp.where(empty, nothing, c.reshape(shape)) for c in columns]

    values = shaped(h * f.ravel() for h, f in zip(flat.T, scale, strict=True))
    found = [Coefficients(*values), *([Coefficients(*shaped(errors.T))] if error else [])]
    # not jnp.asarray, which is compiled for every shape
    found = found if traced else jax.device_put(found)
    return tuple(found) if error else found[0]


def _traced(distribution, x, resolution, error):
    """(values, estimated errors) [point, 8] inside someone else's program."""
    if not error:
        return _evaluate_traced(distribution, x, resolution), jnp.zeros((len(x), 8))
    every = np.arange(len(x))
    rows = _evaluate_traced(_Ruled(distribution), _with_rules(x, every), resolution)
    return rows[: len(x)], _errors(rows, len(x), every)
