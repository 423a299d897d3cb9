"""Distribution families: between the physics of a distribution and the networks that stand for it.

A family says what a network sees of a point, how its output becomes the eight coefficients and what
it learns from a table; ``AbstractFamily`` and ``SampledFamily`` spell it out ("Implementing a
family"). Families know networks as functions of arrays. This room may import core, special,
distributions and tables.

Adding a distribution: its f as a class in ``distributions``; its family, a final class below
``PackagedFamily`` and an instance, in a module here beside ``_thermal`` (or a folder, where
physics, anisotropy and what is learned are long); the instance in ``_registry``. Then
``synchrojax generate NAME``, ``train --distribution NAME`` and ``validate`` know it, and its
weights in ``synchrojax/weights`` make it a packaged model. One that need not be packaged is a
``Family(name, f, box)``.
"""

from synchrojax.families._base import (
    AbstractFamily,
    Comparison,
    Dimensionless,
    Head,
    Networks,
    Rows,
    SampledFamily,
)
from synchrojax.families._custom import Family
from synchrojax.families._registry import DESCRIBED, FAMILIES, get_family, is_packaged
from synchrojax.families._tabular import TableFamily

__all__ = [
    "DESCRIBED",
    "FAMILIES",
    "AbstractFamily",
    "Comparison",
    "Dimensionless",
    "Family",
    "Head",
    "Networks",
    "Rows",
    "SampledFamily",
    "TableFamily",
    "get_family",
    "is_packaged",
]
