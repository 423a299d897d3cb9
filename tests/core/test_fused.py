"""Functions as few kernels: values and derivatives are those of the function, and the compiler
makes of it what is meant.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from synchrojax import core

pytestmark = pytest.mark.usefixtures("x64")
ON_CPU = pytest.mark.skipif(jax.default_backend() != "cpu", reason="other backends need none of it")
X = np.linspace(0.3, 2.0, 7)


def function(values, count):
    """Of all that is met: nested functions, integers, masks, constants, what is not used."""
    x, y = values["x"], values["y"]
    t = jnp.exp(jnp.sin(x) * y)
    u = core.softplus(t) * core.reciprocal(1.0 + t * t) / 3.0
    v = core.kept(jnp.where(x > 1.0, u * t, y**3)) + jnp.sum(jnp.stack([u, t]), 0)
    return {"u": u, "v": [v, v * u, jnp.log1p(v * v)], "mask": x > y, "count": count + 1, "y": y}


def fused(values, count):
    return core.fused(function, values, count)


def numbers(found):
    return jnp.stack([found["u"], *found["v"], jnp.where(found["mask"], 1.0, found["y"])])


def of_x(call):
    return lambda x: numbers(call({"x": x, "y": x[::-1] + 0.1, "unused": x}, jnp.arange(7)))


def test_values_and_derivatives_are_those_of_the_function():
    x = jnp.asarray(X)
    found = fused({"x": x, "y": x + 0.1}, jnp.arange(7))
    assert found["count"].dtype == jnp.arange(7).dtype
    assert found["mask"].dtype == bool
    for change in (jax.jit, jax.jacfwd, jax.jacrev, jax.hessian):
        assert np.allclose(change(of_x(fused))(x), change(of_x(function))(x), rtol=1e-13)
        together = jax.jit(jax.vmap(change(of_x(fused))))(jnp.stack([x, 2.0 * x]))
        assert np.allclose(together[1], change(of_x(function))(2.0 * x), rtol=1e-12)
    check_grads(of_x(fused), (x,), order=2, rtol=1e-4, atol=1e-6)


def test_shapes_may_differ_and_zeros_keep_their_sign():
    def outer(a, b):
        return a[:, None] * jnp.exp(b)[None], -0.0 * b, a

    a, b = jnp.asarray(X), jnp.asarray(X[:3])
    for call in (core.fused, lambda f, *v: core.kept(f(*v))):
        product, zero, same = jax.jit(lambda a, b, call=call: call(outer, a, b))(a, b)
        assert np.allclose(product, X[:, None] * np.exp(X[:3]), rtol=1e-14)
        assert np.array_equal(np.signbit(zero), [True] * 3)
        assert np.array_equal(same, X)
    slope = jax.jit(jax.grad(lambda b: jnp.sum(core.fused(outer, a, b)[0])))(b)
    assert np.allclose(slope, np.sum(X) * np.exp(X[:3]), rtol=1e-14)


def test_no_traced_array_is_closed_over():
    def outer(x):
        return core.fused(lambda y: x * y, X)

    assert np.array_equal(outer(X), X * X)
    with pytest.raises(TypeError, match="takes every traced array as an argument"):
        jax.jit(outer)(X)


def compiled(call, *values):
    return jax.jit(call).lower(*values).compile().as_text()


@ON_CPU
@pytest.mark.parametrize("count", [1, 2])
def test_the_compiler_does_not_look_behind_what_is_kept(count):
    def shared(x):
        once = core.kept([jnp.sin(x) + n for n in range(count)])
        return [once[0] * once[-1] * n for n in range(1, 6)]

    for call in (shared, jax.vmap(shared), jax.grad(lambda x: jnp.sum(shared(x)[4] ** 2))):
        text = compiled(call, jnp.ones(8))
        assert text.count(" sine(") == 1
        assert (" conditional(" in text) == (count == 1)


@ON_CPU
def test_several_results_are_one_kernel_and_derivatives_share_none_of_it():
    def several(x):
        wave = jnp.sin(x)
        return [wave * n + jnp.sqrt(x + n) for n in range(1, 6)]

    text = compiled(lambda x: core.fused(several, x), jnp.ones(8))
    assert text.count(" fusion(") == 1
    assert text.count(" sine(") == 1
    # as long as there are few points, since only one core runs it
    assert compiled(lambda x: core.fused(several, x), jnp.ones(4096)).count(" conditional(") == 5

    def total(x):
        return jnp.sum(jnp.stack(core.fused(several, core.kept(x))) ** 2)

    text = compiled(jax.value_and_grad(total), jnp.ones(8))
    assert text.count(" sine(") == text.count(" cosine(") == 1


@ON_CPU
def test_what_is_expensive_and_shared_ends_a_stage():
    """Else the compiler makes a kernel of each that is on the way to another."""

    def chain(x, y):
        for _ in range(4):
            x, y = [jnp.exp(-x * y), jnp.sqrt(1.0 + x * y)], [x + y, x * y]
            x, y = x[0] + x[1], y[0] * x[0] + y[1] * x[1]
        return [x, y, x * y]

    x = jnp.asarray(X)
    assert compiled(lambda x: core.fused(chain, x, x + 1.0), x).count(" fusion(") <= 8
    assert compiled(lambda x: chain(x, x + 1.0), x).count(" fusion(") > 8


def test_constants_and_what_is_the_same():
    """Steps of no argument, sums over one, equations met twice, parts of other sizes."""

    def mixed(x):
        fixed = jnp.sum(jnp.exp(jnp.arange(3.0)))
        whole = jnp.stack([jnp.sin(x), jnp.sin(x) * 2.0, x])
        few, many = jnp.split(whole, [1])
        return fixed * x, jnp.sum(whole[:1], 0), jnp.sum(few) + jnp.sum(many, 0), fixed

    x = jnp.asarray(X)
    for call in (lambda f: f, lambda f: jax.jacrev(lambda x: f(x)[2]), jax.jacfwd):
        ours, plain = (
            jax.tree.leaves(jax.jit(call(f))(x)) for f in (lambda x: core.fused(mixed, x), mixed)
        )
        assert all(np.allclose(a, b, rtol=1e-14) for a, b in zip(ours, plain, strict=True))


@ON_CPU
def test_sums_along_the_same_axis_are_one_kernel():
    def sums(x, nodes):
        each = jnp.exp(-x[None] * nodes[:, None])
        return [jnp.sum(each * n * nodes[:, None], 0) for n in range(1, 6)]

    x, nodes = jnp.asarray(X), jnp.asarray(X[:5])
    text = compiled(lambda x: core.fused(sums, x, nodes), x)
    assert text.count(" fusion(") == 1
    assert text.count(" exponential(") == 1
    assert np.allclose(core.fused(sums, x, nodes), sums(x, nodes), rtol=1e-14)

    def slopes(x):
        weights = [x + n for n in range(4)]
        every = sum(w[None] * jnp.cos(nodes[:, None] * w[None]) for w in weights)
        return jnp.sum(every * every, 0)

    text = compiled(jax.grad(lambda x: jnp.sum(core.fused(slopes, x))), x)
    assert text.count(" reduce(") < compiled(jax.grad(lambda x: jnp.sum(slopes(x))), x).count(
        " reduce("
    )


@ON_CPU
def test_what_rows_are_taken_of_is_evaluated_once():
    """Else the compiler writes the code of every row."""

    def rows(x):
        a, b, c, d = jnp.exp(-x * x)
        return a * b + c * d, a - d

    x = jnp.stack([jnp.asarray(X) + n for n in range(4)])
    text = compiled(lambda x: core.fused(rows, x), x)
    kernels = [part for part in text.split("\n\n") if " exponential(" in part]
    assert len(kernels) == 1
    assert " slice(" not in kernels[0]
    assert np.allclose(core.fused(rows, x), rows(x), rtol=1e-14)


@ON_CPU
def test_kernels_of_a_stage_share_nothing_that_is_expensive():
    def many(x):
        wave, decay = jnp.sin(x), jnp.exp(-x)
        return [wave * n + decay for n in range(40)]

    text = compiled(lambda x: core.fused(many, x), jnp.asarray(X))
    assert text.count(" sine(") == text.count(" exponential(") == 1
    assert text.count(" fusion(") <= 4


def test_rules_of_derivatives_hold_at_every_level():
    @jax.custom_jvp
    def thrice(x):
        return jnp.exp(x)

    thrice.defjvp(lambda x, t: (thrice(*x), 3.0 * thrice(*x) * t[0]))
    fused_one = lambda x: core.fused(thrice, x)  # noqa: E731
    for change in (
        lambda f: jax.grad(jax.grad(f)),
        lambda f: jax.jacfwd(jax.jacfwd(f)),
        lambda f: jax.jacrev(jax.jacfwd(f)),
        jax.hessian,
    ):
        assert np.isclose(jax.jit(change(fused_one))(1.0), 9.0 * np.e, rtol=1e-14)


def test_results_of_several_precisions():
    def several(x):
        return [f(x).astype(d) for f in (jnp.sin, jnp.exp) for d in (float, jnp.float32, bool)]

    for found, plain in zip(
        jax.jit(lambda x: core.fused(several, x))(X), several(jnp.asarray(X)), strict=True
    ):
        assert found.dtype == plain.dtype
        assert np.allclose(found, plain, rtol=1e-6)
