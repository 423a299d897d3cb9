"""What is in a table: columns, ranges, holes, signs, duplicates, sampling density."""

import pathlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Shaped, UInt64

from synchrojax.core import PathLike, new_figure, progress, save_figure
from synchrojax.tables import table_files

BINS = 10


class Column(NamedTuple):
    """One column of a table.

    Its kind, numbers of rows of each sort, range and, for inputs, rows in each of ten equal
    parts.
    """

    kind: str
    nan: int
    infinite: int
    negative: int
    zero: int
    positive: int
    low: float
    high: float
    density: tuple[int, ...]


class Summary(NamedTuple):
    """What ``summarize`` found."""

    files: int
    rows: int
    rows_with_nan: int
    duplicates: int  # rows whose inputs stand in an earlier row
    columns: dict


def _keys(columns: Sequence[Shaped[np.ndarray, " rows"]]) -> UInt64[np.ndarray, " rows"]:
    """A 64-bit number per row that depends on all its inputs."""
    key = np.zeros(len(columns[0]), np.uint64)
    with np.errstate(over="ignore"):
        for column in columns:
            bits = (np.asarray(column, float) + 0.0).view(np.uint64)  # -0 is 0
            key = (key ^ bits) * np.uint64(0x9E3779B97F4A7C15)
            key ^= key >> np.uint64(29)
            key *= np.uint64(0xBF58476D1CE4E5B9)
            key ^= key >> np.uint64(32)
    return key


def summarize(table: PathLike, *, quiet: bool = False) -> Summary:
    """A ``Summary`` of a table directory or file; meta columns too. Raises TableError."""
    files = table_files.parts(table)
    kinds = table_files.header_of(files[0])
    inputs = [n for n, kind in kinds.items() if kind in ("log", "lin")]
    stats: dict = {n: np.zeros(5, int) for n in kinds}
    ends: dict = {n: (np.inf, -np.inf) for n in kinds}
    kept: dict = {n: [] for n in inputs}
    keys, rows, holes = [], 0, 0
    with progress("read", len(files), "files", quiet=quiet or len(files) < 2) as advance:
        for path in files:
            part = table_files.read_named(path, list(kinds))
            count = len(next(iter(part.values())))
            rows += count
            data = [v for n, v in part.items() if kinds[n] != "meta"]
            holes += (
                int(np.count_nonzero(np.any([np.isnan(v) for v in data], axis=0))) if data else 0
            )
            for n, v in part.items():
                finite = v[np.isfinite(v)]
                stats[n] += [
                    np.isnan(v).sum(),
                    np.isinf(v).sum(),
                    (v < 0.0).sum(),
                    (v == 0.0).sum(),
                    (v > 0.0).sum(),
                ]
                if len(finite):
                    ends[n] = (
                        min(ends[n][0], float(finite.min())),
                        max(ends[n][1], float(finite.max())),
                    )
            for n in inputs:
                kept[n].append(part[n].astype(np.float32))
            if inputs:
                keys.append(_keys([part[n] for n in inputs]))
            advance(1)
    duplicates = rows - len(np.unique(np.concatenate(keys))) if keys and rows else 0
    columns = {}
    for n, kind in kinds.items():
        low, high = ends[n] if ends[n][0] <= ends[n][1] else (np.nan, np.nan)
        density: tuple = ()
        if n in kept and low < high:
            v = np.concatenate(kept.pop(n)).astype(float)
            v, a, b = (
                (np.log(np.maximum(v, low)), np.log(low), np.log(high))
                if kind == "log" and low > 0
                else (v, low, high)
            )
            density = tuple(int(c) for c in np.histogram(np.clip(v, a, b), BINS, (a, b))[0])
        nan, infinite, negative, zero, positive = (int(c) for c in stats[n])
        signs = negative, zero, positive
        columns[n] = Column(kind, nan, infinite, *signs, low, high, density)
    return Summary(len(files), rows, holes, duplicates, columns)


def report_lines(summary: Summary) -> Iterator[str]:
    """The summary as text."""
    s = summary
    files = f"{s.files} file{'s' * (s.files != 1)}"
    yield f"{s.rows} rows in {files}; {s.rows_with_nan} with NaN; {s.duplicates} duplicates"
    width = max(len(n) for n in s.columns) + 6
    header = ("NaN", "infinite", "< 0", "= 0", "> 0")
    yield f"{'column':<{width}}{'lowest':>13}{'highest':>13}" + "".join(f"{h:>10}" for h in header)
    for n, c in s.columns.items():
        counts = "".join(f"{v:>10}" for v in (c.nan, c.infinite, c.negative, c.zero, c.positive))
        yield f"{n + '(' + c.kind + ')':<{width}}{c.low:>13.5g}{c.high:>13.5g}{counts}"
    dense = {n: c for n, c in s.columns.items() if c.density}
    if dense:
        yield "inputs: rows in each tenth of the range, of its logarithm for log:"
    for n, c in dense.items():
        yield f"{n + '(' + c.kind + ')':<{width}}" + "".join(f"{v:>9}" for v in c.density)


def picture(table: PathLike, path: PathLike) -> None:
    """Histograms of all columns.

    Results of either sign are shown by the logarithm of their magnitude. Needs matplotlib.
    """
    kinds = table_files.header_of(table_files.parts(table)[0])
    columns = table_files.read_columns(table, max_rows=200_000)
    names = list(columns)
    across = min(4, len(names))
    down = -(-len(names) // across)
    figure = new_figure(3.2 * across, 2.3 * down)
    grid = figure.subplots(down, across, squeeze=False).ravel()
    for axes, n in zip(grid, names, strict=False):
        v = columns[n][np.isfinite(columns[n])]
        if kinds[n] == "lin" or not np.any(v):
            axes.hist(v, 60, color="C0")
            axes.set_xlabel(n)
        else:
            for sign, colour in ((1.0, "C0"), (-1.0, "C3")):
                some = sign * v[sign * v > 0.0]
                if len(some):
                    axes.hist(
                        np.log10(some),
                        60,
                        color=colour,
                        alpha=0.7,
                        label="> 0" if sign > 0 else "< 0",
                    )
            axes.set_xlabel(f"log10 |{n}|")
            axes.legend(frameon=False, fontsize=7)
    for axes in grid[len(names) :]:
        axes.set_axis_off()
    grid[0].set_ylabel("rows")
    figure.suptitle(f"{pathlib.Path(table).name}: marginals")
    save_figure(figure, path)
