"""Functions as few kernels of XLA's CPU backend, which makes a kernel of every result.

One kernel of up to ``_MOST`` results, in which everything is evaluated once, is a reduction of
several arrays along an axis that holds each of them and nothing else. Such kernels run on one core,
so that of many points every result has its own.
"""

import collections
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import jaxpr_as_fun

from synchrojax.core._flat import Flat, Form, Number, Step

# the backend leaves what more results than this depend on out of their kernel
_MOST = 15
# points up to which one core with several results is about as fast as two with one each
_FEW = 2048


def evaluated(*values: Any, traced: Any) -> Sequence[Any]:
    return values if traced is None else jaxpr_as_fun(traced)(*values)


def staged(*values: Any, traced: Any) -> Sequence[Any]:
    """The function as kernels, stage by stage (``_plan``)."""
    if _are_many(values):
        return list(map(_alone, evaluated(*values, traced=traced)))
    if traced is None:
        return _kernels(values, _alone)
    flat = Flat(traced)
    known: dict[int, Any] = dict(enumerate(values))
    for steps, ends in _plan(flat):
        sums = {v for v, form in ends.items() if form.axes}
        for step in steps:
            if sums.isdisjoint(step.results):
                known.update(zip(step.results, step.bound(known), strict=True))
            else:
                known[step.results[0]] = known[step.of[0]]  # to be summed
        for here in _together(ends.items()):
            form, some = ends[here[0]], [known[v] for v in here]
            if len(here) == 1 and flat.rows[here[0]] > 1:
                some.append(jnp.zeros(form.shape, bool))  # with which it is not fused into rows
            known.update(zip(here, _of_form(some, form), strict=False))
    return flat.outputs_of(known)


def apart(*values: Any) -> Sequence[Any]:
    """Values as results of kernels of another form than those of ``staged``."""
    return values if _are_many(values) else _kernels(values, after=1)


# Kernels ------------------------------------------------------------------------------------------


def _one_kernel(values: Sequence[Any], after: int = 0) -> Sequence[Any]:
    """``values`` of one shape as results of one kernel; ``after``: of another form."""
    nothing = [
        # x + (-0.0) is x for zeros of both signs, too
        jnp.asarray(-0.0 if jnp.issubdtype(v.dtype, jnp.floating) else 0, v.dtype)
        for v in values
    ]
    room = [(1 - after, after, 0), *[(0, 0, 0)] * values[0].ndim]
    rows = [jax.lax.pad(v[None], zero, room) for v, zero in zip(values, nothing, strict=True)]
    return jax.lax.reduce(rows, nothing, _sums, (0,))


def _of_form(values: Sequence[Any], form: Form) -> Sequence[Any]:
    """Results of one kernel: sums along ``form.axes``, or ``values`` as they are."""
    if form.axes:
        return jax.lax.reduce(values, [jnp.zeros((), v.dtype) for v in values], _sums, form.axes)
    return _one_kernel(values) if len(values) > 1 else values


def _alone(value: Any) -> Any:
    """``value`` as the result of one kernel: a reduction of one would be fused into consumers.

    The compiler does not look behind a condition, whose outcome it would know but for the barrier.
    """
    known = jax.lax.optimization_barrier(jnp.bool_(True))
    return jax.lax.cond(known, lambda v: v, jnp.zeros_like, value)


def _are_many(values: Sequence[Any]) -> bool:
    """Whether the processor's cores share them, one result at a time.

    Numbers that are not known yet, in an export, are many.
    """
    return not all(isinstance(v.size, int) and v.size <= _FEW for v in values)


def _sums(x: Sequence[Any], y: Sequence[Any]) -> list[Any]:
    return [p | q if p.dtype == bool else p + q for p, q in zip(x, y, strict=True)]


def _together(forms: Iterable[tuple[Any, Form]]) -> list[list[Any]]:
    """What is in one kernel, of pairs of something and its form."""
    alike: dict[Any, dict[Any, list[Any]]] = {}
    for value, (shape, axes, dtype) in forms:
        kind = dtype if jnp.issubdtype(dtype, jnp.inexact) else None
        alike.setdefault((shape, axes), {}).setdefault(kind, []).append(value)
    found = []
    for kinds in alike.values():
        others = kinds.pop(None, [])  # go along with numbers of any one precision
        first, *more = kinds.values() or [[]]
        for every in (first + others, *more):
            found += [every[start : start + _MOST] for start in range(0, len(every), _MOST)]
    return found


