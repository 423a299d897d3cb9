"""Which distributions have a family: by name, or one of the user's own."""

from typing import Any

from synchrojax.families._base import AbstractFamily, SampledFamily
from synchrojax.families._custom import Family
from synchrojax.families._tabular import TableFamily
from synchrojax.families.kappa import KAPPA, KAPPA_PITCH
from synchrojax.families.powerlaw import POWERLAW, POWERLAW_PITCH
from synchrojax.families.tabulated import TABULATED
from synchrojax.families.thermal import THERMAL

FAMILIES: dict[str, SampledFamily] = {
    family.name: family
    for family in (THERMAL, POWERLAW, POWERLAW_PITCH, KAPPA, KAPPA_PITCH, TABULATED)
}
# entry of a model file's header -> what reads a family from it, and what must be in it; a family
# of a user's own is added here ("Implementing a family")
DESCRIBED = {
    "family": (Family.read, ("name", "box", "s", "highest_x", "maps")),
    "table": (TableFamily.read, ("name", "config", "lowest_sine")),
}


def get_family(name: Any) -> SampledFamily:
    """The family of a name, or the one that was given.

    Raises ValueError for an unknown name, TypeError for anything else.
    """
    if isinstance(name, str):
        if name in FAMILIES:
            return FAMILIES[name]
        raise ValueError(f"unknown distribution {name!r}; available: {', '.join(sorted(FAMILIES))}")
    if isinstance(name, SampledFamily):
        return name
    raise TypeError(
        f"distribution is a name ({', '.join(FAMILIES)}) or, for an f or a Distribution of your "
        f"own, a synchrojax.Family(name, f, box), not {name!r}"
    )


def is_packaged(family: AbstractFamily) -> bool:
    """True for the families of the package, whatever name one of the user's own may have."""
    return FAMILIES.get(family.name) is family
