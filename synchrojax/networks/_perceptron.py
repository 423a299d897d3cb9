"""Fully connected networks, points along the last axes."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from synchrojax.core import Arrays, product

ACTIVATIONS = {
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
    "sigmoid": jax.nn.sigmoid,
    "linear": lambda x: x,
}


class Affine(nnx.Module):
    """kernel^T x + bias in the precision of x: [inputs, ...] -> [outputs, ...].

    Whole vectors of points go through every step, twice as fast as with the features along the last
    axis.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        kernel_init: Callable,
        bias_init: Callable,
        rngs: nnx.Rngs,
    ) -> None:
        dtype = jax.dtypes.canonicalize_dtype(float)  # float64 where that is on
        self.kernel = nnx.Param(kernel_init(rngs.params(), (inputs, outputs), dtype))
        self.bias = nnx.Param(bias_init(rngs.params(), (outputs,), dtype))

    def __call__(self, x: Float[Arrays, "inputs *points"]) -> Float[Array, "outputs *points"]:
        kernel, bias = self.kernel[...].astype(x.dtype), self.bias[...].astype(x.dtype)
        return product(kernel.T, x) + bias.reshape(-1, *(1,) * (x.ndim - 1))


class Perceptron(nnx.Module):
    """Layers ``Affine`` with an activation between them: [inputs, ...] -> [outputs, ...].

    ``widths``: of the hidden layers. ``activation`` and ``output``: names in ``ACTIVATIONS``,
    between layers and after the last. ``scale``: of normal kernels with zero biases, instead of
    kernels that keep the size of the signal. ``rngs``: of the initial weights, which are float64
    where that is on.
    """

    def __init__(
        self,
        inputs: Any,
        outputs: Any,
        *,
        widths: Any,
        activation: Any = "tanh",
        output: Any = "linear",
        scale: float | None = None,
        rngs: nnx.Rngs,
    ) -> None:
        unknown = [name for name in (activation, output) if name not in ACTIVATIONS]
        if unknown:
            raise ValueError(f"activation {unknown[0]!r} is not one of {', '.join(ACTIVATIONS)}")
        kernel_init = nnx.initializers.variance_scaling(1.0, "fan_in", "normal")
        # a choice: units start at different places of features between -1 and 1
        bias_init = nnx.initializers.normal(0.3)
        if scale is not None:
            kernel_init, bias_init = nnx.initializers.normal(scale), nnx.initializers.zeros
        self.sizes = (int(inputs), *map(int, widths), int(outputs))
        self.activation, self.output = activation, output
        self.layers = nnx.List(
            Affine(a, b, kernel_init=kernel_init, bias_init=bias_init, rngs=rngs)
            for a, b in itertools.pairwise(self.sizes)
        )

    def __call__(self, x: Float[Arrays, "inputs *points"]) -> Float[Array, "outputs *points"]:
        return ACTIVATIONS[self.output](self.before_output(x))

    def before_output(self, x: Float[Arrays, "inputs *points"]) -> Float[Array, "outputs *points"]:
        """What the activation of the output is applied to."""
        *hidden, last = self.layers
        for layer in hidden:
            x = ACTIVATIONS[self.activation](layer(x))
        return last(x)

    @classmethod
    def of(
        cls,
        layers: Sequence[tuple[Float[np.ndarray, "_ _"], Float[np.ndarray, " _"]]],
        **options: Any,
    ) -> "Perceptron":
        """From layers ((kernel [inputs, outputs], bias [outputs]), ...) that are there."""
        inputs, *widths = (len(kernel) for kernel, _ in layers)
        shape = {"widths": widths, **options}
        module = nnx.eval_shape(lambda: cls(inputs, len(layers[-1][1]), **shape, rngs=nnx.Rngs(0)))
        for own, (kernel, bias) in zip(module.layers, layers, strict=True):
            own.kernel, own.bias = nnx.Param(kernel), nnx.Param(bias)
        return module

    def settings(self) -> dict[str, Any]:
        """What ``Perceptron(**settings, rngs=...)`` makes one of the same shape from."""
        inputs, *widths, outputs = self.sizes
        own = {"activation": self.activation, "output": self.output}
        return {"inputs": inputs, "outputs": outputs, "widths": widths, **own}
