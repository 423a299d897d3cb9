"""Nodes, weights and the trimming of integration ranges to where the integrand lives."""

import functools
from collections.abc import Callable
from fractions import Fraction
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from synchrojax.core import Reals

# nodes or weights of a rule
Nodes: TypeAlias = Float[np.ndarray, " nodes"]
_GOLDEN = 0.6180339887498949


@functools.cache
def legendre(n: int) -> tuple[Nodes, Nodes]:
    """Gauss-Legendre nodes and weights on [0, 1]."""
    x, w = np.polynomial.legendre.leggauss(n)
    return 0.5 * (x + 1.0), 0.5 * w


@functools.cache
def composite(n: int, split: float) -> tuple[Nodes, Nodes]:
    """The same with n nodes, half of them on each side of ``split``.

    Another rule of nearly the same accuracy.
    """
    (x, w), (y, v) = legendre(n // 2), legendre(n - n // 2)
    return np.concatenate([split * x, split + (1.0 - split) * y]), np.concatenate(
        [split * w, (1.0 - split) * v]
    )


@functools.cache
def gregory_weights(terms: int, order: int) -> Float[np.ndarray, " terms"]:
    """Weights w with sum_(k<terms) w_k F(k) + Int_(terms-1)^inf F dx = sum_(k>=0) F(k).

    The end correction is Gregory's, in backward differences up to ``order``.
    """
    # x / ln(1 - x) generates it: Int = F/2-weighted sum - sum_k g_k nabla^k F
    series = [Fraction(1)]
    for k in range(1, order + 2):
        earlier = (series[i] * Fraction(1, k - i + 1) for i in range(k))
        series.append(-sum(earlier, Fraction(0)))
    weights = [Fraction(1)] * terms
    # sum beyond the last node = Int + sum_k series[k + 1] nabla^k F (series[1] = -1/2)
    for k in range(order + 1):
        binomial = Fraction(1)
        for i in range(k + 1):
            weights[terms - 1 - i] += series[k + 1] * binomial * (-1) ** i
            binomial = binomial * (k - i) / (i + 1)
    return np.array([float(w) for w in weights])


def maximise(
    function: Callable, lo: Reals, hi: Reals, steps: int
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Golden-section search: where a unimodal scalar function is largest on [lo, hi]."""

    def shrink(_: Any, state: tuple[Reals, ...]) -> tuple[Reals, ...]:
        a, b, x1, x2, f1, f2 = state
        left = f1 > f2
        a, b = jnp.where(left, a, x1), jnp.where(left, x2, b)
        new = jnp.where(left, b - _GOLDEN * (b - a), a + _GOLDEN * (b - a))
        f = function(new)
        x1, x2 = jnp.where(left, new, x2), jnp.where(left, x1, new)
        return a, b, x1, x2, jnp.where(left, f, f2), jnp.where(left, f1, f)

    x1, x2 = hi - _GOLDEN * (hi - lo), lo + _GOLDEN * (hi - lo)
    state = jax.lax.fori_loop(0, steps, shrink, (lo, hi, x1, x2, function(x1), function(x2)))
    _, _, x1, x2, f1, f2 = state
    return jnp.where(f1 > f2, x1, x2), jnp.maximum(f1, f2)


def trim(
    function: Callable, lo: Reals, hi: Reals, drop: float, *, steps: int = 26, edge_steps: int = 10
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """The part of [lo, hi] where a unimodal log-weight is within ``drop`` of its maximum."""
    peak, top = maximise(function, lo, hi, steps)

    def bisect(_: Any, state: tuple[Reals, ...]) -> tuple[Reals, ...]:
        out_l, in_l, out_r, in_r = state
        left, right = 0.5 * (out_l + in_l), 0.5 * (out_r + in_r)
        low_l, low_r = function(left) < top - drop, function(right) < top - drop
        return (
            jnp.where(low_l, left, out_l),
            jnp.where(low_l, in_l, left),
            jnp.where(low_r, right, out_r),
            jnp.where(low_r, in_r, right),
        )

    out_l, _, out_r, _ = jax.lax.fori_loop(0, edge_steps, bisect, (lo, peak, hi, peak))
    return out_l, out_r


def scan(
    function: Callable,
    lo: Reals,
    hi: Reals,
    drop: float,
    *,
    points: int = 48,
    refinements: int = 2,
    refined_points: int = 16,
    smallest: float = 1e-4,
) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
    """As ``trim`` for a log-weight with several scales: a geometric scan upward from ``lo``.

    Returns an interval that holds every scanned point within ``drop`` of the highest, and
    the highest value.
    """
    ratio = jnp.log((hi - lo) / smallest) / (points - 2)
    grid = jnp.concatenate([jnp.zeros(1), smallest * jnp.exp(ratio * jnp.arange(points - 1))])
    grid = jnp.minimum(lo + grid, hi)
    best = jnp.asarray(-jnp.inf)
    for level in range(refinements + 1):
        value = jax.vmap(function)(grid)
        best = jnp.maximum(best, jnp.max(value))
        high = value > best - drop
        n = grid.shape[0]
        first = jnp.argmax(high)
        last = n - 1 - jnp.argmax(high[::-1])
        left, right = grid[jnp.maximum(first - 1, 0)], grid[jnp.minimum(last + 1, n - 1)]
        if level < refinements:
            grid = jnp.linspace(left, right, refined_points)
    return left, right, best


def kinks(
    function: Callable, lo: float, hi: float, *, points: int = 2000, most: int = 4
) -> Float[np.ndarray, " kinks"]:
    """Where a function of one variable has kinks or jumps: up to ``most``, in order.

    It takes an array to an array [..., points]. Second differences that stay when the step shrinks;
    for functions that change over more than 1e-3 elsewhere.
    """

    def bends(x: Nodes) -> Float[np.ndarray, " bends"]:
        return np.max(np.abs(np.diff(function(x), 2)).reshape(-1, len(x) - 2), 0)

    x = np.linspace(lo, hi, points)
    bend = np.pad(bends(x), 1)
    usual = np.median(
        np.lib.stride_tricks.sliding_window_view(np.pad(bend, 10, mode="reflect"), 21), -1
    )
    peaks = (
        np.flatnonzero(
            (bend[1:-1] >= bend[:-2]) & (bend[1:-1] >= bend[2:]) & (bend[1:-1] > 3.0 * usual[1:-1])
        )
        + 1
    )
    found: list[float] = []
    for i in sorted(peaks, key=lambda i: -bend[i] / (usual[i] + 1e-12))[: 4 * most]:
        a, b = x[i - 1], x[i + 1]
        for _ in range(4):
            fine = np.linspace(a, b, 33)
            j = int(np.argmax(bends(fine)))
            a, b = fine[j], fine[j + 2]
        step = 1e-4
        y = function(np.array([a - step, a, b, b + step]))
        left, across, right = (np.asarray(d) for d in np.moveaxis(np.diff(y), -1, 0))
        steepest = np.maximum(np.abs(left), np.abs(right))
        bent = np.any(np.abs(right - left) > 0.02 * (step + steepest))
        jumps = np.any(np.abs(across) > 1e-3 + 10.0 * steepest * (b - a) / step)
        middle = 0.5 * (a + b)
        if (bent or jumps) and all(abs(middle - other) > 2.0 * (x[1] - x[0]) for other in found):
            found.append(float(middle))
    return np.sort(np.array(found[:most]))
