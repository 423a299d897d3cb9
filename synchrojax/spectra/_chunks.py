"""Many spectra in chunks: on threads, processes or a cluster, with parts kept for a resumption."""

import concurrent.futures
import dataclasses
import hashlib
import json
import os
import pathlib
import zipfile
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from synchrojax.core import (
    PathLike,
    from_json,
    make_directory,
    progress,
    read_text,
    write_text,
    written_in_one,
)
from synchrojax.generate import run_all, workers_of
from synchrojax.spectra._likelihood import Problem, Residuals
from synchrojax.spectra._results import End
from synchrojax.spectra._solve import Solution, solve
from synchrojax.spectra._space import rows_at

_CHUNK = 32  # spectra that one worker has at a time
_SETTINGS = "fit.json"
_FIELDS = tuple(field.name for field in dataclasses.fields(End))


def solve_all(
    residuals: Residuals,
    problems: Problem,
    dof: Sequence[int],
    starts: int | Float[np.ndarray, "problems starts labels"],
    seed: int,
    exact: bool,
    *,
    out: PathLike | None,
    executor: Any,
    workers: int | None,
    quiet: bool,
) -> list[Solution]:
    """The minima of all problems; ``exact``: in float64. The rest as of ``fit_many``."""
    number, cores = len(dof), os.cpu_count() or 1
    parts = np.array_split(np.arange(number), max(-(-number // _CHUNK), min(cores, number)))

    def job(which: np.ndarray) -> tuple[Any, ...]:
        own = starts[which] if isinstance(starts, np.ndarray) else starts
        few = rows_at(problems, which)
        return residuals, few, [dof[k] for k in which], own, seed, exact

    found: dict[int, list[Solution]] = {}
    place = None if out is None else _prepared(out, residuals, problems, starts, seed, exact)
    if place is not None:
        for i in range(len(parts)):
            if _path(place, i).exists():
                found[i] = _read(_path(place, i))
    if len(parts) == 1 and executor is None and not workers:
        if not found:  # in the thread of the caller, with all that holds there
            found[0] = _chunk(*job(parts[0]))
            _keep(place, 0, found[0])
        return found[0]
    threads = (concurrent.futures.ThreadPoolExecutor, cores)
    make, width = workers_of(executor, workers, threads)
    missing = {i: job(which) for i, which in enumerate(parts) if i not in found}
    with progress("fit", number, "spectra", quiet=quiet) as advance:
        for i in found:
            advance(len(parts[i]), counted=False)

        def done(i: int, solutions: list[Solution]) -> None:
            found[i] = solutions
            _keep(place, i, solutions)
            advance(len(solutions))

        run_all(missing, _chunk, make, done, width)
    return [solution for i in range(len(parts)) for solution in found[i]]


def _chunk(
    residuals: Residuals, problems: Problem, dof: list[int], starts: Any, seed: int, exact: bool
) -> list[Solution]:
    with jax.enable_x64(exact):  # other threads have settings of their own
        dtype = np.dtype(np.float64 if exact else np.float32)
        return solve(residuals, problems, dof, starts, seed, dtype)


# Parts that are kept ------------------------------------------------------------------------------


def _prepared(
    out: PathLike, residuals: Residuals, problems: Problem, starts: Any, seed: int, exact: bool
) -> pathlib.Path:
    """The directory, which holds nothing of another fit. Raises ValueError."""
    place, space = pathlib.Path(out), residuals.space
    make_directory(place, "the parts of a fit go to a directory; choose another out")
    digest = hashlib.sha256(repr((seed, exact, space.names, space.round)).encode())
    for leaf in jax.tree.leaves((problems, starts)):
        digest.update(np.ascontiguousarray(leaf).tobytes())
    settings = {
        "source": space.source.described(),
        "labels": list(space.names),
        "spectra": len(problems.channels.nu),
        "digest": digest.hexdigest(),
    }
    record = place / _SETTINGS
    if record.exists():
        if from_json(read_text(record), record) != settings:
            raise ValueError(f"{record}: of another fit; choose another out")
    elif any(place.iterdir()):
        raise ValueError(f"{place}: holds something else; choose another out")
    write_text(record, json.dumps(settings) + "\n")
    return place


def _path(place: pathlib.Path, part: int) -> pathlib.Path:
    return place / f"part-{part:05d}.npz"


def _keep(place: pathlib.Path | None, part: int, solutions: Sequence[Solution]) -> None:
    if place is None:
        return
    ends = [end for solution in solutions for end in solution.modes]
    columns: dict[str, Any] = {n: np.array([getattr(end, n) for end in ends]) for n in _FIELDS}
    counts = np.array([len(solution.modes) for solution in solutions])
    narrow = json.dumps([solution.narrow for solution in solutions])
    with written_in_one(_path(place, part)) as temporary, temporary.open("wb") as file:
        np.savez(file, counts=counts, narrow=np.array(narrow), **columns)


def _read(path: pathlib.Path) -> list[Solution]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            columns = {n: arrays[n] for n in _FIELDS}
            counts, narrow = arrays["counts"], json.loads(str(arrays["narrow"]))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: cannot be read ({error}); remove it to fit again") from None
    columns["chi2"], columns["converged"] = (columns[n].tolist() for n in ("chi2", "converged"))
    ends = [
        End(**dict(zip(_FIELDS, row, strict=True)))
        for row in zip(*(columns[n] for n in _FIELDS), strict=True)
    ]
    stops = np.cumsum(counts)
    return [
        Solution(ends[stop - count : stop], tuple(map(tuple, names)))
        for stop, count, names in zip(stops.tolist(), counts.tolist(), narrow, strict=True)
    ]
