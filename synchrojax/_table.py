"""Tables of exact coefficients: reading, writing, checking.

A table is a directory of part files, each self-describing: one header line with a column name
and, in parentheses, its kind in the convention of neurosynchro (Williams 2018): ``s(log)`` and
``theta(lin)`` are inputs with the spacing to prefer, ``j_I(res)`` results at nu = 1 Hz and
n_e = 1 cm^-3, ``time_ms(meta)`` anything else. Parts are ``.txt``, ``.txt.gz`` (tab separated) or
``.parquet`` (needs pyarrow).
"""

import gzip
import os
import pathlib
import re

import numpy as np

RESULTS = ("j_I", "j_Q", "j_V", "alpha_I", "alpha_Q", "alpha_V", "rho_Q", "rho_V")
SUFFIXES = (".txt", ".txt.gz", ".parquet")
_HEADER = re.compile(r"(\w+)\((log|lin|res|meta)\)$")


class TableError(ValueError):
    """A table that cannot be used; the message names file, line and column."""


def suffix_of(path):
    name = pathlib.Path(path).name
    return next((s for s in SUFFIXES if name.endswith(s)), None)


def _pyarrow():
    try:
        import pyarrow.parquet
    except ImportError:
        raise TableError("parquet tables need pyarrow: pip install 'synchrojax[parquet]', or use .txt.gz") from None
    return pyarrow


def write_part(path, columns):
    """Write ``{"name(kind)": array}`` to ``path`` at once: a killed run leaves no half file."""
    path = pathlib.Path(path)
    temporary = path.with_name(f".{path.name}.part")
    if path.name.endswith(".parquet"):
        arrow = _pyarrow()
        arrow.parquet.write_table(arrow.table(columns), temporary, compression="zstd")
    else:
        rows = np.stack([np.asarray(c) for c in columns.values()], -1)
        lines = ["\t".join(columns)] + ["\t".join(f"{v:.10g}" for v in row) for row in rows]
        data = ("\n".join(lines) + "\n").encode()
        # no time stamp: the same numbers give the same file
        temporary.write_bytes(gzip.compress(data, mtime=0) if path.name.endswith(".gz") else data)
    os.replace(temporary, path)


def _read_text(path):
    try:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if path.name.endswith(".gz") else raw).decode()
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise TableError(f"{path}: cannot be read ({error}); it may be truncated") from None
    lines = text.splitlines()
    if not lines:
        raise TableError(f"{path}: empty file")
    header = lines[0].split("\t")
    rows = np.empty((len(lines) - 1, len(header)))
    for number, line in enumerate(lines[1:], 2):
        cells = line.split("\t")
        if len(cells) != len(header):
            raise TableError(f"{path}, line {number}: {len(cells)} columns where the header has {len(header)}")
        for k, cell in enumerate(cells):
            try:
                rows[number - 2, k] = float(cell)
            except ValueError:
                raise TableError(f"{path}, line {number}, column {header[k]}: {cell!r} is not a number") from None
    return dict(zip(header, rows.T, strict=True))


def read_part(path):
    """``{"name(kind)": array}`` of one part file."""
    path = pathlib.Path(path)
    if not path.name.endswith(".parquet"):
        return _read_text(path)
    arrow = _pyarrow()
    try:
        table = arrow.parquet.read_table(path)
        return {n: np.asarray(table[n], float) for n in table.column_names}
    except (OSError, ValueError, arrow.lib.ArrowException) as error:
        raise TableError(f"{path}: not a readable parquet table of numbers ({error})".splitlines()[0]) from None


def parts(directory):
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
        raise TableError(f"{directory}: no {', '.join(SUFFIXES)} files in it; make some with `synchrojax generate`")
    return found


def read_table(directory, inputs):
    """``{name: array}`` of all parts: ``inputs`` and the eight results; meta columns are dropped.

    Raises TableError for missing columns and for values that are not finite.
    """
    columns = {n: [] for n in (*inputs, *RESULTS)}
    for path in parts(directory):
        named = {}
        for header, values in read_part(path).items():
            match = _HEADER.match(header)
            if not match:
                raise TableError(f"{path}: column {header!r} is not of the form name(log|lin|res|meta)")
            named[match[1]] = values
        missing = [n for n in columns if n not in named]
        if missing:
            raise TableError(f"{path}: missing columns {', '.join(missing)}; found {', '.join(named)}")
        for name, store in columns.items():
            bad = np.flatnonzero(~np.isfinite(named[name]))
            if len(bad):
                raise TableError(
                    f"{path}, line {bad[0] + 2}, column {name}: {named[name][bad[0]]} ({len(bad)} such rows)"
                )
            store.append(named[name])
    return {n: np.concatenate(v) for n, v in columns.items()}
