"""Models held against the exact integrals, against tables and against published fitting formulas.

``report`` draws what was found. It may import train, generate, model and what lies below them.

Adding a published fit: a function of the inputs in ``_fits`` with paper and equation, its name in
``FITS`` and the range that its authors state in ``stated``;
``synchrojax validate NAME --against fits`` shows it.
"""

from synchrojax.validate._validate import (
    Validation,
    cost,
    duration,
    integrals_of,
    report_lines,
    summary,
    validate,
    validate_table,
)

__all__ = [
    "Validation",
    "cost",
    "duration",
    "integrals_of",
    "report_lines",
    "summary",
    "validate",
    "validate_table",
]
