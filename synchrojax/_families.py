"""Which distributions have a network, by name."""

from synchrojax import _thermal

FAMILIES = {_thermal.NAME: _thermal}


def get_family(name):
    if name not in FAMILIES:
        raise ValueError(f"unknown distribution {name!r}; available: {', '.join(sorted(FAMILIES))}")
    return FAMILIES[name]
