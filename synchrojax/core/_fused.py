"""Element-wise functions as few kernels, on the backend that makes a kernel of every result.

XLA's CPU backend fuses element-wise code into each of its consumers, where it is compiled and
evaluated again, unless it is expensive and used more than once: then it is a kernel of its own.
Kernels are what compilation takes its time for (``python tests/compile_time.py``). What stands here
makes one kernel of up to ``_MOST`` results, in which everything is evaluated once: a reduction of
several arrays along an axis that holds each of them and nothing else. Such kernels run on one core,
so that of many points every result has its own. Other backends fuse several results by themselves.
"""

import collections
import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Literal, Primitive, jaxpr_as_fun
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, Float, PyTree

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
    return jax.tree.unflatten(jax.tree.structure(shapes), _fused.bind(*leaves, traced=traced))


def kept(values: PyTree) -> PyTree:
    """``values`` as they are, computed once and kept; so are their tangents and cotangents."""
    leaves, tree = jax.tree.flatten(jax.tree.map(jnp.asarray, values))
    return jax.tree.unflatten(tree, _fused.bind(*leaves, traced=None))


def stacked(rows: Sequence[Float[Arrays, "*points"]]) -> Float[Array, "rows *points"]:
    """Arrays of one shape along a new first axis, each ``kept``.

    A stack of expressions is evaluated again for each row of a product that it is a factor of.
    """
    return jnp.stack(kept(list(rows)))


# Two primitives -----------------------------------------------------------------------------------


def _evaluated(*values, traced):
    return values if traced is None else jaxpr_as_fun(traced)(*values)


# ``traced``: the function, or None for values as they are
_fused = Primitive("fused")
_fused.multiple_results = True
_fused.def_impl(_evaluated)
_fused.def_abstract_eval(lambda *values, traced: values if traced is None else traced.out_avals)


def _same(*values):
    return values


# values as they are, which the compiler does not take for the same: else derivatives would share
# what is expensive with the values, each as a kernel of its own
_apart = Primitive("apart")
_apart.multiple_results = True
_apart.def_impl(_same)
_apart.def_abstract_eval(_same)


def _nothing(value):
    return ad.Zero(jax.typeof(value).to_tangent_aval())


def _there(tangents):
    return [i for i, t in enumerate(tangents) if not isinstance(t, ad.Zero)]


def _tangents(primals, tangents, *, traced):
    found, there = _fused.bind(*primals, traced=traced), _there(tangents)
    slopes = [_nothing(v) for v in found]
    if traced is None:
        moving, moved = there, _fused.bind(*(tangents[i] for i in there), traced=None)
    else:
        flat = _Flat(traced)
        there = [i for i in there if flat.uses[i]]
        moving = [i for i, v in enumerate(found) if jnp.issubdtype(v.dtype, jnp.inexact)]

        def slope(values, given):
            steps = [ad.instantiate_zeros(_nothing(v)) for v in values]
            for i, t in zip(there, given, strict=True):
                steps[i] = t
            after = jax.jvp(jaxpr_as_fun(traced), list(values), steps)[1]
            return [after[i] for i in moving]

        values, telling = list(primals), _telling(flat)
        for i, v in zip(telling, _apart.bind(*(primals[i] for i in telling)), strict=True):
            values[i] = v
        moved = fused(slope, values, [tangents[i] for i in there])
    for i, t in zip(moving, moved, strict=True):
        slopes[i] = t
    return found, slopes


def _cotangents(tangents, *operands, traced):
    there = _there(tangents)
    given, found = [tangents[i] for i in there], [None] * len(operands)
    if traced is None:
        linear, moved = there, _fused.bind(*given, traced=None)
    else:
        linear = [i for i, v in enumerate(operands) if ad.is_undefined_primal(v)]
        shapes = [operands[i].aval for i in linear]

        def back(operands, given):
            def forward(*moving):
                every = list(operands)
                for i, v in zip(linear, moving, strict=True):
                    every[i] = v
                after = jaxpr_as_fun(traced)(*every)
                return [after[i] for i in there]

            return jax.linear_transpose(forward, *shapes)(given)

        known = [None if ad.is_undefined_primal(v) else v for v in operands]
        moved = fused(back, known, given)
    for i, t in zip(linear, moved, strict=True):
        found[i] = t
    return found


def _batched(values, axes, *, traced):
    if traced is None:
        return _fused.bind(*values, traced=None), axes
    found = fused(jax.vmap(jaxpr_as_fun(traced), axes), *values)
    return found, [0] * len(found)


