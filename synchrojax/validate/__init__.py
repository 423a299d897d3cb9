"""Models held against the exact integrals, against tables and against published fitting formulas.

``report`` draws what was found. It may import train, generate, model and what lies below them.

Adding a published fit: in ``_fits`` a function of the inputs with paper and equation, a function of
the range that its authors state, and an entry of ``FITS`` that holds both under the name of the
distribution; ``synchrojax validate NAME --against fits`` shows it.
"""

from synchrojax.validate import report
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
    "report",
    "report_lines",
    "summary",
    "validate",
    "validate_table",
]
