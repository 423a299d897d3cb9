"""What lies along a path that passes matter, averaged: int w(h) exp(-x h) dh, 0 < h < 1.

``h`` is the share of the longest path to the observer that light from a point still has before it.
In a cell all depths have the same weight, w = 1. Over the face of a sphere there are more short
chords than long ones: w = 1 - h^2, which is the share of the face whose chords are longer. Across a
cylinder that share is (1 - h^2)^(1/2).
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from synchrojax.core import Masks, at_least, at_most, complex_root, reciprocal, square_root
from synchrojax.transfer._arithmetic import Values


class Mean(NamedTuple):
    """A weight w(h), as the three functions of it that a solution needs."""

    # of (-M / unit)^n in exp(-tau - M) and in its mean, and that unit (``_cell_powers``)
    powers: Callable[[Values, int], tuple[Sequence[Values], Sequence[Values], Values]]
    decay: Callable[[Values], Values]  # int w exp(-x h) dh of a real x
    # real and imaginary part of int w exp(-(x + i y) h) dh, given cos and sin of y, too
    wave: Callable[[Values, Values, Values, Values], tuple[Values, Values]]


def _cell_decay(x: Values) -> Values:
    """(1 - exp(-x)) / x."""
    small = jnp.abs(x) < 0.1  # there the closed form loses digits, in its slope first
    near, far = jnp.where(jnp.abs(x) < 0.2, x, 0.0), jnp.where(jnp.abs(x) < 0.05, 1.0, x)
    series = jnp.ones_like(near)
    for n in range(9 if jnp.finfo(x.dtype).bits > 32 else 5, 0, -1):
        series = 1.0 - near * series / (n + 1)
    return jnp.where(small, series, -jnp.expm1(-far) * reciprocal(far))


def _cell_wave(x: Values, y: Values, cos: Values, sin: Values) -> tuple[Values, Values]:
    """(1 - exp(-z)) / z of z = x + i y."""
    size = jax.lax.stop_gradient(jnp.maximum(jnp.abs(x), jnp.abs(y)))
    small = size < 0.01  # not met unless absorption is polarized above its total
    xs, ys = (jnp.where(size < 0.02, v, 0.0) for v in (x, y))
    re, im = jnp.ones_like(xs), jnp.zeros_like(ys)
    for n in range(4, 0, -1):
        re, im = 1.0 - (re * xs - im * ys) / (n + 1), -(re * ys + im * xs) / (n + 1)
    smaller = size < 0.005
    over_size = reciprocal(jnp.where(smaller, 1.0, size))
    xl, yl = jnp.where(smaller, 1.0, x * over_size), jnp.where(smaller, 0.0, y * over_size)
    e = jnp.exp(-jnp.where(smaller, 1.0, x))
    p, q = 1.0 - e * cos, e * sin  # 1 - exp(-x - i y) = p + i q
    over = over_size * reciprocal(xl * xl + yl * yl)
    return jnp.where(small, re, (p * xl + q * yl) * over), jnp.where(
        small, im, (q * xl - p * yl) * over
    )


def _cell_powers(tau: Values, count: int) -> tuple[Sequence[Values], Sequence[Values], Values]:
    """Weights of (-M / unit)^n, n < count, in exp(-tau - M) and in its mean, and that unit.

    The mean is over the cell, of exp(-(tau + M) h), 0 < h < 1. The weights are unit^n exp(-tau) /
    n! and unit^n / n! int_0^1 h^n exp(-tau h) dh.
    """
    small = tau < 1.5
    unit = jnp.where(small, 1.0, tau)
    # above, nothing is left of them, but their derivatives would overflow on the way back
    bounded = at_most(tau, -2.0 * float(np.log(jnp.finfo(tau.dtype).tiny)))
    powers = [jnp.exp(-bounded)]
    for n in range(1, count + 1):
        powers.append(powers[-1] * jnp.where(small, 1.0, bounded) / n)
    # downwards every step is a sum of positive numbers; the start need not be exact, it fades as 1
    # / n!
    t = jnp.where(small, tau, 0.0)
    down = [powers[count] / (1.0 - t / (count + 1))]
    for n in range(count - 1, 0, -1):
        down.append(t * down[-1] + powers[n])
    t = jnp.where(small, 2.0, tau)
    over = reciprocal(t)
    up = [-jnp.expm1(-t) * over]
    for n in range(1, count):
        up.append(up[-1] - powers[n] * over)
    return (
        powers[:count],
        [jnp.where(small, d, u) for d, u in zip(reversed(down), up, strict=True)],
        unit,
    )


CELL = Mean(_cell_powers, _cell_decay, _cell_wave)


# Over the face of a sphere: int (1 - h^2) exp(-x h) dh = 1/x - 2/x^3 + exp(-x) (2/x^2 + 2/x^3) ----

_NEAREST = 2.0  # below, the sum of powers of x


def _sphere_terms(dtype: Any) -> tuple[float, ...]:
    """int (1 - h^2) h^n dh, for as many powers of x as count."""
    count = 26 if jnp.finfo(dtype).bits > 32 else 15
    return tuple(2.0 / ((n + 1) * (n + 3)) for n in range(count))


def _sphere_decay(x: Values) -> Values:
    y = jnp.zeros_like(x)
    return _sphere_wave(x, y, y + 1.0, y)[0]


def _sphere_wave(x: Values, y: Values, cos: Values, sin: Values) -> tuple[Values, Values]:
    size = jax.lax.stop_gradient(jnp.maximum(jnp.abs(x), jnp.abs(y)))
    small, near, nearer = (size < factor * _NEAREST for factor in (1.0, 1.05, 0.95))
    xs, ys = (jnp.where(near, v, 0.0) for v in (x, y))
    re, im = jnp.zeros_like(xs), jnp.zeros_like(ys)
    for n, term in reversed(list(enumerate(_sphere_terms(x.dtype)))):
        re, im = term - (re * xs - im * ys) / (n + 1), -(re * ys + im * xs) / (n + 1)
    scale, p, q = _over(x, y, size, nearer, _NEAREST)
    p, q = scale * p, scale * q
    e = jnp.exp(-jnp.where(nearer, _NEAREST, x))
    e_re, e_im = e * cos, -e * sin
    # 1 + 2 / z (e + (e - 1) / z), from the inside
    u, v = e_re + (e_re - 1.0) * p - e_im * q, e_im + (e_re - 1.0) * q + e_im * p
    u, v = 1.0 + 2.0 * (u * p - v * q), 2.0 * (u * q + v * p)
    return jnp.where(small, re, u * p - v * q), jnp.where(small, im, u * q + v * p)


def _over(
    x: Values, y: Values, size: Values, excluded: Masks, instead: float
) -> tuple[Values, Values, Values]:
    """(scale, p, q), 1 / (x + i y) = scale (p + i q) with p + i q of order one.

    Of ``instead`` where ``excluded``; ``size``: max(|x|, |y|).
    """
    over_size = reciprocal(jnp.where(excluded, instead, size))
    xl, yl = jnp.where(excluded, 1.0, x * over_size), jnp.where(excluded, 0.0, y * over_size)
    over = reciprocal(xl * xl + yl * yl)
    return over_size, xl * over, -yl * over


def _sphere_powers(tau: Values, count: int) -> tuple[Sequence[Values], Sequence[Values], Values]:
    powers, means, unit = _cell_powers(tau, count + 2)
    over = reciprocal(unit)
    over = over * over
    weighted = [means[n] - (n + 1) * (n + 2) * over * means[n + 2] for n in range(count)]
    return powers[:count], weighted, unit


SPHERE = Mean(_sphere_powers, _sphere_decay, _sphere_wave)


# Across a cylinder: int (1 - h^2)^(1/2) exp(-x h) dh, by a Gauss rule, or by powers of 1 / x ------


def _farthest(dtype: Any) -> tuple[float, int, int]:
    """(|x| from which on powers of 1 / x serve, nodes below it, powers above it)."""
    return (30.0, 32, 14) if jnp.finfo(dtype).bits > 32 else (14.0, 18, 6)


def _gauss(count: int, x: Values) -> tuple[Float[Array, "nodes ..."], Float[Array, "nodes ..."]]:
    """Nodes and weights of int_0^1 (1 - h^2)^(1/2) g(h) dh, to multiply what is like ``x``.

    Gauss and Legendre's rule in phi, h = cos(phi), in which all is smooth.
    """
    nodes, weights = np.polynomial.legendre.leggauss(count)
    phi = 0.25 * np.pi * (nodes + 1.0)
    shape = (count, *[1] * x.ndim)
    weights = 0.25 * np.pi * weights * np.sin(phi) ** 2
    return (
        jnp.asarray(np.cos(phi).reshape(shape), x.dtype),
        jnp.asarray(weights.reshape(shape), x.dtype),
    )


def _halves(count: int) -> tuple[float, ...]:
    """Binomial coefficients of (1 + x)^(1/2)."""
    found = [1.0]
    for k in range(1, count):
        found.append(found[-1] * (1.5 - k) / k)
    return tuple(found)


def _cylinder_decay(x: Values) -> Values:
    y = jnp.zeros_like(x)
    return _cylinder_wave(x, y, y + 1.0, y)[0]


def _cylinder_wave(x: Values, y: Values, cos: Values, sin: Values) -> tuple[Values, Values]:
    far, count, terms = _farthest(x.dtype)
    size = jax.lax.stop_gradient(jnp.maximum(jnp.abs(x), jnp.abs(y)))
    small, near, nearer = (size < factor * far for factor in (1.0, 1.05, 0.95))
    xs, ys = (jnp.where(near, v, 0.0) for v in (x, y))
    nodes, weights = _gauss(count, x)
    e = weights * jnp.exp(-nodes * xs[None])
    re, im = (jnp.sum(e * wave(nodes * ys[None]), 0) for wave in (jnp.cos, jnp.sin))
    scale, p, q = _over(x, y, size, nearer, far)
    root_re, root_im = (square_root(scale) * v for v in complex_root(p, q))
    p, q = scale * p, scale * q
    square = p * p - q * q, 2.0 * p * q
    start = jnp.zeros_like(p)
    # from the near side: sum (-1)^k binom(1/2, k) (2 k)! / x^(2 k + 1)
    a, b = start, start
    for k, half in reversed(list(enumerate(_halves(terms)))):
        step = (2.0 * k + 1.0) * (2.0 * k + 2.0)
        a, b = (
            (-1.0) ** k * half + step * (a * square[0] - b * square[1]),
            step * (a * square[1] + b * square[0]),
        )
    a, b = a * p - b * q, a * q + b * p
    # from the far side, where 1 - h turns by half a circle: -+ i (2 / x^3)^(1/2) exp(-x) sum
    # binom(1/2, k) Gamma(k + 3/2) / (2 x)^k
    u, v = start, start
    for k, half in reversed(list(enumerate(_halves(terms)))):
        step = 0.5 * (k + 1.5)
        u, v = half + step * (u * p - v * q), step * (u * q + v * p)
    u, v = u * root_re - v * root_im, u * root_im + v * root_re
    u, v = u * p - v * q, u * q + v * p
    e = float(np.sqrt(np.pi / 2.0)) * jnp.exp(-jnp.where(nearer, far, x))
    c, s = e * cos, -e * sin
    u, v = u * c - v * s, u * s + v * c
    turn = jnp.where(y < 0.0, -1.0, 1.0)
    return jnp.where(small, re, a + turn * v), jnp.where(small, -im, b - turn * u)


def _cylinder_powers(tau: Values, count: int) -> tuple[Sequence[Values], Sequence[Values], Values]:
    powers, _, unit = _cell_powers(tau, count)
    far, size, terms = _farthest(tau.dtype)
    close = tau < 1.05 * far
    nodes, part = _gauss(size, tau)
    part = part * jnp.exp(-nodes * jnp.where(close, tau, 0.0)[None])
    nodes = nodes * jnp.where(close, unit, 1.0)[None]
    over = reciprocal(at_least(tau, 0.95 * far))
    means, square = [], over * over
    for n in range(count):
        nearby, total = jnp.sum(part, 0), jnp.zeros_like(tau)
        part = part * nodes / (n + 1)
        for k, half in reversed(list(enumerate(_halves(terms)))):
            total = (-1.0) ** k * half + (2 * k + n + 1) * (2 * k + n + 2) * square * total
        means.append(jnp.where(tau < far, nearby, total * over))
    return powers[:count], means, unit


CYLINDER = Mean(_cylinder_powers, _cylinder_decay, _cylinder_wave)
