"""Tables of exact coefficients, or of what a program prints, made by many workers.

``run_all`` and ``workers_of`` spread any jobs over executors. It may import families, exact, tables
and what lies below them.
"""

from synchrojax.generate._executors import GenerateError, dask_executor, run_all, workers_of
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
    "run_all",
    "workers_of",
]
