"""Observed spectra in files: .csv, .ecsv, .fits and .npz."""

import csv
import pathlib
import re
import zipfile
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from synchrojax.core import PathLike, QuantityError, quantity, read_text, written_in_one
from synchrojax.spectra._data import STOKES, StokesSpectrum

_FREQUENCIES = ("nu", "freq", "frequency")
_TOTALS = ("i", "flux", "flux_density", "fluxdensity", "f", "f_nu", "fnu", "s", "s_nu")
_UPPER = ("upper", "upper_limit", "upperlimit", "upperlimits", "ul")
_ERROR_FORMS = ("{}_err", "{}_error", "err_{}", "error_{}", "e_{}", "{}err", "sigma_{}", "d{}")
_HEADER = re.compile(r"\s*(.+?)\s*(?:\[(.*?)\]|\((.*?)\))?\s*$")
_FORMS = {".ecsv": "ascii.ecsv", ".fits": "fits"}  # as astropy calls them
_LEAST = 1e4  # Hz: lower numbers are meant in MHz or GHz


def read(path: PathLike) -> StokesSpectrum:
    """``StokesSpectrum`` from a .csv, .ecsv, .fits or .npz file.

    Columns, in any order and case: ``nu`` (or freq, frequency); ``I`` (or flux, F), ``Q``, ``U``,
    ``V``, as far as there are; ``I_err`` and so on (or sigma_I, e_I, err_I, dI; error where I is
    alone); ``mask`` for all or ``mask_I`` and so on, true where a channel is bad; ``upper``, true
    where I is an upper limit. Others are left alone. Units stand in the header of a .csv file,
    ``nu [GHz]``, ``I (mJy)``, and are those of the columns in .ecsv and .fits; without any, and in
    .npz, they are Hz and Jy. Empty cells, and masked ones, are masked channels. .ecsv and .fits
    need astropy: ``pip install 'synchrojax[astro]'``. Raises ValueError that names file and column.
    """
    path = pathlib.Path(path)
    if path.suffix not in _READERS:
        raise ValueError(f"{path}: spectra are read from {', '.join(_READERS)}")
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    try:
        return StokesSpectrum(**_arguments(_READERS[path.suffix](path)))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def write(data: StokesSpectrum, path: PathLike) -> None:
    """Write a spectrum as ``read`` reads it. Raises ValueError for other suffixes."""
    path = pathlib.Path(path)
    columns: dict[str, tuple[Any, str]] = {"nu": (data.nu, "Hz")}
    for n in data.values:
        columns[n] = (data.values[n], "Jy")
        columns[f"{n}_err"] = (data.errors[n], "Jy")
        columns[f"mask_{n}"] = (data.mask[n], "")
    if np.any(data.upper):
        columns["upper"] = (data.upper, "")
    if path.suffix not in _READERS:
        raise ValueError(f"{path}: spectra are written to {', '.join(_READERS)}")
    with written_in_one(path) as temporary:
        if path.suffix == ".npz":
            with temporary.open("wb") as file:
                np.savez(file, **{n: column for n, (column, _) in columns.items()})
        elif path.suffix == ".csv":
            _write_csv(temporary, columns)
        else:
            table = _astropy_table(path)
            units = {n: unit for n, (_, unit) in columns.items() if unit}
            whole = table({n: column for n, (column, _) in columns.items()}, units=units)
            whole.write(str(temporary), format=_FORMS[path.suffix], overwrite=True)


# Columns of each kind of file: {name: values}, NaN where there is nothing -------------------------


def _from_csv(path: pathlib.Path) -> dict[str, Any]:
    try:
        text = read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot be read ({error})") from None
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if len(lines) < 2:
        raise ValueError("expected a line with names of columns and one for each channel")
    header, *rows = csv.reader(lines)
    for k, row in enumerate(rows):
        if len(row) != len(header):
            raise ValueError(
                f"row {k + 1}: {len(row)} values for {len(header)} columns; columns are "
                "separated by commas"
            )
    columns = {}
    for title, cells in zip(header, zip(*rows, strict=True), strict=True):
        match = _HEADER.match(title)
        if match is None:
            continue
        name, unit = match[1], match[2] or match[3] or ""
        if name in columns:
            raise ValueError(f"column {name!r} stands there twice")
        if _meaning(name):
            columns[name] = _in_base(_cells(cells, f"column {title.strip()!r}"), name, unit)
    return columns


def _cells(cells: Iterable[str], what: str) -> Float[np.ndarray, " rows"]:
    truths = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0, "": np.nan, "nan": np.nan}

    def value(row: int, cell: str) -> float:
        text = cell.strip()
        if text.lower() in truths:
            return truths[text.lower()]
        try:
            return float(text)
        except ValueError:
            raise ValueError(f"{what}, row {row}: {text!r} is not a number") from None

    return np.array([value(k + 1, cell) for k, cell in enumerate(cells)])


def _in_base(column: Float[np.ndarray, " rows"], name: str, unit: str) -> Any:
    """The numbers in Hz or Jy, or a quantity of a unit that only astropy knows."""
    if not unit:
        return column
    # prefixes are the same for both
    prefixed = unit[:-2] + "Hz" if unit.endswith("Jy") else unit
    try:
        return column * quantity(f"1{prefixed}", "nu")
    except QuantityError:
        return _astropy_quantity(column, name, unit)


