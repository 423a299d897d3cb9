"""Programs that run a few times only: compiled quickly rather than well."""

import functools
from collections.abc import Callable
from typing import Any

import jax

# neither changes what is computed, but for rounding; a compiler that does not know one of them goes
# without
_FEWER_PASSES = {"xla_cpu_use_fusion_emitters": False, "xla_backend_optimization_level": 0}


@functools.cache
def _options() -> dict[str, Any] | None:
    """What of ``_FEWER_PASSES`` the compiler takes; nothing where the device is not a CPU."""
    if jax.default_backend() != "cpu":
        return None
    if _compiles(_FEWER_PASSES):
        return _FEWER_PASSES
    return {
        name: value for name, value in _FEWER_PASSES.items() if _compiles({name: value})
    } or None


def _compiles(options: dict[str, Any]) -> bool:
    try:
        jax.jit(lambda x: x, compiler_options=options).lower(0.0).compile()
    except (RuntimeError, ValueError, TypeError):
        return False
    return True


def quick_jit(function: Callable) -> Callable:
    """``jax.jit``, compiled in a quarter of the time; it takes several times as long to run."""
    return jax.jit(function, compiler_options=_options())
