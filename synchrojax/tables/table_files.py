"""Tables of exact coefficients: reading, writing, checking.

A table is a directory of part files, each self-describing: one header line with a column name
and, in parentheses, its kind in the convention of neurosynchro (Williams 2018): ``s(log)`` and
``theta(lin)`` are inputs with the spacing to prefer, ``j_I(res)`` results at nu = 1 Hz and
n_e = 1 cm^-3, ``time_ms(meta)`` anything else. Parts are ``.txt``, ``.txt.gz`` (tab separated) or
``.parquet`` (needs pyarrow).
"""

import contextlib
import gzip
import io
import pathlib
import re
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from synchrojax.core import Columns, PathLike, progress, whole_number, written_in_one

RESULTS = ("j_I", "j_Q", "j_V", "alpha_I", "alpha_Q", "alpha_V", "rho_Q", "rho_V")
SUFFIXES = (".txt", ".txt.gz", ".parquet")
_ENCODING = "utf-8-sig"  # with or without a mark of byte order
_HEADER = re.compile(r"(\w+)\((log|lin|res|meta)\)$")


class TableError(ValueError):
    """A table that cannot be used; the message names file, line and column."""


def integer(value: Any, what: str, least: int) -> int:
    """``value`` as a whole number of at least ``least``; TableError names it as ``what``."""
    try:
        return whole_number(value, least)
    except (TypeError, ValueError):
        raise TableError(f"{what} must be a whole number from {least} up, got {value!r}") from None


def suffix_of(path: PathLike) -> str | None:
    name = pathlib.Path(path).name
    return next((s for s in SUFFIXES if name.endswith(s)), None)


def _pyarrow() -> Any:
    try:
        import pyarrow.parquet
    except ImportError:
        raise TableError(
            "parquet tables need pyarrow: pip install 'synchrojax[parquet]', or use .txt.gz"
        ) from None
    return pyarrow


def write_part(path: PathLike, columns: Columns) -> None:
    """Write ``{"name(kind)": array}`` to ``path`` at once: a killed run leaves no half file."""
    path = pathlib.Path(path)
    with written_in_one(path) as temporary:
        if path.name.endswith(".parquet"):
            arrow = _pyarrow()
            arrow.parquet.write_table(arrow.table(columns), temporary, compression="zstd")
            return
        rows = np.stack([np.asarray(c) for c in columns.values()], -1)
        form = "\t".join(["%.10g"] * len(columns))
        data = "\n".join(
            ["\t".join(columns), *(form % tuple(row) for row in rows.tolist()), ""]
        ).encode()
        # no time stamp: the same numbers give the same file
        temporary.write_bytes(gzip.compress(data, mtime=0) if path.name.endswith(".gz") else data)


def _decoded(path: pathlib.Path) -> str:
    try:
        raw = path.read_bytes()
        return (gzip.decompress(raw) if path.name.endswith(".gz") else raw).decode(_ENCODING)
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise TableError(f"{path}: cannot be read ({error}); it may be truncated") from None


def _nameless(path: pathlib.Path, header: list[str]) -> str:
    """What to say of a header with an empty name: mostly a tab at its end or pandas' index."""
    number = header.index("") + 1
    if path.name.endswith(".parquet"):
        return f"{path}: column {number} has no name"
    if number == len(header):
        return f"{path}, line 1 ends in a tab: there is no name for column {number}; remove the tab"
    hint = "; pandas writes such a column unless told index=False" * (number == 1)
    return f"{path}, line 1: column {number} has no name{hint}"


def _checked(path: pathlib.Path, header: Iterable[str]) -> dict[str, str]:
    """{name: kind} of a header; refuses other forms and names that stand there twice."""
    found: dict = {}
    header = list(header)
    if "" in header:
        raise TableError(_nameless(path, header))
    for column in header:
        match = _HEADER.match(column)
        if not match:
            tabs = "; columns are separated by tabs" * (len(header) == 1)
            raise TableError(
                f"{path}: column {column!r} is not of the form name(log|lin|res|meta){tabs}"
            )
        if match[1] in found:
            raise TableError(f"{path}: column {match[1]!r} stands there twice")
        found[match[1]] = match[2]
    return found


def header_of(path: PathLike) -> dict[str, str]:
    """{name: kind} of the columns of a part file, in order."""
    path = pathlib.Path(path)
    if path.name.endswith(".parquet"):
        arrow = _pyarrow()
        try:
            header = arrow.parquet.read_schema(path).names
        except (OSError, ValueError, arrow.lib.ArrowException) as error:
            raise TableError(
                f"{path}: not a readable parquet table ({error})".splitlines()[0]
            ) from None
    else:
        try:
            opened = (gzip.open if path.name.endswith(".gz") else open)(
                path, "rt", encoding=_ENCODING
            )
            with opened as file:
                header = file.readline().rstrip("\r\n").split("\t")
        except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
            raise TableError(f"{path}: cannot be read ({error}); it may be truncated") from None
        if header == [""]:
            raise TableError(f"{path}: empty file")
    return _checked(path, header)


def _slowly(
    path: pathlib.Path, lines: list[str], header: list[str]
) -> Float[np.ndarray, "rows columns"]:
    """Rows of text one by one: finds what is wrong; empty cells, text in meta columns are NaN."""
    kinds = _checked(path, header).values()
    rows = []
    for number, line in enumerate(lines, 2):
        if not line.strip():
            continue
        cells = line.split("\t")
        if len(cells) != len(header):
            tab = " ends in a tab" * (cells[-1] == "" and len(cells) > len(header))
            raise TableError(
                f"{path}, line {number}{tab}: {len(cells)} columns where the header has "
                f"{len(header)}"
            )
        row = []
        for cell, column, kind in zip(cells, header, kinds, strict=True):
            try:
                row.append(float(cell))
            except ValueError:
                if kind != "meta" and cell.strip():
                    raise TableError(
                        f"{path}, line {number}, column {column}: {cell!r} is not a number"
                    ) from None
                row.append(np.nan)
        rows.append(row)
    return np.array(rows).reshape(len(rows), len(header))


