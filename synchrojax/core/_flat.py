"""Traced functions as a list of steps, each evaluated once, with those of functions in them."""

import collections
import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jax.extend.core import ClosedJaxpr, JaxprEqn, Literal, Primitive

# What ``_fused`` is made of. ``traced``: the function, or None for values as they are
FUSED = Primitive("fused")
FUSED.multiple_results = True
# values as they are, which the compiler does not take for the same: else derivatives would share
# what is expensive with the values, each as a kernel of its own
APART = Primitive("apart")
APART.multiple_results = True

# what may be evaluated twice; all else is expensive
_CHEAP = frozenset(
    {
        *("add", "add_any", "sub", "mul", "neg", "abs", "sign", "square", "max", "min", "clamp"),
        *("eq", "ne", "lt", "le", "gt", "ge", "and", "or", "not", "xor", "select_n", "is_finite"),
        *("convert_element_type", "reduce_precision", "stop_gradient", "copy"),
        *("broadcast_in_dim", "reshape", "squeeze", "slice", "split", "iota"),
    }
)
# functions of their own, which are evaluated as a part of the one they stand in
_CALLS = frozenset({"jit", "pjit", "closed_call"})
_WITH_RULES = frozenset({"custom_jvp_call", "custom_vjp_call"})
_INNER = "jaxpr", "call_jaxpr", "traced"


class Number(int):
    """Which of the values of a function; others are constants."""


class Form(NamedTuple):
    """A result: its shape, the axes along which it is summed, and its dtype."""

    shape: tuple[Any, ...]
    axes: tuple[int, ...]
    dtype: Any


class Step(NamedTuple):
    """An equation of a traced function; ``of``: numbers of earlier values, or constants."""

    primitive: Any
    params: dict[str, Any]
    of: list[Any]
    results: list[Number]
    forms: list[Form]  # of the results

    def bound(self, known: dict[int, Any]) -> list[Any]:
        """The results, where ``known`` has the operands."""
        of = [known[v] if isinstance(v, Number) else v for v in self.of]
        params = self.primitive.get_bind_params(self.params)
        if not isinstance(params, dict):  # of earlier versions of JAX: functions come first
            functions, params = params
            of = [*functions, *of]
        found = self.primitive.bind(*of, **params)
        return found if self.primitive.multiple_results else [found]

    @property
    def made(self) -> list[tuple[Number, Form]]:
        return list(zip(self.results, self.forms, strict=True))

    @property
    def operands(self) -> set[Number]:
        return {v for v in self.of if isinstance(v, Number)}

    @property
    def is_light(self) -> bool:
        """Whether it may be evaluated twice without reading more than once."""
        return self.is_cheap and len(self.operands) < 2

    @property
    def is_cheap(self) -> bool:
        name = self.primitive.name
        if name == "integer_pow":
            return self.params["y"] > 0
        if name == "div":  # by a constant it becomes a product
            return not isinstance(self.of[1], Number)
        return name in _CHEAP or (name == "reduce_sum" and not self.forms[0].axes)


class Flat:
    """The steps of a traced function and its outputs.

    ``rules``: functions with derivatives of their own stay steps, which know them.
    """

    def __init__(self, traced: ClosedJaxpr, *, rules: bool = False) -> None:
        self._calls = _CALLS if rules else _CALLS | _WITH_RULES
        self.inputs = len(traced.jaxpr.invars)
        self.steps: list[Step] = []
        self._count = self.inputs
        self._same: dict[Any, list[Number]] = {}
        self.outputs = self._added(traced, [Number(i) for i in range(self.inputs)])

    @functools.cached_property
    def uses(self) -> collections.Counter[int]:
        """How many steps, and outputs as one of them, take a value."""
        outputs = {v for v in self.outputs if isinstance(v, Number)}
        return collections.Counter(itertools.chain(outputs, *(s.operands for s in self.steps)))

    @functools.cached_property
    def rows(self) -> collections.Counter[int]:
        """How many slices are taken of a value."""
        found: collections.Counter[int] = collections.Counter()
        for step in self.steps:
            if step.operands and step.primitive.name in ("slice", "split"):
                found[step.of[0]] += len(step.results)
        return found

    def evaluated(self, values: list[Any]) -> list[Any]:
        """The outputs of ``values``."""
        known = dict(enumerate(values))
        for step in self.steps:
            known.update(zip(step.results, step.bound(known), strict=True))
        return self.outputs_of(known)

    def outputs_of(self, known: dict[int, Any]) -> list[Any]:
        return [known[v] if isinstance(v, Number) else v for v in self.outputs]

    def telling(self) -> list[int]:
        """A few inputs: whatever is expensive depends on one of them at least."""
        reach = {i: {i} for i in range(self.inputs)}
        left = []
        for step in self.steps:
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

    def _added(self, traced: ClosedJaxpr, values: Sequence[Any]) -> list[Any]:
        """The outputs of ``traced`` of ``values``, its steps behind the others."""
        known = dict(zip(traced.jaxpr.constvars, traced.consts, strict=True))
        known.update(zip(traced.jaxpr.invars, values, strict=True))

        def of(variables: Sequence[Any]) -> list[Any]:
            return [v.val if isinstance(v, Literal) else known[v] for v in variables]

        for eqn in traced.jaxpr.eqns:
            operands = of(eqn.invars)
            inner: Any = next((eqn.params[k] for k in _INNER if k in eqn.params), None)
            if eqn.primitive is APART or (eqn.primitive is FUSED and inner is None):
                found = operands
            elif eqn.primitive is FUSED or eqn.primitive.name in self._calls:
                found = self._added(inner, operands)
            else:
                found = self._step(eqn, operands)
            known.update(zip(eqn.outvars, found, strict=True))
        return of(traced.jaxpr.outvars)

    def _step(self, eqn: JaxprEqn, operands: list[Any]) -> list[Number]:
        """The results of an equation, those of an earlier one that is the same."""
        key = _key(eqn, operands)
        if key in self._same:
            return self._same[key]
        found = [Number(self._count + i) for i in range(len(eqn.outvars))]
        self._count += len(found)
        self.steps.append(Step(eqn.primitive, eqn.params, operands, found, _forms(eqn)))
        if key is not None:
            self._same[key] = found
        return found


def _forms(eqn: Any) -> list[Form]:
    results = [v.aval for v in eqn.outvars]
    if eqn.primitive.name == "reduce_sum":
        whole = eqn.invars[0].aval.shape
        if math.prod(whole) != math.prod(results[0].shape):
            return [Form(whole, eqn.params["axes"], results[0].dtype)]
    return [Form(v.shape, (), v.dtype) for v in results]


def _key(eqn: JaxprEqn, operands: list[Any]) -> tuple[Any, ...] | None:
    """What equations of the same results have in common, or None."""
    try:
        key = eqn.primitive, tuple(map(_identity, operands)), tuple(eqn.params.items())
        hash(key)
    except TypeError:
        return None
    return key


def _identity(operand: Any) -> int | tuple[Any, ...]:
    if isinstance(operand, Number):
        return int(operand)
    if np.ndim(operand) == 0:
        constant = np.asarray(operand)
        return constant.dtype, constant.tobytes()
    return "array", id(operand)
