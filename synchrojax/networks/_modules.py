"""A module as data: what it is, its tensors by name, and back again."""

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Shaped

from synchrojax.core import Arrays
from synchrojax.networks._perceptron import Perceptron

KINDS: dict[str, type] = {"perceptron": Perceptron}  # what files call them -> the module


def register(name: str) -> Callable[[type], type]:
    """Decorator: let model files hold networks of this class under ``name``.

    The class is an ``nnx.Module``:

    - ``__init__(self, inputs, outputs, *, widths, activation, output, rngs)``: ``train`` passes all
      of these by name, numbers of features and results, widths of hidden layers and two names in
      ``ACTIVATIONS``, between layers and after the last. What else it takes has a default.
    - ``__call__(self, x)``: from features [inputs, ...] to [outputs, ...] in the precision of x,
      with any number of axes of points, none included.
    - ``settings(self)``: the mapping of numbers, words and lists of them that ``__init__`` takes
      beside ``rngs``, ``inputs`` and ``outputs`` among them.

    Its state is ``nnx.Param``, which is trained, and constants in an ``nnx.Variable``. State that a
    call changes, as in ``nnx.Dropout`` and ``nnx.BatchNorm``, is not supported. ``checked`` says
    what is amiss. Whoever loads such a file imports the class first.
    """

    def keep(kind: type) -> type:
        if KINDS.setdefault(name, kind) is not kind:
            raise ValueError(f"a network named {name!r} is registered already")
        return kind

    return keep


def initial(kind: type, *, seed: int, **settings: Any) -> Any:
    """A fresh network of a class, its weights drawn from ``seed``."""
    return kind(**settings, rngs=nnx.Rngs(seed))


def name_of(kind: type) -> str:
    """What model files call the class. Raises ValueError for one that is not registered."""
    name = next((n for n, known in KINDS.items() if kind is known), None)
    if name is None:
        raise ValueError(
            f"{kind.__name__} is not registered: synchrojax.networks.register(name) does that"
        )
    return name


def described(module: Any) -> dict[str, Any]:
    """What ``restored`` makes a module like ``module`` from, as plain data.

    Raises ValueError for unregistered ones.
    """
    if isinstance(module, Ensemble):
        return described(module.first()) | {"members": len(module)}
    return {"kind": name_of(type(module)), **module.settings()}


def tensors_of(module: nnx.Module) -> dict[str, Shaped[np.ndarray, "..."]]:
    """{dotted name in the tree of the module: NumPy array}.

    Arrays of an ensemble have a leading axis.
    """
    module = module.stacked if isinstance(module, Ensemble) else module
    return {
        ".".join(map(str, path)): np.asarray(v[...])
        for path, v in nnx.to_flat_state(nnx.state(module))
    }


@functools.lru_cache(maxsize=256)
def _shape_of(kind: type, description: str) -> tuple[Any, tuple[Any, ...]]:
    """(how it is built, its flat state without numbers) of a module: tracing one takes 10 ms."""
    with jax.enable_x64(True):
        shape = nnx.eval_shape(lambda: kind(**json.loads(description), rngs=nnx.Rngs(0)))
    graph, state = nnx.split(shape)
    return graph, tuple(nnx.to_flat_state(state))


def restored(
    description: Mapping[str, Any],
    tensors: dict[str, Shaped[np.ndarray, "..."]],
    where: str,
    *,
    below: str = "",
) -> nnx.Module:
    """The module of a ``described`` one and its tensors.

    These are taken out of the mapping ``tensors``, whose names are ``where`` and the place in the
    tree of the module; those of files that leave the start of it out, without ``below``. Raises
    ValueError naming ``where`` and the tensor that is missing or has another shape or dtype.
    """
    description = dict(description)
    kind, members = description.pop("kind", "perceptron"), description.pop("members", None)
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(
            f"{where} is a network {kind!r}; known: {', '.join(KINDS)}. Import the module that "
            "registers it first (synchrojax.networks.register)"
        )
    if members is not None and (type(members) is not int or members < 1):
        raise ValueError(f"{where}: 'members' is {members!r}, not a whole number from 1 up")
    try:
        graph, state = _shape_of(KINDS[kind], json.dumps(description, sort_keys=True))
    except (TypeError, ValueError, KeyError, AttributeError, ArithmeticError) as error:
        raise ValueError(
            f"{where}: no network {kind!r} is made from {description} ({error})"
        ) from None
    found = {}
    for path, variable in state:
        name = f"{where}.{'.'.join(map(str, path)).removeprefix(below)}"
        wanted = variable.get_value()
        if name not in tensors:
            raise ValueError(f"tensor {name} is missing")
        value = tensors.pop(name)
        size = wanted.shape if members is None else (members, *wanted.shape)
        if value.dtype != wanted.dtype or value.shape != size:
            given, needed = (
                f"{dtype} {shape}"
                for dtype, shape in ((value.dtype, value.shape), (wanted.dtype, size))
            )
            raise ValueError(f"tensor {name} is {given}; its network needs {needed}")
        if not np.all(np.isfinite(value)):
            raise ValueError(f"tensor {name} is not finite")
        found[path] = variable.replace(value)
    module = nnx.merge(graph, nnx.from_flat_state(found))
    return module if members is None else Ensemble(module)


class Ensemble(nnx.Module):
    """Networks of one shape; their mean.

    ``stacked``: the module whose tensors have a leading axis of members.
    """

    def __init__(self, stacked: Any) -> None:
        self.stacked = stacked

    @classmethod
    def of(cls, members: Sequence[nnx.Module]) -> "Ensemble":
        """Of a list of modules."""
        return cls(jax.tree.map(lambda *w: jnp.stack(w), *members))

    def __len__(self) -> int:
        return len(jax.tree.leaves(self.stacked)[0])

    def __call__(self, x: Float[Arrays, "inputs *points"]) -> Float[Array, "outputs *points"]:
        return jnp.mean(jax.vmap(lambda network: network(x))(self.stacked), 0)

    def first(self) -> Any:
        """One member."""
        return jax.tree.map(lambda w: w[0], self.stacked)


def members_of(networks: Mapping[str, Any]) -> int:
    """How many networks each head of a model has: 1, or the size of an ensemble."""
    first = next(iter(networks.values()))
    return len(first) if isinstance(first, Ensemble) else 1


def each_member(function: Callable, networks: Mapping[str, Any]) -> Any:
    """``function`` of the networks of every member, results along a new first axis."""
    return jax.vmap(function)({head: ensemble.stacked for head, ensemble in networks.items()})


@functools.partial(jax.tree_util.register_dataclass, data_fields=("rest",), meta_fields=("graph",))
@dataclass(frozen=True)
class Frame:
    """A module without its trainable parameters: how it is built and constants of other kinds."""

    graph: nnx.GraphDef
    rest: nnx.State

    def module(self, parameters: Any) -> Any:
        """The module with such parameters."""
        return nnx.merge(self.graph, parameters, self.rest)


def parameters_of(module: Any) -> tuple[Any, Frame]:
    """(its trainable parameters, the ``Frame`` around them).

    Constants, which are no ``nnx.Param``, stay as they are. The parameters are a pytree of arrays,
    as jax.grad and Optax take them.
    """
    graph, *states = nnx.split(module, nnx.Param, ...)
    parameters, rest = states
    return parameters, Frame(graph, rest)
