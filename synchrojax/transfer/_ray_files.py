"""Files of rays: what a sample is, and which columns say so."""

import itertools
import pathlib
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from synchrojax.core import Coefficients, PathLike
from synchrojax.tables import table_files
from synchrojax.tables.network_space import RHO_Q_SIGN

_COMMON = ("s", "theta")
_HINTS = {
    "d": "d(meta): position along the ray [cm]",
    "psi": "psi(meta): angle of B on the sky [rad]",
    "time_ms": "time_ms(meta): time that the coefficients took",
}
_GRID = "electrons on a grid stand in columns gamma_1, gamma_2, ... and N_1, N_2, ..."

# of one population: name of an input -> its column; of gamma and N, those of the nodes of a grid
Layout = dict[str, list[str]]


class Ray(NamedTuple):
    """Samples along a ray, the farthest first; arrays [samples] unless said otherwise."""

    inputs: dict  # s = nu / nu_c, theta [rad]
    # of each population: n_e [cm^-3] and its parameters; on a grid gamma [K] and N [samples, K]
    electrons: tuple[dict, ...]
    coefficients: Coefficients  # at nu = 1 Hz and n_e = 1 cm^-3 of all electrons, our signs
    d: np.ndarray  # [cm], growing towards the observer
    psi: np.ndarray  # [rad], as ``rotate`` takes it
    time_ms: np.ndarray  # what each sample took
    g: np.ndarray  # nu_observed / nu_fluid
    nu: float | None  # [Hz], the observed frequency that the table names

    @property
    def n_e(self) -> Float[np.ndarray, " samples"]:
        """Density [cm^-3] of all electrons."""
        return np.sum([part["n_e"] for part in self.electrons], 0)


def read_ray(path: PathLike, *, convention: str = "synchrojax") -> Ray:
    """``Ray`` from a file.

    It has the inputs, the eight as ``(res)`` and d, psi, n_e, time_ms (and g, nu, if any) as
    ``(meta)``. ``convention``: sign of rho_Q in the table. Raises TableError.

    A mixture of electrons has n_e_1, n_e_2, ... in place of n_e, and the parameters of the k-th
    population end in _k. Electrons on a grid have gamma_1, gamma_2, ..., the same in every line,
    and N_1, N_2, ...: dN/dgamma there in any unit, which n_e normalises.
    """
    path = _one_file(path)
    kinds = table_files.header_of(path)
    layouts = _layouts(path, kinds)
    own = [column for layout in layouts for each in layout.values() for column in each]
    needed = (*_COMMON, *own, *table_files.RESULTS, "d", "psi", "time_ms")
    _require(path, needed, kinds)
    columns = table_files.read_named(path, [*needed, *(n for n in ("g", "nu") if n in kinds)])
    _check_common(path, columns)
    electrons = tuple(_electrons(path, columns, layout) for layout in layouts)
    columns["rho_Q"] *= RHO_Q_SIGN[convention]
    return Ray(
        inputs={n: columns[n] for n in _COMMON},
        electrons=electrons,
        coefficients=Coefficients(*(columns[n] for n in table_files.RESULTS)),
        d=columns["d"],
        psi=columns["psi"],
        time_ms=columns["time_ms"],
        g=columns.get("g", np.ones_like(columns["d"])),
        nu=float(columns["nu"][0]) if "nu" in columns else None,
    )


def _one_file(path: PathLike) -> pathlib.Path:
    files = table_files.parts(path)
    if len(files) > 1:
        raise table_files.TableError(f"{path}: a ray is one file, here are {len(files)}")
    return files[0]


def _described(name: str) -> str:
    density = f"{name}(meta): electron density [cm^-3]"
    return density if re.fullmatch(r"n_e(_\d+)?", name) else _HINTS.get(name, name)


def _require(path: pathlib.Path, needed: Iterable[str], kinds: Mapping[str, str]) -> None:
    """Raise TableError for columns that are not there."""
    absent = [_described(n) for n in needed if n not in kinds]
    if absent:
        raise table_files.TableError(f"{path}: missing columns {', '.join(absent)}")


def _count(names: Iterable[str], stem: str) -> int:
    """How many names are ``stem`` with a number from 1 up."""
    return sum(bool(re.fullmatch(rf"{stem}_[1-9]\d*", n)) for n in names)


