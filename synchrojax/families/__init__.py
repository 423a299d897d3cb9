"""Distribution families: between the physics of a distribution and the networks that stand for it.

A family says what a network sees of a point, how its output becomes the eight coefficients and what
it learns from a table; ``AbstractFamily`` and ``SampledFamily`` spell it out ("Implementing a
family"). Families know networks as functions of arrays. This room may import core, special,
distributions and tables.

Adding a distribution, in a clone that is installed by ``pip install -e .`` (a plain
``pip install .`` copies the package and does not see what you edit):

1. Its f, a class below ``Distribution``, and an instance in ``_NAMES``, as the docstring of
   ``distributions`` says.
2. A line in ``UNITS`` (``core/_params``) for each parameter that is not there yet: messages and
   the command line know it by that.
3. Its family, a final class below ``PackagedFamily``, in a module here beside ``_thermal`` (or a
   folder, where physics, anisotropy and what is learned are long), whose ``distribution`` is
   ``get_distribution(NAME)``; and at the end of that module an instance under its name in capitals.
4. That instance in ``FAMILIES`` (``_registry``).

Then ``synchrojax generate NAME``, ``train --distribution NAME`` and ``validate`` know it. Its
weights as ``synchrojax/weights/NAME.safetensors`` make it a packaged model: write the model card
again (``data/make_model_card.py``) and give it a line in the table of the README.

A distribution that need not be packaged is a ``Family(name, f, box)``; one that needs formulas of
its own is a ``SampledFamily`` in your own code ("Implementing a family").
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
