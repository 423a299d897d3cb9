"""The eight coefficients at many points, for people, for machines and for spreadsheets."""

import json
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from synchrojax.core import UNITS, Coefficients, unit_of_coefficient

NAMES = Coefficients._fields


class Listing(NamedTuple):
    """Points and what was computed there, CGS; arrays over the points, coefficients [8, point]."""

    inputs: dict
    shown: np.ndarray  # of the network, or of the integrals if asked for
    exact: np.ndarray | None  # of the integrals, to compare with
    flags: np.ndarray

    @property
    def count(self) -> int:  # type: ignore[override]
        """How many points."""
        return len(self.flags)

    @property
    def varied(self) -> list[str]:
        """Names of the inputs that have more than one value."""
        return [n for n, v in self.inputs.items() if len(v) and np.any(v != v[0])]


def unit_of_input(name: str) -> str:
    """The unit alone, without what the input is."""
    return UNITS.get(name, "dimensionless").split(",")[0]


def _number(value: float | np.generic) -> float | None:
    return float(value) if np.isfinite(value) else None


def as_json(listing: Listing) -> str:
    """One object for a point, a list of them for several; NaN as null."""
    rows = []
    for i in range(listing.count):
        row: dict = {n: float(v[i]) for n, v in listing.inputs.items()}
        row |= {n: _number(listing.shown[k, i]) for k, n in enumerate(NAMES)}
        if listing.exact is not None:
            row["exact"] = {n: _number(listing.exact[k, i]) for k, n in enumerate(NAMES)}
        row["flags"] = int(listing.flags[i])
        rows.append(row)
    return json.dumps(rows[0] if len(rows) == 1 else rows)


def as_csv(listing: Listing) -> str:
    """Comma-separated values under a header that names the units; every digit."""
    header = [f"{n} [{unit_of_input(n)}]" for n in listing.inputs] + [
        f"{n} [{unit_of_coefficient(n)}]" for n in NAMES
    ]
    columns = [*listing.inputs.values(), *listing.shown]
    if listing.exact is not None:
        header += [f"exact {n} [{unit_of_coefficient(n)}]" for n in NAMES]
        columns += [*listing.exact]
    rows = [
        ",".join([*(repr(float(v)) for v in row[:-1]), str(int(row[-1]))])
        for row in zip(*columns, listing.flags, strict=True)
    ]
    return "\n".join([",".join([*header, "flags"]), *rows]) + "\n"


def _one_point(listing: Listing) -> Iterator[str]:
    for n, v in listing.inputs.items():
        yield f"{n:<10} {v[0]:<12.6g} {UNITS.get(n, '')}".rstrip()
    yield ""
    if listing.exact is not None:
        yield f"{'':<8} {'network':>19} {'exact':>19} {'difference':>11}"
    for k, n in enumerate(NAMES):
        shown = listing.shown[k, 0]
        line = f"{n:<8} {shown:>19.10e}"
        if listing.exact is not None:
            exact = listing.exact[k, 0]
            difference = abs(shown / exact - 1.0) if exact != 0.0 else abs(shown)
            line += f" {exact:>19.10e} {difference:>11.1e}"
        yield f"{line}  {unit_of_coefficient(n)}"


def as_lines(listing: Listing) -> Iterator[str]:
    """Lines for people: one point under each other, several as a tab-separated table."""
    if listing.count == 1:
        yield from _one_point(listing)
        return
    yield "\t".join([*listing.inputs, *NAMES, "flags"])
    for i in range(listing.count):
        numbers = [f"{v[i]:.10g}" for v in listing.inputs.values()] + [
            f"{v:.10e}" for v in listing.shown[:, i]
        ]
        yield "\t".join([*numbers, str(listing.flags[i])])
