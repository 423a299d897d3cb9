"""Tables of exact coefficients, or of what a program prints, made by many workers.

It may import families, exact, tables and what lies below them.
"""

from synchrojax.generate._executors import GenerateError, dask_executor
from synchrojax.generate._tables import (
    FAILED,
    draw,
    generate,
    generate_command,
)

__all__ = [
    "FAILED",
    "GenerateError",
    "dask_executor",
    "draw",
    "generate",
    "generate_command",
]
