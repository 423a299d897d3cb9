"""Pointwise functions of many points in blocks that fit the cache."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Shaped

from synchrojax.core import Arrays

_LANES = 64  # a block is a multiple of this: vector units idle at odd lengths


def blockwise(function: Callable, values: Any, block: int) -> Any:
    """``function(values)`` for a pytree of arrays of one shape.

    On CPU it runs in blocks of so many points where they are many. Block k takes every K-th point,
    so that an array sharded over devices stays sharded in each block.
    """
    shape = jax.tree.leaves(values)[0].shape
    # symbols in an export
    if not all(isinstance(n, int) for n in shape) or jax.default_backend() != "cpu":
        return function(values)
    size = math.prod(shape)
    count = -(-size // block)
    if count < 2:
        return function(values)
    rows = -(-size // count)
    rows += -rows % _LANES
    fill = rows * count - size

    def cut(value: Shaped[Arrays, "*points"]) -> Shaped[Array, "blocks block"]:
        return jnp.pad(value.reshape(-1), (0, fill), mode="edge").reshape(rows, count).T

    # reverse mode goes through each block again instead of keeping what every step of all of them
    # left
    found = jax.lax.map(jax.checkpoint(function, prevent_cse=False), jax.tree.map(cut, values))
    return jax.tree.map(lambda out: out.T.reshape(-1)[:size].reshape(shape), found)
