"""Distribution families: between the physics of a distribution and the networks that stand for it.

A family says what a network sees of a point, how its output becomes the eight coefficients and what
it learns from a table; ``AbstractFamily`` and ``SampledFamily`` spell it out. Families know
networks as functions of arrays. This room may import core, special, distributions and tables.

Adding a distribution, in a clone that is installed by ``pip install -e .`` (a plain
``pip install .`` copies the package and does not see what you edit):

1. Its f, a class below ``Distribution``, and an instance in ``_NAMES``, as the docstring of
   ``distributions`` says.
2. A line in ``UNITS`` (``core/_params``) for each parameter that is not there yet: messages and
   the command line know it by that.
3. Its family, a final class below ``PackagedFamily``, in a module here or a folder, such as
   ``thermal``, with physics, anisotropy and what is learned apart. Its ``distribution`` is
   ``get_distribution(NAME)``, and at the end of its module is an instance under its name in
   capitals.
4. That instance in ``FAMILIES`` (``_registry``).

Then ``synchrojax generate NAME``, ``train --distribution NAME`` and ``validate`` know it. Its
weights as ``synchrojax/weights/NAME.safetensors`` make it a packaged model: write the model card
again (``data/make_model_card.py``) and give it a line in the table of the README.

``tabulated`` is ``spectral``: electrons come as rows N on a grid gamma, and it learns from tables
of single electrons (``monoenergetic``).

A distribution that need not be packaged is a ``Family(name, f, box)``; one that needs formulas of
its own is a ``SampledFamily`` in your own code, as follows.

Implementing a family
---------------------
A family stands between a distribution and its networks. Physics is written for arrays of one shape,
a point each:

1. ``point`` turns s, theta and the distribution's own parameters into whatever the formulas are
   written in.
2. ``evaluate`` stacks features, calls the networks (functions of arrays [inputs, ...] -> [outputs,
   ...]) and turns their outputs into ``Dimensionless``: the eight at nu = 1 Hz and n_e = 1 cm^-3,
   logarithms for j_I and alpha_I.
3. ``heads`` declares those networks. Their sizes must be those of the features that ``evaluate``
   stacks.
4. ``coordinates``, ``domain`` and ``invalid`` say what lies outside the trained box.

That is ``AbstractFamily``, enough for a model. A family that can be sampled, so that ``generate``,
``train`` and ``validate`` work on it, is a ``SampledFamily``: it maps the unit cube to its box and
says what its networks learn from a table of exact coefficients. One without settings of its own is
a ``PackagedFamily``. A class is either abstract or final, a final one overrides no method that has
a body, and an instance stands for one distribution.

A model file names its family, and ``load`` makes that again before it looks at the networks:

- One without settings gives an empty mapping from ``described`` and is in ``families.FAMILIES``
  under its name: ``FAMILIES[family.name] = family``, of a name that is not there yet.
- One with settings gives {entry: JSON object} from ``described``, under an entry of its own, and
  ``families.DESCRIBED[entry] = (read, needed)`` says how to come back: ``read(text)`` returns the
  family of that JSON, ``needed`` are the keys that must be in it, ``name`` among them.

Do that where the family is defined, and import it before ``load``. ``train`` refuses a family whose
file could not be read back.
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
