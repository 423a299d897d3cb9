"""The Flax networks: small multilayer perceptrons. The only module besides training that knows Flax."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx


class Perceptron(nnx.Module):
    """Fully connected, tanh between layers, linear output; ``sizes`` includes input and output.

    ``scale``: of normal kernels with zero biases, instead of kernels that keep the size of the signal.
    """

    def __init__(self, sizes, *, rngs, dtype=jnp.float64, scale=None):
        init = nnx.initializers.variance_scaling(1.0, "fan_in", "normal")
        bias = nnx.initializers.normal(0.3)
        if scale is not None:
            init, bias = nnx.initializers.normal(scale), nnx.initializers.zeros
        self.layers = nnx.List(
            nnx.Linear(a, b, kernel_init=init, bias_init=bias, param_dtype=dtype, dtype=dtype, rngs=rngs)
            for a, b in itertools.pairwise(sizes)
        )

    def __call__(self, x):
        """[..., inputs] -> [..., outputs]."""
        return jnp.moveaxis(forward(self.weights(), jnp.moveaxis(x, -1, 0)), 0, -1)

    def weights(self):
        """The parameters as a plain pytree: ((kernel, bias), ...)."""
        return tuple((layer.kernel[...], layer.bias[...]) for layer in self.layers)


def initial_weights(sizes, seed, *, scale=None):
    """Fresh float64 weights of a ``Perceptron``, drawn from an explicit seed."""
    return Perceptron(sizes, rngs=nnx.Rngs(seed), scale=scale).weights()


ACTIVATIONS = {
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
    "sigmoid": jax.nn.sigmoid,
    "linear": lambda x: x,
}


def forward(weights, x, activation="tanh", output="linear"):
    """The network as a pure function of its weights, in the precision of ``x``: [inputs, ...] -> [outputs, ...].

    Points lie along the last axes: whole vectors of them go through every step, twice as fast as the other way round.
    Weights with a leading axis are those of an ensemble: its mean.
    """
    if weights[0][0].ndim == 3:
        members = jax.vmap(lambda w: forward(w, x, activation, output))(weights)
        return jnp.mean(members, 0)
    *hidden, last = [(kernel.astype(x.dtype), bias.astype(x.dtype)) for kernel, bias in weights]
    for layer in hidden:
        x = ACTIVATIONS[activation](_affine(layer, x))
    return ACTIVATIONS[output](_affine(last, x))


def members_of(weights):
    """How many networks each head of a model has: 1, or the size of an ensemble."""
    first = next(iter(weights.values()))[0][0]
    return first.shape[0] if first.ndim == 3 else 1


def product(matrix, x):
    """A matrix times the first axis of ``x``, in full precision: GPUs would round float32 to 10 bits."""
    return jnp.tensordot(matrix, x, 1, precision="highest")


def _affine(layer, x):
    kernel, bias = layer
    return product(kernel.T, x) + bias.reshape(-1, *(1,) * (x.ndim - 1))


def sizes_of(weights):
    return (weights[0][0].shape[0], *(np.shape(bias)[0] for _, bias in weights))
