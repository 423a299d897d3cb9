"""Which distributions have a network: by name, or a ``Family`` of the user's own."""

from synchrojax.distributions import get_distribution
from synchrojax.families import _kappa, _powerlaw, _thermal

FAMILIES = {
    family.NAME: family
    for family in (_thermal.THERMAL, _powerlaw.POWERLAW, _powerlaw.POWERLAW_PITCH, _kappa.KAPPA, _kappa.KAPPA_PITCH)
}


def get_family(name):
    """The family of a name, or the one that was given."""
    if not isinstance(name, str):
        return name
    if name not in FAMILIES:
        raise ValueError(f"unknown distribution {name!r}; available: {', '.join(sorted(FAMILIES))}")
    return FAMILIES[name]


def is_packaged(family):
    """True for the families that come with the package, whatever name one of the user's own may have."""
    return FAMILIES.get(family.NAME) is family


def distribution_of(family):
    """The distribution that the exact calculator takes."""
    own = getattr(family, "distribution", None)
    return get_distribution(family.NAME) if own is None else own
