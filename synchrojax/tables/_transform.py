"""A table of the eight into network space; rows that break the invariants go aside."""

import collections
import json
import pathlib
import shutil

import numpy as np

from synchrojax.core import PathLike, float64_is_on, make_directory, progress, write_text
from synchrojax.tables import configuration, network_space, table_files

REJECTED = "rejected"


def _transform_part(
    path: pathlib.Path, config: configuration.Config, work: pathlib.Path
) -> tuple[dict[str, int], int]:
    """Write one file of a table into ``work``; ({reason: rows}, rows kept)."""
    inputs = [m.name for m in config.params]
    needed = [*inputs, *table_files.RESULTS]
    kinds = table_files.header_of(path)
    columns = table_files.read_named(path, needed)
    counts = {}
    bad = np.zeros(len(columns["s"]), int)
    for number, (name, mask) in enumerate(network_space.reasons(columns, config.space).items(), 1):
        first = (bad == 0) & mask
        bad[first] = number
        counts[name] = int(np.count_nonzero(first))
    good = bad == 0
    if np.any(good):
        rows = {k: v[good] for k, v in columns.items()}
        values = network_space.to_network(rows, config.space, config.convention)
        rows["theta"] = network_space.fold(rows["theta"])[0]
        spaced = {f"{k}({kinds[k]})": rows[k] for k in inputs}
        table_files.write_part(
            work / path.name, spaced | {f"{k}(res)": v for k, v in values.items()}
        )
    if not np.all(good):
        (work / REJECTED).mkdir(exist_ok=True)
        aside = {f"{k}({kinds[k]})": columns[k][~good] for k in needed} | {
            "reason(meta)": bad[~good] * 1.0
        }
        table_files.write_part(work / REJECTED / path.name, aside)
    return counts, int(np.count_nonzero(good))


def transform(
    table: PathLike,
    directory: PathLike,
    out: PathLike,
    *,
    quiet: bool = False,
) -> tuple[dict[str, int], int]:
    """Write ``table`` in the network space of ``directory`` to the new directory ``out``.

    Part by part, so that memory does not grow with the table. Rows with a value that is not finite,
    a total that is not positive or polarization above it go to ``out/rejected`` with their first
    reason in a column ``reason(meta)``, whose numbers ``reasons.json`` there explains. Needs
    float64. Returns ({reason: rows}, rows kept). Raises TableError.
    """
    if not float64_is_on():
        raise RuntimeError('transform needs float64: jax.config.update("jax_enable_x64", True)')
    config, out = configuration.read(directory), pathlib.Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise table_files.TableError(
            f"{out}: exists and is not empty; choose another --out (in Python out)"
        )
    files = table_files.parts(table)
    counts: collections.Counter[str] = collections.Counter()
    kept = 0
    why = "a table is a directory; choose another --out (in Python out)"
    make_directory(out.parent, why, table_files.TableError)
    work = out.with_name(f".{out.name}.part")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    try:
        with progress("transform", len(files), "files", quiet=quiet) as advance:
            for path in files:
                reasons, good = _transform_part(path, config, work)
                counts.update(reasons)
                kept += good
                advance(1)
        if not kept:
            if not any(counts.values()):
                raise table_files.TableError(f"{table}: no rows in it")
            most = max(counts, key=lambda reason: counts[reason])
            raise table_files.TableError(
                f"{table}: no row is usable; {counts[most]} of them: {most}"
            )
        if (work / REJECTED).exists():
            legend = {str(i): name for i, name in enumerate(counts, 1)}
            write_text(work / REJECTED / "reasons.json", json.dumps(legend, indent=1) + "\n")
        if out.exists():
            out.rmdir()
        work.rename(out)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return dict(counts), kept