def _layouts(path: pathlib.Path, kinds: Mapping[str, str]) -> list[Layout]:
    """The columns of each population. Raises TableError for those that are nobody's."""
    inputs = [n for n, kind in kinds.items() if kind in ("log", "lin") and n not in _COMMON]
    count = _count(kinds, "n_e")
    if not count:
        return [_with_grid(path, {n: [n] for n in ("n_e", *inputs)}, "")]
    if "n_e" in kinds:
        raise table_files.TableError(
            f"{path}: n_e is the density of the only population, n_e_1 that of the first of "
            "several: leave one out"
        )
    densities = [f"n_e_{k}" for k in range(1, count + 1)]
    _require(path, densities, kinds)
    found: list[Layout] = [{"n_e": [n]} for n in densities]
    for column in inputs:
        name, _, number = column.rpartition("_")
        if not name or number not in map(str, range(1, count + 1)):
            raise table_files.TableError(
                f"{path}: column {column} belongs to none of {', '.join(densities)}: the name of a "
                f"parameter ends in the number of its population, such as {column}_1"
            )
        found[int(number) - 1][name] = [column]
    return [_with_grid(path, layout, f"_{k}") for k, layout in enumerate(found, 1)]


def _with_grid(path: pathlib.Path, layout: Layout, ending: str) -> Layout:
    """``layout`` with the columns of all nodes, there or not, as one entry each of gamma and N."""
    if "gamma" in layout:
        raise table_files.TableError(f"{path}: column {layout['gamma'][0]}: {_GRID}")
    count = _count(layout, "N")
    if not count:
        return layout
    count = max(count, _count(layout, "gamma"))
    nodes = {n: [f"{n}_{k}" for k in range(1, count + 1)] for n in ("gamma", "N")}
    rest = {n: c for n, c in layout.items() if n not in (*nodes["gamma"], *nodes["N"])}
    return {**rest, **{n: [f"{node}{ending}" for node in each] for n, each in nodes.items()}}


def _refuse(
    path: pathlib.Path,
    columns: Mapping[str, Float[np.ndarray, " samples"]],
    name: str,
    broken: Bool[np.ndarray, " samples"],
    what: str,
) -> None:
    """Raise TableError with the first line where a column is ``broken``."""
    if np.any(broken):
        first = int(np.flatnonzero(broken)[0])
        raise table_files.TableError(
            f"{path}, line {first + 2}, column {name}: {columns[name][first]:g} {what}"
        )


def _check_common(path: pathlib.Path, columns: Mapping[str, Any]) -> None:
    """What holds of every ray. Raises TableError."""
    if len(columns["s"]) < 2:
        raise table_files.TableError(
            f"{path}: a ray needs two samples or more, got {len(columns['s'])}"
        )
    for name, values in columns.items():
        _refuse(path, columns, name, ~np.isfinite(values), "is not finite")
    falls = np.diff(columns["d"], prepend=-np.inf) < 0.0
    _refuse(path, columns, "d", falls, "is less than in the line before")
    for name in ("s", "g", "nu"):
        if name in columns:
            _refuse(path, columns, name, columns[name] <= 0.0, "is not positive")
    if "nu" in columns:
        changes = columns["nu"] != columns["nu"][0]
        _refuse(path, columns, "nu", changes, "differs from the first line")


def _electrons(path: pathlib.Path, columns: Mapping[str, Any], layout: Layout) -> dict[str, Any]:
    """{name: values} of one population. Raises TableError."""
    on_grid = "gamma" in layout
    for name in (*layout["n_e"], *(layout["N"] if on_grid else ())):
        _refuse(path, columns, name, columns[name] < 0.0, "is negative")
    found = {n: columns[first] for n, (first, *_) in layout.items()}
    if on_grid:
        _check_nodes(path, columns, layout["gamma"])
        found["gamma"] = np.array([columns[n][0] for n in layout["gamma"]])
        found["N"] = np.stack([columns[n] for n in layout["N"]], -1)
    return found


def _check_nodes(path: pathlib.Path, columns: Mapping[str, Any], nodes: list[str]) -> None:
    """One grid of Lorentz factors for all samples, from 1 up. Raises TableError."""
    _refuse(path, columns, nodes[0], columns[nodes[0]] < 1.0, "is less than 1")
    for before, name in itertools.pairwise(nodes):
        _refuse(path, columns, name, columns[name] <= columns[before], f"is not above {before}")
    for name in nodes:
        changes = columns[name] != columns[name][0]
        _refuse(path, columns, name, changes, "differs from the first line")