def _read_text(path: pathlib.Path) -> dict[str, Float[np.ndarray, " rows"]]:
    head, _, body = _decoded(path).partition("\n")
    header = head.rstrip("\r").split("\t")
    if header == [""]:
        raise TableError(f"{path}: empty file")
    _checked(path, header)
    rows = None
    if body.strip():
        with contextlib.suppress(ValueError):
            rows = np.loadtxt(io.StringIO(body), delimiter="\t", comments=None, ndmin=2)
    if rows is None or rows.shape[1] != len(header):
        rows = _slowly(path, body.splitlines(), header)
    return dict(zip(header, rows.T, strict=True))


def read_part(path: PathLike) -> dict[str, Float[np.ndarray, " rows"]]:
    """``{"name(kind)": array}`` of one part file.

    Empty cells (as in pandas) and text in meta columns are NaN.
    """
    path = pathlib.Path(path)
    if not path.name.endswith(".parquet"):
        return _read_text(path)
    arrow = _pyarrow()
    try:
        table = arrow.parquet.read_table(path)
        columns = {}
        for name, kind in zip(
            table.column_names, _checked(path, table.column_names).values(), strict=True
        ):
            text = kind == "meta" and arrow.types.is_string(table.schema.field(name).type)
            columns[name] = (
                np.full(table.num_rows, np.nan) if text else np.asarray(table[name], float)
            )
        return columns
    except TableError:
        raise
    except (OSError, ValueError, arrow.lib.ArrowException) as error:
        raise TableError(
            f"{path}: not a readable parquet table of numbers ({error})".splitlines()[0]
        ) from None


def parts(directory: PathLike) -> list[pathlib.Path]:
    """The part files of a table, in order; ``directory`` may be a single file."""
    directory = pathlib.Path(directory)
    if directory.is_file():
        if suffix_of(directory) is None:
            raise TableError(f"{directory}: expected one of {', '.join(SUFFIXES)}")
        return [directory]
    if not directory.is_dir():
        raise TableError(f"{directory}: no such table")
    found = sorted(p for p in directory.iterdir() if suffix_of(p) and not p.name.startswith("."))
    if not found:
        raise TableError(
            f"{directory}: no {', '.join(SUFFIXES)} files in it; make some with `synchrojax "
            "generate`"
        )
    return found


def read_named(
    path: PathLike, names: Sequence[str] | None = None
) -> dict[str, Float[np.ndarray, " rows"]]:
    """``{name: array}`` of one part: ``names``, or all but meta columns.

    Raises TableError for missing ones.
    """
    path = pathlib.Path(path)
    part = read_part(path)
    kinds = _checked(path, part)
    named = dict(zip(kinds, part.values(), strict=True))
    if names is None:
        names = [n for n, kind in kinds.items() if kind != "meta"]
    missing = [n for n in names if n not in named]
    if missing:
        raise TableError(f"{path}: missing columns {', '.join(missing)}; found {', '.join(named)}")
    return {n: np.array(named[n]) for n in names}  # copies: a view would keep all columns alive


def read_columns(
    directory: PathLike,
    names: Sequence[str] | None = None,
    *,
    max_rows: int | None = None,
    seed: int = 0,
    quiet: bool = True,
) -> dict[str, Float[np.ndarray, " rows"]]:
    """``{name: array}`` of all parts: ``names``, or all but meta columns.

    Values need not be finite. ``max_rows``: no more than so many, drawn at random; memory does not
    grow with what is left out.
    """
    files = parts(directory)
    store: list = []
    held = 0

    def pruned(most: int) -> list[tuple[np.ndarray, dict[str, np.ndarray]]]:
        keys = np.concatenate([key for key, _ in store])
        limit = np.partition(keys, most - 1)[most - 1]
        return [
            (key[key <= limit], {n: v[key <= limit] for n, v in part.items()})
            for key, part in store
        ]

    with progress("read", len(files), "files", quiet=quiet or len(files) < 2) as advance:
        for number, path in enumerate(files):
            part = read_named(path, names)
            names = list(part) if names is None else names
            count = len(part[names[0]])
            key = np.random.default_rng((seed, number)).random(count)
            store.append((key, part))
            held += count
            if max_rows and held > 2 * max_rows:
                store = pruned(max_rows)
                held = sum(len(key) for key, _ in store)
            advance(1)
    if max_rows and held > max_rows:
        store = pruned(max_rows)
    columns = {}
    for n in names or ():  # one at a time: no second copy of the whole table
        columns[n] = np.concatenate([part.pop(n) for _, part in store])
    return columns


def read_table(directory: PathLike, inputs: Iterable[str]) -> dict[str, Float[np.ndarray, " rows"]]:
    """``{name: array}`` of all parts: ``inputs`` and the eight results; meta columns are dropped.

    Raises TableError for missing columns and for values that are not finite.
    """
    names = (*inputs, *RESULTS)
    columns: dict = {n: [] for n in names}
    for path in parts(directory):
        for name, values in read_named(path, names).items():
            bad = np.flatnonzero(~np.isfinite(values))
            if len(bad):
                raise TableError(
                    f"{path}, line {bad[0] + 2}, column {name}: {values[bad[0]]} ({len(bad)} such "
                    "rows)"
                )
            columns[name].append(values)
    return {n: np.concatenate(v) for n, v in columns.items()}