ad.primitive_jvps[_fused] = _tangents
ad.primitive_transposes[_fused] = _cotangents
batching.primitive_batchers[_fused] = _batched
ad.primitive_jvps[_apart] = lambda primals, tangents: (_apart.bind(*primals), list(tangents))
batching.primitive_batchers[_apart] = lambda values, axes: (_apart.bind(*values), axes)


# As kernels ---------------------------------------------------------------------------------------

# the backend leaves what more results than this depend on out of their kernel
_MOST = 15
# points up to which one core with several results is about as fast as two with one each
_FEW = 2048
# what may be evaluated twice; all else is expensive
_CHEAP = frozenset(
    {
        *("add", "sub", "mul", "neg", "abs", "sign", "square", "max", "min", "clamp"),
        *("eq", "ne", "lt", "le", "gt", "ge", "and", "or", "not", "xor", "select_n", "is_finite"),
        *("convert_element_type", "reduce_precision", "stop_gradient", "copy"),
        *("broadcast_in_dim", "reshape", "squeeze", "slice", "iota"),
    }
)
# functions of their own, which are evaluated as a part of the one they stand in
_CALLS = frozenset({"jit", "pjit", "closed_call", "custom_jvp_call", "custom_vjp_call"})
_INNER = "jaxpr", "call_jaxpr", "traced"


def _one_kernel(values, after=0):
    """``values`` of one shape as results of one kernel; ``after``: of another form."""
    nothing = [
        # x + (-0.0) is x for zeros of both signs, too
        jnp.asarray(-0.0 if jnp.issubdtype(v.dtype, jnp.floating) else 0, v.dtype)
        for v in values
    ]
    room = [(1 - after, after, 0), *[(0, 0, 0)] * values[0].ndim]
    rows = [jax.lax.pad(v[None], zero, room) for v, zero in zip(values, nothing, strict=True)]
    return jax.lax.reduce(rows, nothing, _sums, (0,))


def _alone(value):
    """``value`` as the result of one kernel: a reduction of one would be fused into consumers.

    The compiler does not look behind a condition, whose outcome it would know but for the barrier.
    """
    known = jax.lax.optimization_barrier(jnp.bool_(True))
    return jax.lax.cond(known, lambda v: v, jnp.zeros_like, value)


def _are_many(values):
    """Whether the processor's cores share them, one result at a time.

    Numbers that are not known yet, in an export, are many.
    """
    return not all(isinstance(v.size, int) and v.size <= _FEW for v in values)


def _sums(x, y):
    return [p | q if p.dtype == bool else p + q for p, q in zip(x, y, strict=True)]


def _together(shapes):
    """Which values, by their shapes, are results of one kernel."""
    alike = collections.defaultdict(list)
    for i, shape in enumerate(shapes):
        alike[shape].append(i)
    return [
        every[start : start + _MOST]
        for every in alike.values()
        for start in range(0, len(every), _MOST)
    ]


def _kernels(values, alone=lambda v: v, after=0):
    """``values`` as results of as few kernels as hold them; ``alone``: what of one."""
    found = list(values)
    for here in _together([v.shape for v in values]):
        some = [values[i] for i in here]
        one = len(some) == 1 and not after
        for i, v in zip(here, map(alone, some) if one else _one_kernel(some, after), strict=True):
            found[i] = v
    return found


class _Step(NamedTuple):
    """An equation of a traced function; ``of``: numbers of earlier values, or constants."""

    primitive: Any
    params: dict[str, Any]
    of: list[Any]
    results: list[int]

    @property
    def operands(self) -> set[int]:
        return {v for v in self.of if isinstance(v, _Number)}

    @property
    def is_light(self) -> bool:
        """Whether it may be evaluated twice without reading more than once."""
        return self.is_cheap and len(self.operands) < 2

    @property
    def is_cheap(self) -> bool:
        name = self.primitive.name
        if name == "integer_pow":
            return self.params["y"] > 0
        # a quotient by a constant becomes a product
        return name in _CHEAP or (name == "div" and not isinstance(self.of[1], _Number))


class _Number(int):
    """Which of the values of a function; others are constants."""


