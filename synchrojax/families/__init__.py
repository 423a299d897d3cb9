"""Distribution families: between the physics of a distribution and the networks that stand for it.

A family says what a network sees of a point, how its output becomes the eight coefficients and what it learns from a
table. It may import core, special, distributions, tables and networks.

Adding a distribution: its f in ``distributions``, a family beside the others here, its name in ``_registry``; then
``synchrojax generate NAME``, ``synchrojax train`` and ``synchrojax validate`` know it.
"""

from synchrojax.families._custom import Family
from synchrojax.families._registry import FAMILIES, distribution_of, get_family, is_packaged
from synchrojax.families._tabular import TableFamily

__all__ = [
    "FAMILIES",
    "Family",
    "TableFamily",
    "distribution_of",
    "get_family",
    "is_packaged",
]
