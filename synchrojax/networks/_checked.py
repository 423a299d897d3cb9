"""What a class of networks must be, said before it is trained."""

import inspect
import json
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from synchrojax.networks._modules import described, initial, name_of, restored, tensors_of

# state that a call of the module changes: a trained network is a function of its features
_CHANGING = (nnx.RngState, nnx.BatchStat, nnx.Cache, nnx.Intermediate)
# axes of points that a network is called with: one row, many, a grid of them
_POINTS = ((), (3,), (3, 2))


def checked(kind: Any, *, seed: int, **settings: Any) -> Any:
    """``initial`` of a class that can be trained, kept in a model file and read back.

    Raises TypeError for what is no class of networks, ValueError for one that is not as
    ``register`` says.
    """
    if not (isinstance(kind, type) and issubclass(kind, nnx.Module)):
        raise TypeError(
            "network is a class below flax.nnx.Module, such as synchrojax.networks.Perceptron, not "
            f"{kind!r}"
        )
    name_of(kind)
    _require_arguments(kind, settings)
    if not callable(getattr(kind, "settings", None)):
        raise ValueError(
            f"{kind.__name__} has no settings(): it returns the mapping of what __init__ takes "
            "beside rngs, which a model file keeps"
        )
    module = initial(kind, seed=seed, **settings)
    _require_plain_state(module)
    _require_settings(module, settings)
    tensors = {f"network.{name}": value for name, value in tensors_of(module).items()}
    try:
        restored(described(module), tensors, "network")
    except ValueError as error:
        raise ValueError(
            f"{kind.__name__} could not be read back from a model file: {error}"
        ) from None
    for points in _POINTS:
        _require_results(module, settings["inputs"], settings["outputs"], points)
    return module


def _require_arguments(kind: type, settings: Mapping[str, Any]) -> None:
    """``__init__`` must take what it is given, by name, and need nothing else."""
    given = (*settings, "rngs")
    # of a class it would be that of its metaclass
    takes = list(inspect.signature(kind.__init__).parameters.values())[1:]  # type: ignore[misc]
    by_name = {
        p.name: p.default is p.empty
        for p in takes
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    }
    anything = any(p.kind is p.VAR_KEYWORD for p in takes)
    missing = [n for n in given if n not in by_name and not anything]
    needed = [n for n, is_needed in by_name.items() if is_needed and n not in given]
    if missing or needed:
        parts = [f"does not take {', '.join(missing)}"] * bool(missing) + [
            f"needs {', '.join(needed)}, which has no default"
        ] * bool(needed)
        raise ValueError(
            f"{kind.__name__} is made as {kind.__name__}({', '.join(f'{n}=...' for n in given)}); "
            f"its __init__ {' and '.join(parts)}"
        )


def _require_plain_state(module: nnx.Module) -> None:
    """Parameters, one at least, and constants; nothing that a call changes."""
    name, state = type(module).__name__, nnx.to_flat_state(nnx.state(module))
    for path, value in state:
        where = ".".join(map(str, path))
        if isinstance(value, _CHANGING):
            raise ValueError(
                f"{name} keeps {where}, {type(value).__name__}, which its calls change (as "
                "nnx.Dropout and nnx.BatchNorm do): a network has nnx.Param, and nnx.Variable for "
                "constants, only"
            )
        if not isinstance(value, nnx.Variable):
            raise ValueError(
                f"{name} keeps {where} as a bare array: make it an nnx.Param, which is trained, or "
                "an nnx.Variable, which stays"
            )
    if not any(isinstance(value, nnx.Param) for _, value in state):
        raise ValueError(f"{name} has no nnx.Param: there is nothing to train")


def _require_settings(module: Any, wanted: Mapping[str, Any]) -> None:
    """``settings()`` must be JSON, with the numbers of features and results in it."""
    name, settings = type(module).__name__, module.settings()
    if not isinstance(settings, Mapping):
        raise ValueError(
            f"{name}.settings() returns a mapping of what __init__ takes beside rngs, not "
            f"{settings!r}"
        )
    for key, value in settings.items():
        try:
            json.dumps({key: value}, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{name}.settings(), {key!r}: {value!r} cannot be written to a model file "
                f"({error}); give plain numbers, words and lists of them, such as int(n) for a "
                "NumPy integer"
            ) from None
    for key in ("inputs", "outputs"):
        if settings.get(key) != wanted[key]:
            raise ValueError(
                f"{name}.settings(), {key!r}: {settings.get(key)!r}; it was made with {wanted[key]}"
            )


def _require_results(module: Any, inputs: int, outputs: int, points: tuple[int, ...]) -> None:
    """A call must turn [inputs, ...] into [outputs, ...]."""
    name, given = type(module).__name__, (inputs, *points)
    try:
        found = jax.eval_shape(module, jax.ShapeDtypeStruct(given, jnp.zeros(()).dtype))
    except Exception as error:  # whatever the module raises
        raise ValueError(
            f"{name} cannot be called with features of shape {given}: {error}"
        ) from error
    shape = np.shape(found)
    if shape != (outputs, *points):
        raise ValueError(
            f"{name} makes {shape} of features of shape {given}; it should be "
            f"{(outputs, *points)}, results along the first axis"
        )
