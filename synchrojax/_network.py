"""The Flax networks: small multilayer perceptrons. The only module besides training that knows Flax."""

import itertools

import jax.numpy as jnp
import numpy as np
from flax import nnx


class Perceptron(nnx.Module):
    """Fully connected, tanh between layers, linear output; ``sizes`` includes input and output."""

    def __init__(self, sizes, *, rngs, dtype=jnp.float64):
        init = nnx.initializers.variance_scaling(1.0, "fan_in", "normal")
        bias = nnx.initializers.normal(0.3)
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


def initial_weights(sizes, seed):
    """Fresh float64 weights of a ``Perceptron``, drawn from an explicit seed."""
    return Perceptron(sizes, rngs=nnx.Rngs(seed)).weights()


def forward(weights, x):
    """The network as a pure function of its weights, in the precision of ``x``: [inputs, ...] -> [outputs, ...].

    Points lie along the last axes: whole vectors of them go through every step, twice as fast as the other way round.
    """
    *hidden, last = [(kernel.astype(x.dtype), bias.astype(x.dtype)) for kernel, bias in weights]
    for layer in hidden:
        x = jnp.tanh(_affine(layer, x))
    return _affine(last, x)


def product(matrix, x):
    """A matrix times the first axis of ``x``, in full precision: GPUs would round float32 to 10 bits."""
    return jnp.tensordot(matrix, x, 1, precision="highest")


def _affine(layer, x):
    kernel, bias = layer
    return product(kernel.T, x) + bias.reshape(-1, *(1,) * (x.ndim - 1))


def sizes_of(weights):
    return (weights[0][0].shape[0], *(np.shape(bias)[0] for _, bias in weights))
