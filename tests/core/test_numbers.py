"""Elementary functions with derivatives of their own, against those of JAX and NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from synchrojax import core

pytestmark = pytest.mark.usefixtures("x64")

X = np.array([-7.0, -1.3, -0.2, 0.4, 1.0, 2.5, 9.0])
POSITIVE = np.array([0.2, 0.4, 1.0, 2.5, 40.0])
PAIRS = np.random.default_rng(1).normal(size=(2, 40))

FUNCTIONS = {
    "at_most": (lambda x: core.at_most(x, 0.5), lambda x: jnp.minimum(x, 0.5), X),
    "at_least": (lambda x: core.at_least(x, 0.5), lambda x: jnp.maximum(x, 0.5), X),
    "within": (lambda x: core.within(x, -1.0, 2.0), lambda x: jnp.clip(x, -1.0, 2.0), X),
    "reciprocal": (core.reciprocal, lambda x: 1.0 / x, X),
    "softplus": (core.softplus, jax.nn.softplus, X),
    "square_root": (core.square_root, jnp.sqrt, POSITIVE),
    "cosine_sine": (
        lambda x: jnp.stack(core.cosine_sine(x)),
        lambda x: jnp.stack([jnp.cos(x), jnp.sin(x)]),
        X,
    ),
    "sine_cosine": (
        lambda x: jnp.stack(core.sine_cosine(x)),
        lambda x: jnp.stack([jnp.abs(jnp.sin(x)), jnp.cos(x)]),
        X,
    ),
    "stacked": (lambda x: core.stacked([x, 2.0 * x]), lambda x: jnp.stack([x, 2.0 * x]), X),
    "kept": (lambda x: core.kept({"x": x * x})["x"] * x, lambda x: x**3, X),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_slopes_are_those_of_jax(name):
    own, plain, x = FUNCTIONS[name]
    x = jnp.asarray(x)
    assert np.allclose(own(x), plain(x), rtol=1e-14, atol=1e-15)
    for mode in (jax.jacfwd, jax.jacrev):
        assert np.allclose(mode(own)(x), mode(plain)(x), rtol=1e-13, atol=1e-14)
    check_grads(own, (x,), order=2, rtol=1e-3, atol=1e-4)


def test_an_edge_counts_as_inside():
    assert jax.grad(core.at_most)(2.0, 2.0) == jax.grad(core.at_least)(2.0, 2.0) == 1.0
    slopes = jax.vmap(jax.grad(core.within), (0, None, None))(jnp.asarray([1.0, 2.0]), 1.0, 2.0)
    assert np.array_equal(slopes, [1.0, 1.0])


def test_complex_root():
    """In all four quadrants and on both axes, with the side of the cut that NumPy takes."""
    axes = np.array([[2.0, 0.0, 0.0, -3.0, 1e-8], [0.0, 1.5, -1.5, 0.0, 1e8]])
    for real, imag in (PAIRS, axes):
        root = np.sqrt(real + 1j * imag)
        assert np.allclose(core.complex_root(real, imag), [root.real, root.imag], rtol=1e-14)
    far = tuple(PAIRS[:, np.hypot(*PAIRS) > 0.5])
    check_grads(core.complex_root, far, order=2, rtol=1e-3, atol=1e-4)