def _kernels(values: Sequence[Any], alone: Callable = lambda v: v, after: int = 0) -> list[Any]:
    """``values`` as results of as few kernels as hold them; ``alone``: what of one."""
    found = list(values)
    for here in _together((i, Form(v.shape, (), v.dtype)) for i, v in enumerate(values)):
        some = [values[i] for i in here]
        one = len(some) == 1 and not after
        for i, v in zip(here, map(alone, some) if one else _one_kernel(some, after), strict=True):
            found[i] = v
    return found


# Stages -------------------------------------------------------------------------------------------

Stage = tuple[list[Step], dict[Number, Form]]


class _Stages:
    """The stages of a function, made step by step.

    A stage ends in what is expensive and used more than once, if something on the way to it is,
    too: the backend would make a kernel of each of those. It also ends in sums, and in what is
    expensive and used by rows: the backend would evaluate it again for each.
    """

    def __init__(self, flat: Flat) -> None:
        self.flat = flat
        self.steps: dict[int, list[Step]] = collections.defaultdict(list)
        self.of = dict.fromkeys(range(flat.inputs), 0)  # value -> its stage; constants have none
        self.kept = {v for v in flat.outputs if isinstance(v, Number)}
        light = {v: s for s in flat.steps if s.is_light for v in s.results}
        self._light = {v: s for v, s in light.items() if v not in self.kept}
        self._ends: set[int] = set()
        self._brought: set[tuple[int, int]] = set()
        self._behind: set[int] = set()  # what is used more than once
        self._heavy: set[int] = set()  # what is expensive

    def add(self, step: Step) -> None:
        operands = [v for v in step.operands if v in self.of]
        here = max((self.of[v] + (v in self._ends) for v in operands), default=0)
        near = {v for v in operands if self.of[v] == here}
        for v in operands:
            if v not in near:
                self._bring(v, here)
        self.steps[here].append(step)
        if not operands:
            return
        self.of.update(dict.fromkeys(step.results, here))
        follows = not near.isdisjoint(self._behind)
        is_heavy = not step.is_cheap or not near.isdisjoint(self._heavy)
        for v, form in step.made:
            often = self.flat.uses[v] > 1
            splits = often and not step.is_cheap and (follows or step.primitive.name == "exp")
            if splits or form.axes or (is_heavy and self.flat.rows[v] > 1):
                self._ends.add(v)
                self.kept.add(v)
                continue
            if is_heavy:
                self._heavy.add(v)
            if follows or (often and not step.is_light):
                self._behind.add(v)

    def _bring(self, v: Number, here: int) -> None:
        """Have a value of an earlier stage ``here``: kept, or evaluated again from what is."""
        step = self._light.get(v)
        if step is None or v in self._ends:
            self.kept.add(v)
        elif (v, here) not in self._brought:
            self._brought.add((v, here))
            for operand in step.operands:
                if operand in self.of:
                    self._bring(operand, here)
            self.steps[here].append(step)


def _plan(flat: Flat) -> list[Stage]:
    """Steps by their stage, and the values that are kept at the end of theirs."""
    stages = _Stages(flat)
    for step in flat.steps:
        stages.add(step)
    kept = stages.kept & set(stages.of)
    return [
        part
        for _, steps in sorted(stages.steps.items())
        for part in _parts(steps, {v: form for s in steps for v, form in s.made if v in kept})
    ]


def _parts(steps: list[Step], ends: dict[Number, Form]) -> list[Stage]:
    """A stage in parts, so that what is expensive is in one of its kernels alone."""
    kernels: dict[int, set[int]] = collections.defaultdict(set)  # that a value is needed for
    for i, here in enumerate(_together(ends.items())):
        for v in here:
            kernels[v].add(i)
    for step in reversed(steps):
        needed = set(itertools.chain(*(kernels[v] for v in step.results)))
        for v in step.operands:
            kernels[v] |= needed
    shared = {v for s in steps if not s.is_cheap for v in s.results if len(kernels[v]) > 1}
    if not shared:
        return [(steps, ends)]
    wanted = set(shared)
    before: list[Step] = []
    after: list[Step] = []
    for step in reversed(steps):
        if wanted.isdisjoint(step.results):
            after.insert(0, step)
        else:
            before.insert(0, step)
            wanted |= step.operands
    used = set(itertools.chain(ends, *(s.operands for s in after)))
    for step in reversed(before):
        if not used.isdisjoint(step.results) and shared.isdisjoint(step.results):
            used |= step.operands  # what is cheap is evaluated again
    first = {v: form for s in before for v, form in s.made if v in shared and v in used}
    rest = {v: form for v, form in ends.items() if v not in first}
    return [*_parts(before, first), (after, rest)]
