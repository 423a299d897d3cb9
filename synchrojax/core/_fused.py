"""Element-wise functions as few kernels, on the backend that makes a kernel of every result.

XLA's CPU backend fuses element-wise code into each of its consumers, where it is compiled and
evaluated again, unless it is expensive and used more than once: then it is a kernel of its own.
Kernels are what compilation takes its time for (``python tests/compile_time.py``). What stands here
gives that backend the kernels of ``_kernels``; others fuse several results by themselves.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Primitive, jaxpr_as_fun
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, Float, PyTree

from synchrojax.core._flat import APART, FUSED, Flat
from synchrojax.core._kernels import apart, evaluated, staged
from synchrojax.core._types import Arrays


def fused(function: Callable, *values: PyTree) -> PyTree:
    """``function(*values)`` of arrays, element by element, as few kernels.

    So are its tangents, and on the way back its cotangents: derivatives share nothing with the
    values but ``values``, and are evaluated from those. Derivatives of derivatives follow the rules
    of ``function`` at each level, so that ``with_tangents_times``, whose rule holds once, stays
    outside. Raises TypeError where ``function`` closes over traced arrays, which derivatives would
    not know.
    """
    leaves, tree = jax.tree.flatten(jax.tree.map(jnp.asarray, values))
    traced, shapes = jax.make_jaxpr(
        lambda *leaves: function(*jax.tree.unflatten(tree, leaves)), return_shape=True
    )(*leaves)
    if any(isinstance(v, jax.core.Tracer) for v in traced.consts):
        raise TypeError("a fused function takes every traced array as an argument")
    return jax.tree.unflatten(jax.tree.structure(shapes), FUSED.bind(*leaves, traced=traced))


def kept(values: PyTree) -> PyTree:
    """``values`` as they are, computed once and kept; so are their tangents and cotangents."""
    leaves, tree = jax.tree.flatten(jax.tree.map(jnp.asarray, values))
    return jax.tree.unflatten(tree, FUSED.bind(*leaves, traced=None))


def stacked(rows: Sequence[Float[Arrays, "*points"]]) -> Float[Array, "rows *points"]:
    """Arrays of one shape along a new first axis, each ``kept``.

    A stack of expressions is evaluated again for each row of a product that it is a factor of.
    """
    return jnp.stack(kept(list(rows)))


# Two primitives -----------------------------------------------------------------------------------


FUSED.def_impl(evaluated)
FUSED.def_abstract_eval(lambda *values, traced: values if traced is None else traced.out_avals)


def _same(*values: Any) -> Sequence[Any]:
    return values


APART.def_impl(_same)
APART.def_abstract_eval(_same)


def _nothing(value: Any) -> ad.Zero:
    return ad.Zero(jax.typeof(value).to_tangent_aval())


def _there(tangents: Sequence[Any]) -> list[int]:
    return [i for i, t in enumerate(tangents) if not isinstance(t, ad.Zero)]


def _tangents(
    primals: Sequence[Any], tangents: Sequence[Any], *, traced: ClosedJaxpr | None
) -> tuple[Sequence[Any], list[Any]]:
    found, there = FUSED.bind(*primals, traced=traced), _there(tangents)
    slopes = [_nothing(v) for v in found]
    if traced is None:
        moving, moved = there, FUSED.bind(*(tangents[i] for i in there), traced=None)
    else:
        flat = Flat(traced)
        there = [i for i in there if flat.uses[i]]
        moving = [i for i, v in enumerate(found) if jnp.issubdtype(v.dtype, jnp.inexact)]

        def slope(values: Sequence[Any], given: Sequence[Any]) -> list[Any]:
            steps = [ad.instantiate_zeros(_nothing(v)) for v in values]
            for i, t in zip(there, given, strict=True):
                steps[i] = t
            after = jax.jvp(jaxpr_as_fun(traced), list(values), steps)[1]
            return [after[i] for i in moving]

        values, telling = list(primals), flat.telling()
        for i, v in zip(telling, APART.bind(*(primals[i] for i in telling)), strict=True):
            values[i] = v
        moved = fused(slope, values, [tangents[i] for i in there])
    for i, t in zip(moving, moved, strict=True):
        slopes[i] = t
    return found, slopes


def _cotangents(tangents: Sequence[Any], *operands: Any, traced: ClosedJaxpr | None) -> list[Any]:
    there = _there(tangents)
    given, found = [tangents[i] for i in there], [None] * len(operands)
    if traced is None:
        linear, moved = there, FUSED.bind(*given, traced=None)
    else:
        linear = [i for i, v in enumerate(operands) if ad.is_undefined_primal(v)]
        shapes = [operands[i].aval for i in linear]
        flat = Flat(traced, rules=True)

        def back(operands: Sequence[Any], given: Sequence[Any]) -> Sequence[Any]:
            def forward(*moving: Any) -> list[Any]:
                every = list(operands)
                for i, v in zip(linear, moving, strict=True):
                    every[i] = v
                after = flat.evaluated(every)
                return [after[i] for i in there]

            return jax.linear_transpose(forward, *shapes)(given)

        known = [None if ad.is_undefined_primal(v) else v for v in operands]
        moved = fused(back, known, given)
    for i, t in zip(linear, moved, strict=True):
        found[i] = t
    return found


def _batched(
    values: Sequence[Any], axes: Sequence[Any], *, traced: ClosedJaxpr | None
) -> tuple[Sequence[Any], Sequence[Any]]:
    if traced is None:
        return FUSED.bind(*values, traced=None), axes
    found = fused(jax.vmap(jaxpr_as_fun(traced), axes), *values)
    return found, [0] * len(found)


ad.primitive_jvps[FUSED] = _tangents
ad.primitive_transposes[FUSED] = _cotangents
batching.primitive_batchers[FUSED] = _batched
ad.primitive_jvps[APART] = lambda primals, tangents: (APART.bind(*primals), list(tangents))
batching.primitive_batchers[APART] = lambda values, axes: (APART.bind(*values), axes)


# On each backend ----------------------------------------------------------------------------------


def _lowered(primitive: Primitive, function: Callable, platform: str | None = None) -> None:
    mlir.register_lowering(primitive, mlir.lower_fun(function, multiple_results=True), platform)


_lowered(FUSED, evaluated)
_lowered(APART, _same)
_lowered(FUSED, staged, "cpu")
_lowered(APART, apart, "cpu")
