"""Polarized transfer along rays: dS/ds = j - K S with the matrix of the README, exact in every cell.

K = alpha_I + M, where M is made of a = (alpha_Q, alpha_U, alpha_V) and rho = (rho_Q, rho_U, rho_V) as the field
tensor is of E and B: M (I, P) = (a . P, a I + P x rho). So a + i rho = w n with a complex number w = l_1 + i l_2 and a
complex unit vector n = n_1 + i n_2 turns M into a boost and a rotation that commute, M = l_1 B + l_2 R with B R = 0,
and every function of K follows from its values at alpha_I +- l_1 and alpha_I +- i l_2 (Landi Degl'Innocenti & Landi
Degl'Innocenti 1985, Solar Physics 97, 239; here in closed form for the emission, too). The boost has two null
eigenvectors, (1, (m +- n_1) / |n_1|^2) with m = n_1 x n_2: light that is fully polarized and absorbed fastest or
slowest. Where the four eigenvalues are close to each other n does not exist; there powers of M are summed.

In a thick cell what counts is the slowest of the rates and the little light in its mode, both small differences of
large numbers: alpha_I - l_1 and I - u . P. They follow from alpha_I^2 - |alpha|^2 and I^2 - |P|^2, which ``_excess``
gives without rounding, and from sums of positive terms.
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from synchrojax.core import (
    STEPS,
    Coefficients,
    SkyCoefficients,
    broadcast_shapes,
    field_by_field,
    is_traced,
    own_settings,
    reals,
    step,
    turned,
    unit_of_coefficient,
)

METHODS = ("scan", "associative")
# powers of M are summed where |w|^2 <= max(_SERIES, _NEAR alpha_I^2), all times the length of the cell: so many even
# and odd ones (``_terms``) give the precision of the numbers there, and elsewhere |n_1|^2 stays below 30
_SERIES, _NEAR = 0.5, 0.04


@field_by_field
class Stokes(NamedTuple):
    """Specific intensities [erg s^-1 cm^-2 Hz^-1 sr^-1], or whatever j ds has; V is IAU/IEEE.

    Sums and products with numbers are field by field, as those of ``Coefficients``.
    """

    I: jax.Array
    Q: jax.Array
    U: jax.Array
    V: jax.Array


@field_by_field
class Depths(NamedTuple):
    """Integrals along the ray: alpha_I ds, rho_V ds (twice the angle by which Q, U turn), |rho_Q + i rho_U| ds."""

    absorption: jax.Array
    rotation: jax.Array
    conversion: jax.Array


for _kind in (Stokes, Depths):
    export.register_namedtuple_serialization(_kind, serialized_name=f"synchrojax.transfer.{_kind.__name__}")


def _dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def _cross(a, b):
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


def _generator(a, rho, v):
    """M v for one vector (I, Q, U, V)."""
    turned = _cross(v[1:], rho)
    return (_dot(a, v[1:]), *(x * v[0] + y for x, y in zip(a, turned, strict=True)))


# Numbers without rounding --------------------------------------------------------------------


def _power_of_two(values, lowest=1.0):
    """A power of two close to the largest magnitude, not below tiny^lowest: scaling by it loses no digits."""
    limits = jnp.finfo(values[0].dtype)
    largest = functools.reduce(jnp.maximum, (jnp.abs(v) for v in values))
    largest = jnp.clip(jax.lax.stop_gradient(largest), float(limits.tiny) ** lowest, limits.max / 4)
    return jax.lax.reduce_precision(largest, limits.nexp, 0)


def _split(x):
    """x as a sum of two numbers of half the digits, whose products are exact."""
    limits = jnp.finfo(x.dtype)
    high = jax.lax.reduce_precision(x, limits.nexp, (limits.nmant - 1) // 2)
    return high, x - high


def _summed(values):
    """(sum, what its rounding lost) of numbers (Knuth's two-sum)."""
    total, lost = values[0], jnp.zeros_like(values[0])
    for value in values[1:]:
        larger = total + value
        added = larger - total
        lost += (total - (larger - added)) + (value - added)
        total = larger
    return total, lost


def _exactly(*products):
    """Sum of sign x y over ``products`` (sign, x, y), right to the last digits however nearly they cancel.

    Every product in it is exact, so that a fused multiplication and addition changes nothing.
    """
    plain = sum(sign * (x * y) for sign, x, y in products)
    highs, middles, lows = [], [], []
    for sign, x, y in jax.lax.stop_gradient(products):
        (h, l), (k, m) = _split(x), _split(y)
        highs.append(sign * (h * k))
        middles.extend([sign * (h * m), sign * (l * k)])
        lows.append(sign * (l * m))
    high, lost = _summed(highs)
    middle, more = _summed(middles)
    value, rest = _summed([high, middle])
    value += rest + lost + more + sum(lows)
    return plain + jax.lax.stop_gradient(value - plain)


def _excess(total, *parts):
    """total^2 - sum of parts^2 without rounding."""
    return _exactly((1.0, total, total), *((-1.0, p, p) for p in parts))


def _unpolarized(v):
    """I^2 - |P|^2 of light; fully polarized light whose rounding makes |P| > I counts as what it is."""
    excess = _excess(*v)
    rounded = (excess < 0.0) & (excess > -8.0 * jnp.finfo(excess.dtype).eps * v[0] * v[0])
    return excess + jax.lax.stop_gradient(jnp.where(rounded, -excess, 0.0))


@jax.custom_jvp
def _wave(angle, high, low):
    """cos and sin of ``angle``, known better as ``high`` + ``low``."""
    (c, d), (s, e) = (jnp.cos(high), jnp.cos(low)), (jnp.sin(high), jnp.sin(low))
    return c * d - s * e, s * d + c * e


@_wave.defjvp
def _wave_slope(primals, tangents):
    cos, sin = _wave(*primals)
    return (cos, sin), (-sin * tangents[0], cos * tangents[0])


# Means of exponentials over a cell -------------------------------------------------------------
#
# Masks of what is computed inside are wider than those of what is used: in two parts of a compiled program the same
# number may be rounded differently, and so lie on both sides of one limit.


def _mean_exp(x):
    """int_0^1 exp(-x h) dh = (1 - exp(-x)) / x."""
    small = jnp.abs(x) < 0.1  # there the closed form loses digits, in its slope first
    near, far = jnp.where(jnp.abs(x) < 0.2, x, 0.0), jnp.where(jnp.abs(x) < 0.05, 1.0, x)
    series = jnp.ones_like(near)
    for n in range(9 if jnp.finfo(x.dtype).bits > 32 else 5, 0, -1):
        series = 1.0 - near * series / (n + 1)
    return jnp.where(small, series, -jnp.expm1(-far) / far)


def _mean_wave(x, y, cos, sin):
    """Real and imaginary part of int_0^1 exp(-(x + i y) h) dh, given cos and sin of y."""
    size = jax.lax.stop_gradient(jnp.maximum(jnp.abs(x), jnp.abs(y)))
    small = size < 0.01  # not met unless absorption is polarized above its total
    xs, ys = (jnp.where(size < 0.02, v, 0.0) for v in (x, y))
    re, im = jnp.ones_like(xs), jnp.zeros_like(ys)
    for n in range(4, 0, -1):
        re, im = 1.0 - (re * xs - im * ys) / (n + 1), -(re * ys + im * xs) / (n + 1)
    smaller = size < 0.005
    size = jnp.where(smaller, 1.0, size)
    xl, yl = jnp.where(smaller, 1.0, x / size), jnp.where(smaller, 0.0, y / size)
    e = jnp.exp(-jnp.where(smaller, 1.0, x))
    p, q = 1.0 - e * cos, e * sin  # 1 - exp(-x - i y) = p + i q
    over = 1.0 / (size * (xl * xl + yl * yl))
    return jnp.where(small, re, (p * xl + q * yl) * over), jnp.where(small, im, (q * xl - p * yl) * over)


# One cell ----------------------------------------------------------------------------------------


def _terms(dtype):
    """How many even powers of M there are; as many odd ones."""
    return 12 if jnp.finfo(dtype).bits > 32 else 6


def _taylor(tau, count):
    """Weights of (-M / unit)^n, n < count, in exp(-tau - M) and in the mean of exp(-(tau + M) h), and that unit.

    unit^n exp(-tau) / n! and unit^n / n! int_0^1 h^n exp(-tau h) dh.
    """
    small = tau < 1.5
    unit = jnp.where(small, 1.0, tau)
    # beyond, nothing is left of them, but their derivatives would overflow on the way back
    faint = jnp.minimum(tau, -2.0 * float(np.log(jnp.finfo(tau.dtype).tiny)))
    powers = [jnp.exp(-faint)]
    for n in range(1, count + 1):
        powers.append(powers[-1] * jnp.where(small, 1.0, faint) / n)
    # downwards every step is a sum of positive numbers; the start need not be exact, it fades as 1 / n!
    t = jnp.where(small, tau, 0.0)
    down = [powers[count] / (1.0 - t / (count + 1))]
    for n in range(count - 1, 0, -1):
        down.append(t * down[-1] + powers[n])
    t = jnp.where(small, 2.0, tau)
    up = [-jnp.expm1(-t) / t]
    for n in range(1, count):
        up.append(up[-1] - powers[n] / t)
    return powers[:count], [jnp.where(small, d, u) for d, u in zip(reversed(down), up, strict=True)], unit


class _Series(NamedTuple):
    """w_0 - w_1 M + w_2 M^2 - w_3 N, M of a and rho, N its dual, of rho and - a."""

    weights: tuple
    a: tuple
    rho: tuple

    def __call__(self, v):
        once = _generator(self.a, self.rho, v)
        twice = _generator(self.a, self.rho, once)
        dual = _generator(self.rho, tuple(-x for x in self.a), v)
        w = self.weights
        return tuple(
            w[0] * v0 - w[1] * v1 + w[2] * v2 - w[3] * v3 for v0, v1, v2, v3 in zip(v, once, twice, dual, strict=True)
        )


class _Modes(NamedTuple):
    """Factors of the fast and the slow mode, and real and imaginary part of that of what is in neither."""

    weights: tuple
    swift: tuple  # directions of polarization of the two modes
    sluggish: tuple
    real: tuple  # n_1
    opposite: tuple  # - n_2
    size: jax.Array  # |n_1|^2

    def __call__(self, v, excess):
        """``excess``: I^2 - |P|^2."""
        i, p = v[0], v[1:]
        # left eigenvectors have - m: u of I - u . P is that of the fast mode
        along, across = _dot(self.swift, p), _cross(self.swift, p)
        close = (i > 0.0) & (along > 0.5 * i) & (along < 2.0 * i)
        rest = (excess + _dot(across, across)) / jnp.where((i > 0.0) & (along > 0.25 * i), i + along, 1.0)
        slow = 0.5 * self.size * jnp.where(close, rest, i - along)
        fast = 0.5 * self.size * (i - _dot(self.sluggish, p))
        once = _generator(self.opposite, self.real, v)  # R v; - R^2 leaves what is in neither mode
        twice = _generator(self.opposite, self.real, once)
        w = self.weights
        fast, slow = w[0] * fast, w[1] * slow
        return tuple(
            fast * x + slow * y - w[2] * z + w[3] * r
            for x, y, z, r in zip((1.0, *self.swift), (1.0, *self.sluggish), twice, once, strict=True)
        )


class _Action(NamedTuple):
    """A function of K as a map of vectors, by powers of M where ``short``."""

    short: jax.Array
    series: _Series
    modes: _Modes

    def __call__(self, v, excess):
        pairs = zip(self.series(v), self.modes(v, excess), strict=True)
        return tuple(jnp.where(self.short, x, y) for x, y in pairs)


def _near(tau, a, rho, d, c, t):
    """exp(-K) and its mean over the cell by powers of M, from M^3 = d M + c N and M^4 = d M^2 + c^2.

    ``a``, ``rho``: times the length of the cell; ``d`` = |a|^2 - |rho|^2 and ``c`` = a . rho without rounding, of
    coefficients in a unit in which that length is ``t``.
    """
    terms = _terms(tau.dtype)
    exp, mean, unit = _taylor(tau, 2 * terms)
    a, rho = (tuple(x / unit for x in vector) for vector in (a, rho))
    scale = t / unit
    d, c = d * scale * scale, c * scale * scale
    c2 = c * c
    symmetric = [jnp.ones_like(d), d]  # h_n(l_1^2, -l_2^2)
    for _ in range(terms - 3):
        symmetric.append(d * symmetric[-1] + c2 * symmetric[-2])

    def series(taylor):
        even, odd = taylor[0::2], taylor[1::2]
        w0, w1 = (w[0] + c2 * _dot(w[2:], symmetric[:-1]) for w in (even, odd))
        w2, w3 = (_dot(w[1:], symmetric) for w in (even, odd))  # of M^2 and M^3
        return _Series((w0, w1 + w3 * d, w2, w3 * c), a, rho)

    return series(exp), series(mean)


def _far(excess, turning, alpha, a, rho, d, c, t):
    """The same by eigenvalues, for coefficients of order one times ``t``.

    ``excess``: alpha_I^2 - |alpha|^2; ``turning``: the components of rho before any rotation of the basis;
    w^2 = d + 2 i c.
    """
    aa, rr, normal = _dot(a, a), _dot(rho, rho), _cross(a, rho)
    theta = jnp.sqrt(jnp.maximum(d * d + 4.0 * c * c, jnp.finfo(d.dtype).tiny))  # l_1^2 + l_2^2
    large = jnp.sqrt(0.5 * (theta + jnp.abs(d)))
    boosts, sign = d > 0.0, jnp.where(c < 0.0, -1.0, 1.0)
    l1, l2 = jnp.where(boosts, large, sign * c / large), jnp.where(boosts, c / large, sign * large)
    lost = 2.0 * _dot(normal, normal) / (aa + rr + theta)  # |a|^2 - l_1^2 = |rho|^2 - l_2^2

    # alpha_I - l_1, from the difference of their squares where they are close
    close = (alpha > 1e-9) & (l1 > 0.5 * alpha)
    gap = jnp.where(close, (excess + lost) / jnp.where(alpha > 0.5e-9, alpha + l1, 1.0), alpha - l1)
    fast, slow, tau, angle = (alpha + l1) * t, gap * t, alpha * t, l2 * t
    cos, sin = _wave(angle, *_phase(angle, t, turning, large, lost, sign, boosts))

    real = tuple((l1 * x + l2 * y) / theta for x, y in zip(a, rho, strict=True))
    opposite = tuple((l2 * x - l1 * y) / theta for x, y in zip(a, rho, strict=True))
    size = 0.5 * (aa + rr + theta) / theta
    swift = tuple((y / theta + x) / size for x, y in zip(real, normal, strict=True))
    sluggish = tuple((y / theta - x) / size for x, y in zip(real, normal, strict=True))
    decay = jnp.exp(-tau)
    exp = jnp.exp(-fast), jnp.exp(-slow), decay * cos, -decay * sin
    mean = _mean_exp(fast), _mean_exp(slow), *_mean_wave(tau, angle, cos, sin)
    return tuple(_Modes(weights, swift, sluggish, real, opposite, size) for weights in (exp, mean))


def _phase(angle, t, turning, large, lost, sign, boosts):
    """l_2 t as a sum of two numbers; of a large rotation |rho| - lost / (|rho| + l_2) to more digits than one has."""
    angle, t, large, lost, *turning = jax.lax.stop_gradient((angle, t, large, lost, *turning))
    norm = jnp.where(boosts, large, jnp.sqrt(_dot(turning, turning)))
    rest = -(_excess(norm, *turning) / (2.0 * norm) + lost / (norm + large))
    (n1, n2), (t1, t2) = _split(norm), _split(t)
    high, low = sign * n1 * t1, sign * (n1 * t2 + n2 * t + rest * t)
    return jnp.where(boosts, 0.0, high), jnp.where(boosts, angle, low)


def _cell(c, sky, depth):
    """exp(-K) and int_0^1 exp(-K h) dh of cells of length ``depth``; ``sky``: ``c`` in the basis of the sky."""
    a, rho = sky[5:8], sky[8:11]
    unit = _power_of_two((sky.alpha_I, *a, *rho))
    t, alpha = unit * depth, sky.alpha_I / unit
    a_unit, rho_unit = (tuple(x / unit for x in vector) for vector in (a, rho))
    absorbing, turning = ([getattr(c, n) / unit for n in c._fields if n.startswith(k)] for k in ("alpha", "rho"))

    tau = alpha * t
    d = _exactly(*((1.0, x, x) for x in absorbing[1:]), *((-1.0, x, x) for x in turning))
    mixed = _exactly(*((1.0, x, y) for x, y in zip(absorbing[1:], turning, strict=True)))
    width = jnp.sqrt(jnp.sqrt(jax.lax.stop_gradient(d * d + 4.0 * mixed * mixed))) * t  # |w|
    # exp(-K) needs |w| itself to be small, unless nothing is left of it
    opaque = tau > -1.25 * float(np.log(jnp.finfo(tau.dtype).tiny))

    def masks(margin):
        """Where powers of M serve the mean, and exp(-K)."""
        small = width <= margin * _SERIES**0.5
        series = small | (width <= margin * _NEAR**0.5 * tau)
        return series, series & (small | opaque)

    (series, short), (wide, _), (_, narrow) = masks(1.0), masks(1.05), masks(0.95)

    def where(mask, x, y):
        return jax.tree.map(lambda p, q: jnp.where(mask, p, q), x, y)

    zeros, one = (0.0, 0.0, 0.0), (1.0, 0.0, 0.0)
    near = _near(
        jnp.where(wide, sky.alpha_I * depth, 1.0),
        *(where(wide, tuple(x * depth for x in vector), zeros) for vector in (a, rho)),
        *(where(wide, x, 0.0) for x in (d, mixed, t)),
    )
    far = _far(
        jnp.where(narrow, 0.0, _excess(*absorbing)),
        where(narrow, [0.0] * len(turning), turning),
        jnp.where(narrow, 1.0, alpha),
        where(narrow, one, a_unit),
        where(narrow, zeros, rho_unit),
        *(jnp.where(narrow, x, y) for x, y in ((1.0, d), (0.0, mixed), (1.0, t))),
    )
    return _Action(short, near[0], far[0]), _Action(series, near[1], far[1])


# Rays --------------------------------------------------------------------------------------------


def _operators(cell):
    """What cells do to light, and the light that they add."""
    c, ds, psi, g = cell
    # Lorentz invariants: I / nu^3, j / nu^2, alpha nu, and ds / nu along the ray
    ds = jnp.where((ds >= 0.0) & (g > 0.0), ds, jnp.nan)
    sky = c if psi is None else turned(c, psi)
    through, mean = _cell(c, sky, ds / g)
    own = c[: 4 if psi is None else 3]
    unit = _power_of_two(own, 0.75)  # dividing by less, derivatives would leave the range of the numbers
    added = mean(tuple(j / unit for j in sky[:4]), _unpolarized([j / unit for j in own]))
    size = unit * ds * g * g
    return through, tuple(size * x for x in added)


def _step(stokes, cell):
    through, added = cell
    unit = _power_of_two(stokes, 0.75)
    light = tuple(x / unit for x in stokes)
    passed = through(light, _unpolarized(light))
    stokes = tuple(unit * x + y for x, y in zip(passed, added, strict=True))
    return stokes, stokes


_LANES = 4096  # cells whose functions are evaluated together


def _scanned(start, cells, along):
    """Cell after cell; what does not depend on the light is evaluated for several of them at once.

    Reverse mode keeps the light between such stretches and goes through each again.
    """
    count, size = cells[1].shape[0], math.prod(start[0].shape)
    if not (isinstance(count, int) and isinstance(size, int)):  # symbols in an export
        last, every = jax.lax.scan(lambda stokes, cell: _step(stokes, _operators(cell)), start, cells)
        return every if along else last
    stretch = min(count, max(1, _LANES // max(1, size)))
    stretches = -(-count // stretch)

    def cut(value):
        # empty cells at the end change nothing
        value = jnp.pad(value, [(0, stretches * stretch - count), *[(0, 0)] * (value.ndim - 1)])
        return value.reshape(stretches, stretch, *value.shape[1:])

    c, ds, psi, g = jax.tree.map(cut, cells)
    g = jnp.where(g == 0.0, 1.0, g) if stretches * stretch > count else g

    @jax.checkpoint
    def body(stokes, part):
        after, every = jax.lax.scan(_step, stokes, _operators(part))
        return after, (every if along else None)

    last, every = jax.lax.scan(body, start, (c, ds, psi, g))
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[:count], every) if along else last


def _composed(first, second):
    """Two stretches of a ray as one: matrices [cells, 4, 4, ...] and light [cells, 4, ...]."""
    (matrix, light), (later, later_light) = first, second
    # sums of products, since a library call for every 4 x 4 block costs more than the block
    both = sum(later[:, :, k, None] * matrix[:, None, k] for k in range(4))
    return both, sum(later[:, :, k] * light[:, k, None] for k in range(4)) + later_light


def _physical(v):
    """Whether I >= |P|, up to rounding."""
    unit = _power_of_two(v, 0.75)
    return (v[0] >= 0.0) & (_unpolarized([x / unit for x in v]) >= 0.0)


def _bounded(stokes, physical):
    """``stokes`` without what rounding of matrices adds to |P| beyond I, where the light is ``physical``."""
    i, q, u, v = (jax.lax.stop_gradient(x) for x in stokes)
    i, negative = jnp.maximum(i, 0.0), jnp.minimum(i, 0.0)
    size = jnp.maximum(jnp.hypot(jnp.hypot(q, u), v), i)
    share = jnp.where(physical & (size > 0.0), i / jnp.where(size > 0.0, size, 1.0), 1.0)
    return (stokes[0] - jnp.where(physical, negative, 0.0), *(share * x for x in stokes[1:]))


def _associative(start, cells, along):
    """Every cell as a matrix, composed in a tree."""
    through, light = _operators(cells)
    unit = tuple(jnp.broadcast_to(row.reshape(4, *([1] * light[0].ndim)), (4, *light[0].shape)) for row in jnp.eye(4))
    excess = jnp.array([1.0, -1.0, -1.0, -1.0], light[0].dtype)
    columns = jax.vmap(through)(tuple(row.astype(light[0].dtype) for row in unit), excess)
    ray = (jnp.moveaxis(jnp.stack(columns), 2, 0), jnp.stack(light, 1))
    if along:
        ray = jax.lax.associative_scan(_composed, ray)
    else:
        while (count := ray[0].shape[0]) > 1:
            joined = _composed(*(jax.tree.map(lambda x, k=k: x[k : count - count % 2 : 2], ray) for k in (0, 1)))
            ray = jax.tree.map(lambda x, y: jnp.concatenate([x, y[count - count % 2 :]]), joined, ray)
        ray = jax.tree.map(lambda x: x[0], ray)
    matrix, light = ray
    passed = sum(matrix[..., :, k, *[slice(None)] * start[k].ndim] * start[k] for k in range(4))
    c = cells[0]
    kinds = ([getattr(c, n) for n in c._fields if n.startswith(k)] for k in ("j", "alpha"))
    physical = functools.reduce(jnp.logical_and, map(_physical, kinds))
    physical = jax.lax.cummin(physical.astype(np.int8)) > 0 if along else jnp.all(physical, 0)
    return _bounded(tuple(jnp.moveaxis(passed + light, -1 - start[0].ndim, 0)), physical & _physical(start))


# What users call --------------------------------------------------------------------------------

_INTENSITY_UNIT = "erg s^-1 cm^-2 Hz^-1 sr^-1"
_LIGHT = ("I", "Q", "U", "V")


class _Given(NamedTuple):
    """Arguments of ``solve`` as arrays that broadcast: fields of c, ds, psi (if any), g [..., cells]; background."""

    kind: type
    values: dict
    light: dict
    dtype: np.dtype
    rays: tuple
    cells: int
    known: bool  # nothing is traced

    def cells_of(self, values):
        """(coefficients, ds, psi, g) of a mapping such as ``values``."""
        c = self.kind(*(values[f"c.{n}"] for n in self.kind._fields))
        return c, values["ds"], values.get("psi"), values["g"]


def _refuse(name, array, broken, what):
    if np.any(broken):
        where = tuple(int(i) for i in np.argwhere(broken)[0])
        raise ValueError(f"transfer: {name}{list(where) if where else ''} = {np.asarray(array)[where]}: {what}")


def _unit(name):
    """The unit in which an argument is wanted."""
    own = {"ds": "cm", "psi": "rad", "g": ""}
    if name.startswith("c."):
        return unit_of_coefficient(name[2:])
    return own.get(name, _INTENSITY_UNIT)


def _given(c, ds, psi, g, background):
    """The arguments, checked."""
    kinds = {k._fields: k for k in (Coefficients, SkyCoefficients)}
    kind = kinds.get(getattr(c, "_fields", None))
    if kind is None:
        raise ValueError(
            f"transfer: needs Coefficients with psi, or SkyCoefficients (synchrojax.rotate), got {type(c).__name__}"
        )
    if (kind is SkyCoefficients) == (psi is not None):
        hint = (
            "SkyCoefficients are in a basis on the sky: leave psi out"
            if psi is not None
            else "Coefficients need psi [rad]"
        )
        raise ValueError(f"transfer: {hint}")
    named = {f"c.{n}": v for n, v in zip(c._fields, c, strict=True)} | {"ds": ds}
    named |= {} if psi is None else {"psi": psi}
    named |= {"g": 1.0 if g is None else g}
    light = {}
    if background is not None:
        try:
            light = {f"background.{n}": v for n, v in zip(_LIGHT, background, strict=True)}
        except (TypeError, ValueError):
            raise ValueError("transfer: background must be the four Stokes parameters I, Q, U, V") from None
    values, dtype = reals(named | light, lambda n: f"transfer: {n}", _unit)
    try:
        shape = broadcast_shapes([values[n].shape for n in named])
        rays = broadcast_shapes([shape[:-1], *(values[n].shape for n in light)])
    except ValueError:
        shapes = ", ".join(f"{n} {values[n].shape}" for n in values if values[n].shape)
        raise ValueError(f"transfer: shapes do not fit (rays..., cells; background rays...): {shapes}") from None
    if not shape:
        raise ValueError("transfer: the last axis counts the cells of a ray; got numbers only")
    if not values["ds"].shape and shape[-1] != 1:
        raise ValueError(
            f"transfer: ds is one length, but the last axis of the other arguments, {shape[-1]} long, counts the cells "
            "along a ray. For that many separate rays of one cell each, a spectrum say, give every coefficient and psi "
            "one more axis, c = jax.tree.map(lambda x: x[..., None], c), or the params before; for cells of equal "
            "length give an array of them"
        )
    known = not is_traced(values.values())
    if known:
        for n, v in values.items():
            _refuse(n, v, ~np.isfinite(v), "not finite")
        _refuse("ds", values["ds"], np.asarray(values["ds"]) < 0.0, "path lengths of cells must not be negative")
        _refuse("g", values["g"], np.asarray(values["g"]) <= 0.0, "the frequency ratio must be positive")
    parts = ({n: values[n] for n in group} for group in (named, light))
    return _Given(kind, *parts, dtype, rays, shape[-1], known)


@own_settings
def solve(c, ds, *, psi=None, g=None, background=None, method="scan", along=False):
    """Stokes parameters where the rays leave the last of their cells.

    ``c``: ``SkyCoefficients``, or ``Coefficients`` together with ``psi`` [rad] (see ``synchrojax.rotate``); all [...,
    cells], constant within a cell, the cell farthest from the observer first. ``ds`` [cm]: lengths of the cells, >= 0
    (``lengths`` makes them from positions); one number is a length only where there is one cell. Everything broadcasts.
    A spectrum of a slab is many rays of one cell each: ``params`` with one more axis, ``nu[..., None]``.
    ``g``: nu_observed / nu_fluid per cell, redshift and Doppler shift together. ``c`` then is in the frame of the fluid
    at nu / g, ``ds`` in the observer's frame (in curved space: the affine parameter that makes the energy of a
    photon 1 at the observer), and the result is I = g^3 I' at nu.
    ``background``: I, Q, U, V that enter the first cell, each broadcasting over the rays (default: dark).
    ``method``: ``"scan"`` goes cell by cell; ``"associative"`` composes 4 x 4 matrices in a tree, for long rays on
    accelerators. ``along``: the result after every cell [..., cells] instead of after the last.

    Exact for constant coefficients: the error of a cell is below 1e-12 (float64) or 1e-4 (float32, |rho| ds <= 1e3) of
    I, and values and derivatives are finite, for alpha ds and |rho| ds from 0 to 1e12 (float32: 1e8); beyond |rho| ds =
    1e3 float32 no longer knows the phase of the rotation. Light with I^2 >= Q^2 + U^2 + V^2 stays so, if alpha_I >=
    |alpha_QUV| and j_I >= |j_QUV|. In float32 derivatives of light fainter than 1e-20 lose digits to underflow where
    alpha ds > 1e3. The associative method rounds each matrix, so that light that it dims by many orders
    of magnitude may lose its last digits. With coefficients at the middles of cells, rays converge to second order.

    ValueError for shapes, units and masks that do not fit and, for concrete input, for values that are not finite,
    negative lengths and g <= 0; under jit these give NaN in the rays that hold them. Reverse-mode derivatives of a scan
    keep the light between stretches of cells, not every step.
    """
    if method not in METHODS:
        raise ValueError(f"transfer: unknown method {method!r}; available: {', '.join(METHODS)}")
    given = _given(c, ds, psi, g, background)
    if isinstance(given.cells, int) and given.cells == 0:
        return _without_cells(given, along)
    size = math.prod(given.rays) if given.known else 0
    if given.known and 0 < size * given.cells <= STEPS[-1]:
        found = _padded(given, size, method, along)
        if found is not None:
            return found
    return Stokes(*_solved(given.values, given.light, given.kind, given.dtype, method, along))


def _without_cells(given, along):
    shape = (*given.rays, 0) if along else given.rays
    light = given.light.values() if given.light and not along else (0.0,) * 4
    return Stokes(*(jnp.broadcast_to(jnp.asarray(v, given.dtype), shape) for v in light))


def _padded(given, size, method, along):
    """``solve`` of few concrete cells, filled up with empty cells and more rays to one of a few sizes, or None."""
    cells, rays, names = step(given.cells), step(size), list(given.values)
    table = np.zeros((len(names), cells, rays), given.dtype)
    table[names.index("g")] = 1.0
    full = (*given.rays, given.cells)
    for part, value in zip(table, given.values.values(), strict=True):
        part[: given.cells, :size] = np.broadcast_to(np.asarray(value), full).reshape(size, given.cells).T
    start = np.zeros((4, rays), given.dtype)
    for row, value in zip(start, given.light.values(), strict=False):
        row[:size] = np.broadcast_to(np.asarray(value), given.rays).reshape(-1)
    found = _table_solved(table, start, given.kind, method, along)
    if is_traced([found]):  # known values in someone's jit
        return None
    found = np.asarray(found)
    if along:
        found = np.moveaxis(found[:, : given.cells, :size], 1, -1).reshape(4, *full)
    else:
        found = found[:, :size].reshape(4, *given.rays)
    return Stokes(*jax.device_put(list(found)))


@functools.partial(jax.jit, static_argnames=("kind", "method", "along"))
def _table_solved(table, start, kind, method, along):
    """For one array [argument, cells, rays] and the background [4, rays]; one array."""
    count = len(kind._fields)
    ds, *psi, g = table[count:]
    cells = kind(*table[:count]), ds, (psi[0] if psi else None), g
    return jnp.stack(_ways(tuple(start), cells, method, along))


def _ways(start, cells, method, along):
    return (_associative if method == "associative" else _scanned)(start, cells, along)


@functools.partial(jax.jit, static_argnames=("kind", "dtype", "method", "along"))
def _solved(values, light, kind, dtype, method, along):
    cells, start = _arranged(values, light, kind, dtype)
    found = _ways(start, cells, method, along)
    return tuple(jnp.moveaxis(x, 0, -1) for x in found) if along else found


def _arranged(values, light, kind, dtype):
    """(coefficients, ds, psi, g) [cells, rays...] and the background [rays...], all in one dtype."""
    shape = broadcast_shapes([v.shape for v in values.values()])
    rays = broadcast_shapes([shape[:-1], *(v.shape for v in light.values())])
    full = (*rays, shape[-1])
    moved = {n: jnp.moveaxis(jnp.broadcast_to(jnp.asarray(v, dtype), full), -1, 0) for n, v in values.items()}
    start = [jnp.broadcast_to(jnp.asarray(v, dtype), rays) for v in light.values()]
    start = start or [jnp.zeros(rays, dtype)] * 4
    c = kind(*(moved[f"c.{n}"] for n in kind._fields))
    return (c, moved["ds"], moved.get("psi"), moved["g"]), tuple(start)


@own_settings
def depths(c, ds, *, psi=None, g=None, along=False):
    """Optical and Faraday ``Depths`` of rays; arguments as in ``solve``.

    ``along``: of what lies between the near end of every cell and the observer [..., cells].
    """
    given = _given(c, ds, psi, g, None)
    return Depths(*_depths(given.values, given.kind, given.dtype, along))


@functools.partial(jax.jit, static_argnames=("kind", "dtype", "along"))
def _depths(values, kind, dtype, along):
    (c, ds, _, g), _ = _arranged(values, {}, kind, dtype)
    rho_u = getattr(c, "rho_U", jnp.zeros_like(c.rho_Q))
    size = jnp.maximum(jnp.abs(c.rho_Q), jnp.abs(rho_u))
    safe = jnp.where(size > 0.0, size, 1.0)
    conversion = jnp.where(size > 0.0, safe * jnp.hypot(c.rho_Q / safe, rho_u / safe), 0.0)
    found = []
    for rate in (c.alpha_I, c.rho_V, conversion):
        piece = rate * (ds / g)
        beyond = jnp.cumsum(piece[::-1], 0)[::-1] - piece
        found.append(jnp.moveaxis(beyond, 0, -1) if along else jnp.sum(piece, 0))
    return tuple(found)


@own_settings
def lengths(positions):
    """Lengths of cells [..., cells] between ``positions`` [..., cells + 1] [cm] that grow towards the observer.

    ValueError for concrete positions that are not finite or not sorted.
    """
    values, dtype = reals({"positions": positions}, lambda n: f"transfer: {n}", lambda n: "cm")
    positions = values["positions"]
    if positions.ndim == 0 or positions.shape[-1] < 2:
        raise ValueError("transfer: positions need a last axis of at least two")
    if is_traced([positions]):
        return jnp.diff(positions.astype(dtype), axis=-1)
    _refuse("positions", positions, ~np.isfinite(positions), "not finite")
    ds = np.diff(np.asarray(positions, dtype), axis=-1)
    _refuse("positions", positions, np.pad(ds < 0.0, [*[(0, 0)] * (ds.ndim - 1), (0, 1)]), "not sorted")
    return jax.device_put(ds)
