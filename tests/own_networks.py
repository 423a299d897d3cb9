"""Networks that the package does not have, as users write them."""

import jax.numpy as jnp
from flax import nnx

from synchrojax.networks import Perceptron, register


@register("skipping")
class Skipping(nnx.Module):
    """A perceptron beside a linear map, with a constant that is not trained."""

    def __init__(self, inputs, outputs, *, widths, activation="tanh", output="linear", rngs):
        self.deep = Perceptron(
            inputs, outputs, widths=widths, activation=activation, output=output, rngs=rngs
        )
        self.straight = Perceptron(inputs, outputs, widths=(), rngs=rngs)
        self.shift = nnx.Variable(jnp.full(inputs, 0.25))

    def __call__(self, x):
        shift = self.shift[...].astype(x.dtype).reshape(-1, *(1,) * (x.ndim - 1))
        return self.deep(x) + self.straight(x - shift)

    def settings(self):
        return self.deep.settings()