def _astropy_quantity(column: Float[np.ndarray, " rows"], name: str, unit: str) -> Any:
    try:
        from astropy import units
    except ImportError:
        raise ValueError(
            f"column {name!r} is in {unit}; units other than Hz and Jy with SI prefixes need "
            "astropy: pip install 'synchrojax[astro]'"
        ) from None
    try:
        return units.Quantity(column, unit)
    except (ValueError, TypeError):
        raise ValueError(f"column {name!r}: {unit!r} is not known as a unit") from None


def _from_npz(path: pathlib.Path) -> dict[str, Any]:
    try:
        # a file that is open already is closed whatever is in it
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {n: arrays[n] for n in arrays.files if _meaning(n)}
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise ValueError(f"cannot be read ({error}); it may be truncated") from None


def _from_astropy(path: pathlib.Path) -> dict[str, Any]:
    table = _astropy_table(path)
    try:
        whole = table.read(str(path), format=_FORMS[path.suffix])
    except Exception as error:  # of many kinds, by what is wrong
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(f"cannot be read ({first})") from None
    columns = {}
    for name in whole.colnames:
        if not _meaning(name):
            continue
        column = whole[name]
        mask = getattr(column, "mask", None)
        if mask is not None and np.any(mask):
            column = column.astype(float).filled(np.nan)
        columns[name] = column.quantity if getattr(column, "unit", None) else np.asarray(column)
    return columns


def _astropy_table(path: pathlib.Path) -> Any:
    try:
        from astropy.table import Table
    except ImportError:
        raise ValueError(
            f"{path.suffix} files need astropy: pip install 'synchrojax[astro]', or use .csv"
        ) from None
    return Table


def _write_csv(path: pathlib.Path, columns: Mapping[str, tuple[Any, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([f"{n} [{unit}]" if unit else n for n, (_, unit) in columns.items()])
        for row in zip(*(column.tolist() for column, _ in columns.values()), strict=True):
            writer.writerow([str(v).lower() if isinstance(v, bool) else repr(v) for v in row])


_READERS: dict[str, Callable[[pathlib.Path], dict[str, Any]]] = {
    ".csv": _from_csv,
    ".ecsv": _from_astropy,
    ".fits": _from_astropy,
    ".npz": _from_npz,
}


# What the columns mean ----------------------------------------------------------------------------


def _meaning(name: str) -> tuple[str, str] | None:
    """("nu" | "value" | "error" | "mask" | "upper", Stokes parameter or "") of a name, or None."""
    plain = name.strip().lower().replace(" ", "_")
    if plain in _FREQUENCIES:
        return "nu", ""
    if plain in _UPPER:
        return "upper", ""
    if plain in ("mask", "flag"):
        return "mask", ""
    if plain in ("error", "err", "sigma"):
        return "error", "I"
    for n in STOKES:
        for alias in _TOTALS if n == "I" else (n.lower(),):
            if plain in (alias, f"stokes_{alias}"):
                return "value", n
            if plain in (f"mask_{alias}", f"{alias}_mask"):
                return "mask", n
            if plain in [form.format(alias) for form in _ERROR_FORMS]:
                return "error", n
    return None


def _arguments(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Of ``StokesSpectrum``. Raises ValueError."""
    found: dict[tuple[str, str], tuple[str, Any]] = {}
    for name, column in columns.items():
        meaning = _meaning(name)
        if meaning is None:
            continue
        if meaning in found:
            raise ValueError(f"columns {found[meaning][0]!r} and {name!r} mean the same")
        found[meaning] = name, column
    if ("nu", "") not in found:
        raise ValueError("no column of frequencies: name it nu, freq or frequency")
    nu_name, nu = found["nu", ""]
    if not hasattr(nu, "unit") and np.nanmax(np.asarray(nu), initial=0.0) < _LEAST:
        raise ValueError(
            f"column {nu_name!r}: frequencies up to {np.nanmax(nu):g} Hz; if they are in GHz, name "
            f"the column '{nu_name} [GHz]'"
        )
    values = {n: found["value", n][1] for n in STOKES if ("value", n) in found}
    errors = {n: found["error", n][1] for n in STOKES if ("error", n) in found}
    common = _truths(found, "")
    masks = {}
    for n, value in values.items():
        own = _truths(found, n)
        empty = np.isnan(np.asarray(value, float))
        if n in errors:
            empty = empty | np.isnan(np.asarray(errors[n], float))
        masks[n] = empty | common | own
    extra = sorted(set(errors) - set(values))
    if extra:
        raise ValueError(f"errors of {', '.join(extra)} without values of it")
    upper = found.get(("upper", ""), ("", None))[1]
    return {"nu": nu, **values, "errors": errors, "mask": masks, "upper": upper}


def _truths(found: Mapping[tuple[str, str], tuple[str, Any]], stokes: str) -> Any:
    column = found.get(("mask", stokes), ("", np.False_))[1]
    column = np.asarray(column)
    return np.where(np.isnan(column.astype(float)), 1.0, column).astype(bool)
