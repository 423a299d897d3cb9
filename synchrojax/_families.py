"""Which distributions have a network, by name."""

from synchrojax import _kappa, _powerlaw, _thermal

FAMILIES = {
    family.NAME: family
    for family in (_thermal, _powerlaw.POWERLAW, _kappa.KAPPA, _powerlaw.POWERLAW_PITCH, _kappa.KAPPA_PITCH)
}


def get_family(name):
    if name not in FAMILIES:
        raise ValueError(f"unknown distribution {name!r}; available: {', '.join(sorted(FAMILIES))}")
    return FAMILIES[name]