class _Flat:
    """The steps of a traced function, with those of functions in it, and its outputs."""

    def __init__(self, traced: ClosedJaxpr) -> None:
        self.inputs = len(traced.jaxpr.invars)
        self._count = self.inputs
        self.steps: list[_Step] = []
        self.outputs = self._add(traced, [_Number(i) for i in range(self.inputs)])

    @functools.cached_property
    def uses(self) -> collections.Counter[int]:
        """How many steps, and outputs as one of them, take a value."""
        outputs = {v for v in self.outputs if isinstance(v, _Number)}
        return collections.Counter(itertools.chain(outputs, *(s.operands for s in self.steps)))

    def _add(self, traced, values):
        known = dict(zip(traced.jaxpr.constvars, traced.consts, strict=True))
        known.update(zip(traced.jaxpr.invars, values, strict=True))

        def of(variables):
            return [v.val if isinstance(v, Literal) else known[v] for v in variables]

        for eqn in traced.jaxpr.eqns:
            operands = of(eqn.invars)
            inner = next((eqn.params[k] for k in _INNER if k in eqn.params), None)
            if eqn.primitive is _apart or (eqn.primitive is _fused and inner is None):
                found = operands
            elif eqn.primitive is _fused or eqn.primitive.name in _CALLS:
                found = self._add(inner, operands)
            else:
                found = [_Number(self._count + i) for i in range(len(eqn.outvars))]
                self._count += len(found)
                self.steps.append(_Step(eqn.primitive, eqn.params, operands, found))
            known.update(zip(eqn.outvars, found, strict=True))
        return of(traced.jaxpr.outvars)


def _telling(flat):
    """Numbers of a few inputs: whatever is expensive depends on one of them at least."""
    reach = {i: {i} for i in range(flat.inputs)}
    left = []
    for step in flat.steps:
        here = set(itertools.chain(*(reach[v] for v in step.operands)))
        reach.update(dict.fromkeys(step.results, here))
        if here and not step.is_cheap:
            left.append(here)
    found = []
    while left:
        best, _ = collections.Counter(itertools.chain(*left)).most_common(1)[0]
        found.append(best)
        left = [each for each in left if best not in each]
    return sorted(found)


def _plan(flat):
    """Steps by their stage, and the values that are kept at the end of theirs.

    A stage ends in what is expensive and used more than once, if something on the way to it is,
    too: the backend would make a kernel of each of those.
    """
    ends: set[int] = set()
    late: set[int] = set()
    behind: set[int] = set()
    stage = dict.fromkeys(range(flat.inputs), 0)
    stages: dict[int, list[_Step]] = {}
    for step in flat.steps:
        operands = [v for v in step.operands if v in stage]
        here = max((stage[v] + (v in ends) for v in operands), default=0)
        stages.setdefault(here, []).append(step)
        late.update(v for v in operands if stage[v] < here)
        if not operands:  # of constants
            continue
        stage.update(dict.fromkeys(step.results, here))
        follows = any(v in behind and stage[v] == here for v in operands)
        for v in step.results:
            often = flat.uses[v] > 1
            if often and not step.is_cheap and (follows or step.primitive.name == "exp"):
                ends.add(v)
            if v not in ends and (follows or (often and not step.is_light)):
                behind.add(v)
    light = {v for step in flat.steps if step.is_light for v in step.results}
    outputs = {v for v in flat.outputs if isinstance(v, _Number)}
    kept = ends | (late - light) | outputs
    return [
        (steps, [v for step in steps for v in step.results if v in kept and v in stage])
        for _, steps in sorted(stages.items())
    ]


def _staged(*values, traced):
    """The function as kernels, stage by stage (``_plan``)."""
    if _are_many(values):
        return list(map(_alone, _evaluated(*values, traced=traced)))
    if traced is None:
        return _kernels(values, _alone)
    flat = _Flat(traced)
    known: dict[int, Any] = dict(enumerate(values))

    def of(numbers):
        return [known[v] if isinstance(v, _Number) else v for v in numbers]

    for steps, ends in _plan(flat):
        for step in steps:
            found = step.primitive.bind(*of(step.of), **step.params)
            found = found if step.primitive.multiple_results else [found]
            known.update(zip(step.results, found, strict=True))
        known.update(zip(ends, _kernels(of(ends)), strict=True))
    return of(flat.outputs)


def _lowered(primitive, function, platform=None):
    mlir.register_lowering(primitive, mlir.lower_fun(function, multiple_results=True), platform)


_lowered(_fused, _evaluated)
_lowered(_apart, _same)
_lowered(_fused, _staged, "cpu")
_lowered(_apart, lambda *values: values if _are_many(values) else _kernels(values, after=1), "cpu")
