"""Numbers with units, and ranges of them, from text: 230GHz, 60 deg, 3*mT, 1GHz:1THz:50."""

import difflib
import math
import re
import unicodedata

from synchrojax.core._params import unit_of

_PREFIXES = {
    **{"a": 1e-18, "f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1.0},
    **{"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18},
}
_DEGREE = math.pi / 180.0
_AU = 1.495978707e13  # cm
_PARSEC = _AU * 648000.0 / math.pi


def _prefixed(**units: float) -> dict[str, float]:
    return {
        prefix + name: factor * size
        for name, size in units.items()
        for prefix, factor in _PREFIXES.items()
    }


# kind -> (what stands in messages, {unit: its size in the first one}); spellings as _spelled leaves
# them
_KINDS = {
    "a frequency": ("Hz with SI prefixes such as GHz", _prefixed(Hz=1.0)),
    "a magnetic field": ("G or T with SI prefixes such as mT", _prefixed(G=1.0, T=1e4)),
    "an angle": (
        "rad, deg, arcmin, arcsec, with SI prefixes mrad, mas",
        {
            **{"rad": 1.0, "mrad": 1e-3, "urad": 1e-6, "deg": _DEGREE, "°": _DEGREE},
            **{
                "arcmin": _DEGREE / 60.0,
                "arcsec": _DEGREE / 3600.0,
                "mas": _DEGREE / 3.6e6,
                "uas": _DEGREE / 3.6e9,
            },
        },
    ),
    "a number density": ("cm^-3, m^-3", {"cm-3": 1.0, "m-3": 1e-6}),
    "a time": (
        "s with SI prefixes such as ms, min, h",
        {**_prefixed(s=1.0), "min": 60.0, "h": 3600.0},
    ),
    "a length": (
        "cm, m, km, au, pc, kpc, Mpc, Gpc",
        {
            **{"cm": 1.0, "m": 1e2, "km": 1e5, "au": _AU, "AU": _AU, "pc": _PARSEC},
            **{"kpc": 1e3 * _PARSEC, "Mpc": 1e6 * _PARSEC, "Gpc": 1e9 * _PARSEC},
        },
    ),
    "a solid angle": (
        "sr, arcsec^2, mas^2, uas^2",
        {
            **{"sr": 1.0, "arcsec2": (_DEGREE / 3600.0) ** 2},
            **{"mas2": (_DEGREE / 3.6e6) ** 2, "uas2": (_DEGREE / 3.6e9) ** 2},
        },
    ),
    "a rotation measure": ("rad m^-2", {"radm-2": 1.0}),
}
_BASE = {
    "a frequency": "Hz",
    "a magnetic field": "G",
    "an angle": "rad",
    "a number density": "cm^-3",
    "a time": "s",
    "a length": "cm",
    "a solid angle": "sr",
    "a rotation measure": "rad m^-2",
}
_KIND_OF = {
    **{
        "nu": "a frequency",
        "frequency": "a frequency",
        "B": "a magnetic field",
        "n_e": "a number density",
    },
    **{"theta": "an angle", "psi": "an angle", "viewing": "an angle", "timeout": "a time"},
    **dict.fromkeys(("length", "radius", "distance", "base"), "a length"),
    **{"solid_angle": "a solid angle", "rotation_measure": "a rotation measure"},
}
_NUMBER = re.compile(
    r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*\*?\s*(\S.*?)\s*$", re.ASCII
)


_MOST = 10_000_000  # of a range: more would not fit into the memory of usual machines


class QuantityError(ValueError):
    """Text that is no number with a unit that fits; the message says what is accepted."""


def _spelled(unit: str) -> str:
    """One spelling for µ and μ, for cm^-3, cm**-3, cm⁻³, 1/cm^3 and /cm3."""
    plain = unicodedata.normalize("NFKC", unit).replace("\u03bc", "u").replace("\u2212", "-")
    plain = re.sub(r"\s+|\^|\*\*", "", plain)
    inverse = re.fullmatch(r"1?/([a-zA-Z]+)(\d)", plain)
    return f"{inverse[1]}-{inverse[2]}" if inverse else plain


def _size(unit: str, name: str) -> float:
    """``unit`` in the unit of the parameter ``name``."""
    spelled, kind = _spelled(unit), _KIND_OF.get(name)
    owners = [other for other, (_, units) in _KINDS.items() if spelled in units]
    if kind is None:
        whose = f"{unit} measures {owners[0]}" if owners else f"{unit!r} is not known as a unit"
        own = unit_of(name)
        what = f"is in {own}" if own else "is dimensionless"
        raise QuantityError(f"{whose}; {name} {what} and takes a plain number")
    accepted, units = _KINDS[kind]
    if spelled in units:
        return units[spelled]
    takes = (
        f"{name} is {kind} [{_BASE[kind]}]; accepted: {accepted}, or a plain number in "
        f"{_BASE[kind]}"
    )
    if owners:
        raise QuantityError(f"{unit} measures {owners[0]}; {takes}")
    near = [u for u in units if u.lower() == spelled.lower()] or difflib.get_close_matches(
        spelled, units, 1, 0.7
    )
    hint = f" (did you mean {' or '.join(near)}?)" if near else ""
    raise QuantityError(f"{unit!r} is not known as a unit{hint}; {takes}")


def _split(text: str) -> tuple[float, str] | None:
    """(number, unit or ""); None where it does not begin with a number."""
    try:
        return float(text), ""
    except ValueError:
        match = _NUMBER.match(text)
    return (float(match[1]), match[2]) if match and "," not in match[2] else None


def quantity(text: str, name: str) -> float:
    """The value of ``text`` in the unit of the parameter ``name``.

    nu, frequency [Hz], B [G], n_e [cm^-3], theta, psi, viewing [rad], timeout [s], length, radius,
    distance, base [cm], solid_angle [sr], rotation_measure [rad m^-2]; any other name is
    dimensionless. Raises QuantityError.
    """
    found = _split(text)
    if found is None:
        raise QuantityError(f"{text!r} is not a number")
    value, unit = found
    try:
        return value * _size(unit, name) if unit else value
    except QuantityError as error:
        raise QuantityError(f"{text!r}: {error}") from None


def ends(low: str, high: str, name: str) -> tuple[float, float]:
    """Both ends of a range as of ``quantity``.

    Units may not stand at one end alone, unless the other is zero.
    """
    values = quantity(low, name), quantity(high, name)
    units = [found[1] for text in (low, high) if (found := _split(text))]
    if bool(units[0]) != bool(units[1]) and values[bool(units[0])] != 0.0:
        raise QuantityError(f"{low}:{high}: give both ends a unit, or none")
    if not all(map(math.isfinite, values)):
        raise QuantityError(f"{low}:{high}: both ends of a range must be finite")
    return values


def quantity_or_range(text: str, name: str) -> float | tuple[float, float, int]:
    """A value, or (low, high, count) from low:high:count. Raises QuantityError."""
    parts = text.split(":")
    if len(parts) == 1:
        if _split(text) is None:
            listed = [p for p in text.split(",") if _split(p)]
            form = (
                f"{listed[0].strip()}:{listed[-1].strip()}:{len(listed)}"
                if len(listed) > 1
                else None
            )
            raise QuantityError(f"{text!r} is neither a number nor low:high:count{_such_as(form)}")
        return quantity(text, name)
    if len(parts) == 2:
        form = f"{text}:50" if all(map(_split, parts)) else None
        raise QuantityError(
            f"{text!r} lacks how many points: a range is low:high:count{_such_as(form)}"
        )
    if len(parts) != 3 or not (_split(parts[0]) and _split(parts[1])):
        raise QuantityError(f"{text!r} is neither a number nor low:high:count{_such_as(None)}")
    low, high = ends(parts[0], parts[1], name)
    if not re.fullmatch(r"\s*0*[1-9]\d*\s*", parts[2], re.ASCII):
        raise QuantityError(
            f"{text!r}: the count in low:high:count is a positive whole number, not {parts[2]!r}"
        )
    count = int(parts[2])
    if count > _MOST:
        raise QuantityError(
            f"{text!r}: at most {_MOST:,} points at a time; give the range in parts"
        )
    return low, high, count


def _such_as(form: str | None) -> str:
    return f", such as {form or '1:100:50'}"
