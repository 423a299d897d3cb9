"""One cell: exp(-K) and its mean, for dS/ds = j - K S with the matrix of the README.

K = alpha_I + M, where M is made of a = (alpha_Q, alpha_U, alpha_V) and rho = (rho_Q, rho_U, rho_V)
as the field tensor is of E and B: M (I, P) = (a . P, a I + P x rho). So a + i rho = w n with a
complex number w = l_1 + i l_2 and a complex unit vector n = n_1 + i n_2 turns M into a boost and a
rotation that commute, M = l_1 B + l_2 R with B R = 0, and every function of K follows from its
values at alpha_I +- l_1 and alpha_I +- i l_2 (Landi Degl'Innocenti & Landi Degl'Innocenti 1985,
Solar Physics 97, 239; here in closed form for the emission, too). The boost has two null
eigenvectors, (1, (m +- n_1) / |n_1|^2) with m = n_1 x n_2: light that is fully polarized and
absorbed fastest or slowest. Where the four eigenvalues are close to each other n does not exist;
there powers of M are summed.

In a thick cell what counts is the slowest of the rates and the little light in its mode, both small
differences of large numbers: alpha_I - l_1 and I - u . P. They follow from alpha_I^2 - |alpha|^2
and I^2 - |P|^2, which ``excess_of`` gives without rounding, and from sums of positive terms.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from synchrojax.core import (
    Coefficients,
    Masks,
    SkyCoefficients,
    at_least,
    at_most,
    kept,
    reciprocal,
    square_root,
)
from synchrojax.transfer._arithmetic import (
    Values,
    Vector,
    cross,
    dot,
    exact_sum,
    excess_of,
    split,
    unit_of,
    wave,
)
from synchrojax.transfer._means import CELL, Mean

# powers of M are summed where |w|^2 <= max(_SERIES, _NEAR alpha_I^2), all times the length of the
# cell: so many even and odd ones (``_terms``) give the precision of the numbers there, and
# elsewhere |n_1|^2 stays below 30
_SERIES, _NEAR = 0.5, 0.04


def _generator(a: Vector, rho: Vector, v: Vector) -> tuple[Values, ...]:
    """M v for one vector (I, Q, U, V)."""
    turned = cross(v[1:], rho)
    return (dot(a, v[1:]), *(x * v[0] + y for x, y in zip(a, turned, strict=True)))


def _terms(dtype: Any) -> int:
    """How many even powers of M there are; as many odd ones."""
    return 12 if jnp.finfo(dtype).bits > 32 else 6


class _Series(NamedTuple):
    """w_0 - w_1 M + w_2 M^2 - w_3 N, M of a and rho, N its dual, of rho and - a."""

    weights: Vector
    a: Vector
    rho: Vector

    def __call__(self, v: Vector) -> tuple[Values, ...]:
        once = _generator(self.a, self.rho, v)
        twice = _generator(self.a, self.rho, once)
        dual = _generator(self.rho, tuple(-x for x in self.a), v)
        w = self.weights
        return tuple(
            w[0] * v0 - w[1] * v1 + w[2] * v2 - w[3] * v3
            for v0, v1, v2, v3 in zip(v, once, twice, dual, strict=True)
        )


class _Modes(NamedTuple):
    """Factors of the fast mode, of the slow one and of what is in neither.

    The last is complex: its real and its imaginary part.
    """

    weights: Vector
    swift: Vector  # directions of polarization of the two modes
    sluggish: Vector
    real: Vector  # n_1
    opposite: Vector  # - n_2
    size: Values  # |n_1|^2

    def __call__(self, v: Vector, excess: Values) -> tuple[Values, ...]:
        """``excess``: I^2 - |P|^2."""
        i, p = v[0], v[1:]
        # left eigenvectors have - m: u of I - u . P is that of the fast mode
        along, across = dot(self.swift, p), cross(self.swift, p)
        close = (i > 0.0) & (along > 0.5 * i) & (along < 2.0 * i)
        rest = (excess + dot(across, across)) / jnp.where(
            (i > 0.0) & (along > 0.25 * i), i + along, 1.0
        )
        slow = 0.5 * self.size * jnp.where(close, rest, i - along)
        fast = 0.5 * self.size * (i - dot(self.sluggish, p))
        once = _generator(self.opposite, self.real, v)  # R v; - R^2 leaves what is in neither mode
        twice = _generator(self.opposite, self.real, once)
        w = self.weights
        fast, slow = w[0] * fast, w[1] * slow
        return tuple(
            fast * x + slow * y - w[2] * z + w[3] * r
            for x, y, z, r in zip(
                (1.0, *self.swift), (1.0, *self.sluggish), twice, once, strict=True
            )
        )


class _Action(NamedTuple):
    """A function of K as a map of vectors, by powers of M where ``short``."""

    short: Masks
    series: _Series
    modes: _Modes

    def __call__(self, v: Vector, excess: Values) -> tuple[Values, ...]:
        pairs = zip(self.series(v), self.modes(v, excess), strict=True)
        return tuple(jnp.where(self.short, x, y) for x, y in pairs)


def _near(
    weight: Mean, tau: Values, a: Vector, rho: Vector, d: Values, c: Values, t: Values
) -> tuple[_Series, _Series]:
    """exp(-K) and its mean over the cell by powers of M.

    From M^3 = d M + c N and M^4 = d M^2 + c^2. ``a``, ``rho``: times the length of the cell; ``d``
    = |a|^2 - |rho|^2 and ``c`` = a . rho without rounding, of coefficients in a unit in which that
    length is ``t``.
    """
    terms = _terms(tau.dtype)
    exp, mean, unit = weight.powers(tau, 2 * terms)
    over = reciprocal(unit)
    a, rho = (tuple(x * over for x in vector) for vector in (a, rho))
    scale = t * over
    d, c = d * scale * scale, c * scale * scale
    c2 = c * c
    symmetric = [jnp.ones_like(d), d]  # h_n(l_1^2, -l_2^2)
    for _ in range(terms - 3):
        symmetric.append(d * symmetric[-1] + c2 * symmetric[-2])

    def series(taylor: Sequence[Values]) -> _Series:
        even, odd = taylor[0::2], taylor[1::2]
        w0, w1 = (w[0] + c2 * dot(w[2:], symmetric[:-1]) for w in (even, odd))
        w2, w3 = (dot(w[1:], symmetric) for w in (even, odd))  # of M^2 and M^3
        return _Series((w0, w1 + w3 * d, w2, w3 * c), a, rho)

    return series(exp), series(mean)


def _far(
    weight: Mean,
    excess: Values,
    turning: Vector,
    alpha: Values,
    a: Vector,
    rho: Vector,
    d: Values,
    c: Values,
    t: Values,
) -> tuple[_Modes, _Modes]:
    """The same by eigenvalues, for coefficients of order one times ``t``.

    ``excess``: alpha_I^2 - |alpha|^2; ``turning``: the components of rho before any rotation of the
    basis; w^2 = d + 2 i c.
    """
    aa, rr, normal = dot(a, a), dot(rho, rho), cross(a, rho)
    tiny = float(jnp.finfo(d.dtype).tiny)
    theta = square_root(at_least(d * d + 4.0 * c * c, tiny))  # l_1^2 + l_2^2
    large = square_root(0.5 * (theta + jnp.abs(d)))
    boosts, sign = d > 0.0, jnp.where(c < 0.0, -1.0, 1.0)
    other = c * reciprocal(large)
    l1, l2 = jnp.where(boosts, large, sign * other), jnp.where(boosts, other, sign * large)
    both = aa + rr + theta
    lost = 2.0 * dot(normal, normal) * reciprocal(both)  # |a|^2 - l_1^2 = |rho|^2 - l_2^2
    over = reciprocal(theta)
    size = 0.5 * both * over
    over, l1, l2, lost, large, normal, size = kept((over, l1, l2, lost, large, normal, size))

    # alpha_I - l_1, from the difference of their squares where they are close
    close = (alpha > 1e-9) & (l1 > 0.5 * alpha)
    total = jnp.where(alpha > 0.5e-9, alpha + l1, 1.0)
    gap = jnp.where(close, (excess + lost) * reciprocal(total), alpha - l1)
    fast, slow, tau, angle = kept(((alpha + l1) * t, gap * t, alpha * t, l2 * t))
    cos, sin = wave(angle, *_phase(angle, t, turning, large, lost, sign, boosts))

    real = tuple((l1 * x + l2 * y) * over for x, y in zip(a, rho, strict=True))
    opposite = tuple((l2 * x - l1 * y) * over for x, y in zip(a, rho, strict=True))
    over_size = reciprocal(size)
    swift = tuple((y * over + x) * over_size for x, y in zip(real, normal, strict=True))
    sluggish = tuple((y * over - x) * over_size for x, y in zip(real, normal, strict=True))
    decay, cos, sin = kept((jnp.exp(-tau), cos, sin))
    exp = jnp.exp(-fast), jnp.exp(-slow), decay * cos, -decay * sin
    mean = weight.decay(fast), weight.decay(slow), *weight.wave(tau, angle, cos, sin)
    modes = swift, sluggish, real, opposite, size
    return _Modes(exp, *modes), _Modes(mean, *modes)


def _phase(
    angle: Values,
    t: Values,
    turning: Vector,
    large: Values,
    lost: Values,
    sign: Values,
    boosts: Masks,
) -> tuple[Values, Values]:
    """l_2 t as a sum of two numbers.

    Of a large rotation it is |rho| - lost / (|rho| + l_2), to more digits than one number has.
    """
    angle, t, large, lost, *turning = jax.lax.stop_gradient((angle, t, large, lost, *turning))
    norm = jnp.where(boosts, large, jnp.sqrt(dot(turning, turning)))
    rest = -(excess_of(norm, *turning) * reciprocal(2.0 * norm) + lost * reciprocal(norm + large))
    (n1, n2), (t1, t2) = split(norm), split(t)
    high, low = sign * n1 * t1, sign * (n1 * t2 + n2 * t + rest * t)
    return jnp.where(boosts, 0.0, high), jnp.where(boosts, angle, low)


def cell_functions(
    c: Coefficients | SkyCoefficients, sky: SkyCoefficients, depth: Values, weight: Mean = CELL
) -> tuple[_Action, _Action, Values]:
    """exp(-K) and int_0^1 w exp(-K h) dh of cells of length ``depth``, and that length.

    It is less where K would leave the range of the numbers. ``sky``: ``c`` in the basis of the sky.
    """
    # of thin cells it is that of one over the length: what K changes by is then of order one, too
    per_depth = jnp.where(depth > 0.0, reciprocal(jnp.where(depth > 0.0, depth, 1.0)), 0.0)
    unit = kept(unit_of((sky.alpha_I, *sky[5:], per_depth)))
    over = reciprocal(unit)  # exact, as that of every power of two
    # far enough below the largest number for quotients by depths to keep their digits
    depth = at_most(depth, float(jnp.finfo(unit.dtype).max) ** 0.95 * at_most(over, 1.0))
    alpha, *vectors = (x * over for x in (sky.alpha_I, *sky[5:]))
    absorbing, turning = (
        [getattr(c, n) * over for n in c._fields if n.startswith(k)] for k in ("alpha", "rho")
    )
    d = exact_sum(*((1.0, x, x) for x in absorbing[1:]), *((-1.0, x, x) for x in turning))
    mixed = exact_sum(*((1.0, x, y) for x, y in zip(absorbing[1:], turning, strict=True)))
    excess = excess_of(*absorbing)
    # the depths from the coefficients themselves, whose unit may be at the end of its range
    tau, *depths = (x * depth for x in (sky.alpha_I, *sky[5:]))
    t, tau, depths, alpha, a, rho, turning, d, mixed, excess = kept(
        (unit * depth, tau, depths, alpha, vectors[:3], vectors[3:], turning, d, mixed, excess)
    )

    width = jnp.sqrt(jnp.sqrt(jax.lax.stop_gradient(d * d + 4.0 * mixed * mixed))) * t  # |w|
    # exp(-K) needs |w| itself to be small, unless nothing is left of it
    opaque = tau > -1.25 * float(np.log(jnp.finfo(tau.dtype).tiny))

    def masks(margin: float) -> tuple[Masks, Masks]:
        """Where powers of M serve the mean, and exp(-K)."""
        small = width <= margin * _SERIES**0.5
        series = small | (width <= margin * _NEAR**0.5 * tau)
        return series, series & (small | opaque)

    (series, short), (wide, _), (_, narrow) = kept((masks(1.0), masks(1.05), masks(0.95)))

    def where(mask: Masks, x: Any, y: Any) -> Any:
        return jax.tree.map(lambda p, q: jnp.where(mask, p, q), x, y)

    zeros, ones = [0.0] * 3, [1.0] * 3
    # evaluated again for derivatives, which would keep every one of the powers
    near = jax.checkpoint(functools.partial(_near, weight))(
        jnp.where(wide, tau, 1.0),
        *(where(wide, vector, zeros) for vector in (depths[:3], depths[3:])),
        *(where(wide, x, 0.0) for x in (d, mixed, t)),
    )
    far = _far(
        weight,
        jnp.where(narrow, 0.0, excess),
        where(narrow, [0.0] * len(turning), turning),
        jnp.where(narrow, 1.0, alpha),
        where(narrow, ones, a),
        where(narrow, zeros, rho),
        *(jnp.where(narrow, x, y) for x, y in ((3.0, d), (0.0, mixed), (1.0, t))),
    )
    # one by one, since one of them may not be wanted
    exp, mean = map(kept, zip(near, far, strict=True))
    return _Action(short, *exp), _Action(series, *mean), depth
