"""The networks: the only room that imports Flax. It may import core.

Adding a network: an ``nnx.Module`` here whose call takes features [inputs, ...] and returns [outputs, ...], points
along the last axes.
"""

from synchrojax.networks._perceptron import forward, initial_weights, members_of, product

__all__ = [
    "forward",
    "initial_weights",
    "members_of",
    "product",
]
