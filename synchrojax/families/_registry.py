"""Which distributions have a family: by name, or one of the user's own."""

from typing import Any

from synchrojax.families._base import AbstractFamily, SampledFamily
from synchrojax.families._custom import Family
from synchrojax.families._tabular import TableFamily
from synchrojax.families._thermal import THERMAL
from synchrojax.families.kappa import KAPPA, KAPPA_PITCH
from synchrojax.families.powerlaw import POWERLAW, POWERLAW_PITCH

FAMILIES: dict[str, SampledFamily] = {
    family.name: family for family in (THERMAL, POWERLAW, POWERLAW_PITCH, KAPPA, KAPPA_PITCH)
}
# entry of a model file's header -> what reads a family from it, and what must be in it
DESCRIBED = {
    "family": (Family.read, ("name", "box", "s", "highest_x", "maps")),
    "table": (TableFamily.read, ("name", "config", "lowest_sine")),
}


def get_family(name: Any) -> SampledFamily:
    """The family of a name, or the one that was given. ValueError for anything else."""
    if isinstance(name, SampledFamily):
        return name
    if not isinstance(name, str):
        raise ValueError(
            f"a distribution to learn is a name ({', '.join(sorted(FAMILIES))}) or a "
            f"synchrojax.Family(name, f, box), got {name!r}"
        )
    if name not in FAMILIES:
        raise ValueError(f"unknown distribution {name!r}; available: {', '.join(sorted(FAMILIES))}")
    return FAMILIES[name]


def is_packaged(family: AbstractFamily) -> bool:
    """True for the families of the package, whatever name one of the user's own may have."""
    return FAMILIES.get(family.name) is family
