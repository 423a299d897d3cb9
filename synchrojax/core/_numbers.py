"""Arithmetic that keeps its digits: full-precision products, and results at the limits of their
dtype.
"""

import jax
import jax.numpy as jnp
import numpy as np


def product(matrix, x):
    """A matrix [rows, inputs] times the first axis of ``x`` [inputs, ...], in full precision:
    [rows, ...].

    GPUs would round float32 to 10 bits.
    """
    return jnp.tensordot(matrix, x, 1, precision="highest")


# Results at the limits of their dtype -------------------------------------------------------------


def _largest(x, share=0.99):
    """The largest number of the dtype to the power ``share``."""
    return float(jnp.finfo(x.dtype).max) ** share


def bounded_exp(x):
    """exp(x), at most the largest number; as a square, so that a slope of it overflows only if
    exp(x / 2) does.
    """
    root = jnp.exp(jnp.minimum(0.5 * x, 0.5 * float(np.log(_largest(x)))))
    return root * root


def bounded_product(x, y):
    """x y for x > 0, at most the largest number in magnitude."""
    most = jax.lax.stop_gradient(_largest(x) / jnp.maximum(x, 1.0))
    return x * jnp.clip(y, -most, most)


@jax.custom_jvp
def ratio(x, y):
    """x / y of positive numbers, at most the largest one; its derivatives never square y."""
    return jnp.minimum(x / y, _largest(x))


@ratio.defjvp
def _ratio_slope(primals, tangents):
    (x, y), value = primals, ratio(*primals)
    most = _largest(x, 0.8)

    def slope(by):
        found = value / by
        return jnp.where(found < most, found, 0.0)

    return value, slope(x) * tangents[0] - slope(y) * tangents[1]


# Derivatives at the limits of their dtype ---------------------------------------------------------


def slopes_that_fit(value, size, smallest):
    """``value`` without its slope where that, of order size / input, or a step to it, would leave
    the dtype's range.

    ``smallest``: the least magnitude of the inputs.
    """
    limit, least = (
        _largest(value, 0.5) * jnp.minimum(smallest, 1.0),
        10.0 * float(jnp.finfo(value.dtype).tiny),
    )
    fits = (size > least) & (size < limit) & (smallest > 1.0 / _largest(value, 0.85))
    return jnp.where(fits, value, jax.lax.stop_gradient(value))


def power_of_two(size):
    """The power of two at or below ``size`` > 0, no part of derivatives: scaling by it loses no
    digits.
    """
    return jax.lax.reduce_precision(jax.lax.stop_gradient(size), jnp.finfo(size.dtype).nexp, 0)


@jax.custom_jvp
def with_tangents_times(x, scale):
    """x, whose tangents, and so its cotangents, are ``scale`` times as large on the other side.

    What depends on a / b for a small b has slopes beyond the range of the numbers; in units of b
    they fit.
    """
    return x


@with_tangents_times.defjvp
def _with_tangents_times_slope(primals, tangents):
    # not itself again: derivatives of derivatives are in plain units, since reverse mode forgets
    # the rule
    return primals[0], primals[1] * tangents[0]


@jax.custom_jvp
def over_with_tangents(x, scale):
    """x / scale, with tangents as ``with_tangents_times`` has them: those of x."""
    return x / scale


@over_with_tangents.defjvp
def _over_with_tangents_slope(primals, tangents):
    return primals[0] / primals[1], tangents[0]


# What the compiler evaluates once -----------------------------------------------------------------


def evaluated_once(tree):
    """``tree``, a few finite arrays of one shape and dtype: its leaves are computed once and kept.

    XLA's CPU backend fuses element-wise code into each of its consumers and so evaluates, and
    compiles, it again for each; a product of matrices is where it stops. The product with the
    identity changes nothing, in derivatives too.
    """
    leaves, structure = jax.tree.flatten(tree)
    identity = jnp.eye(len(leaves), dtype=leaves[0].dtype)
    return jax.tree.unflatten(structure, list(product(identity, jnp.stack(leaves))))


def in_turn(function, values):
    """``function`` of each of ``values`` along their first axis, one after the other, stacked.

    The code is compiled once for all of them, and what a loop returns is kept, too.
    """
    return jax.lax.map(function, values)
