"""Make a table: of exact coefficients over a box, or with a program of the user's."""

import concurrent.futures
import contextlib
import json
import os
import pathlib
import shlex
import string
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import jax
import numpy as np
from jaxtyping import Float
from scipy.stats import qmc

from synchrojax import exact
from synchrojax.core import (
    Columns,
    PathLike,
    from_json,
    low_and_high,
    make_directory,
    number,
    progress,
    read_text,
    write_text,
)
from synchrojax.families import get_family
from synchrojax.generate._executors import GenerateError, Inline, run_all, workers_of
from synchrojax.tables import table_files

# coefficients, milliseconds, {failed row: why}
Chunk: TypeAlias = tuple[Float[np.ndarray, "rows 8"], Float[np.ndarray, " rows"], dict[int, str]]
PART_ROWS = 4096
COMMAND_ROWS = 256  # of a program that may take seconds for each
FAILED = "failed"
_SETTINGS = "table.json"
_WIDEST = 100.0  # a margin, a choice: far beyond where the parameters of most distributions end


def draw(
    name: Any, n: int, *, seed: int, margin: float | int, to_learn: bool = False
) -> dict[str, Float[np.ndarray, " rows"]]:
    """Scrambled Sobol sample of the box: ``{input: array}``, 8 significant digits.

    ``to_learn``: what the networks of that family learn from instead, which may be pairs of rows.
    Rounding the inputs first makes them exact in a text table.
    """
    family = get_family(name)
    family = family.single or family
    cube = qmc.Sobol(family.dimensions, scramble=True, rng=seed).random(1 << (n - 1).bit_length())[
        :n
    ]
    points = (family.sample_to_learn if to_learn else family.sample)(cube, margin)
    return {k: np.array([float(f"{x:.8g}") for x in v[:n]]) for k, v in points.items()}


# What workers do: functions of plain data, so that they travel to other processes and machines


def _exact_chunk(distribution: Any, rows: Mapping[str, Any]) -> Chunk:
    """(values [row, 8], milliseconds [row], {failed row: why}) of one chunk."""
    begin = time.perf_counter()
    with jax.enable_x64(True):
        values = np.asarray(exact.at_unit_frequency(distribution, **rows))
    elapsed = 1e3 * (time.perf_counter() - begin) / len(values)
    return values, np.full(len(values), elapsed), {}


def _argument(word: str) -> str | bytes:
    """A word for a program in UTF-8, whatever the locale says."""
    return word if os.name == "nt" else word.encode("utf-8", "surrogateescape")


def _command_chunk(words: list[str], timeout: float | int, rows: Columns) -> Chunk:
    """The same by running a program once for each row."""
    names = list(rows)
    values, elapsed, failed = (
        np.full((len(rows[names[0]]), 8), np.nan),
        np.zeros(len(rows[names[0]])),
        {},
    )
    for i in range(len(values)):
        point = {n: f"{rows[n][i]:.8g}" for n in names}
        begin = time.perf_counter()
        try:
            done = subprocess.run(
                [_argument(w.format(**point)) for w in words],
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=timeout,
                stdin=subprocess.DEVNULL,
            )
            words_out = done.stdout.replace(",", " ").split()
            if done.returncode:
                last = (done.stderr.strip().splitlines() or ["no message"])[-1]
                failed[i] = f"exit status {done.returncode}: {last}"
            elif len(words_out) != 8:
                failed[i] = (
                    f"printed {len(words_out)} numbers instead of 8: {done.stdout.strip()[:80]!r}"
                )
            else:
                values[i] = [float(v) for v in words_out]
                if not np.all(np.isfinite(values[i])):
                    failed[i] = "printed a number that is not finite"
        except subprocess.TimeoutExpired:
            failed[i] = f"no answer within {timeout:g} s"
        except ValueError:
            failed[i] = f"printed something that is not a number: {done.stdout.strip()[:80]!r}"
        except OSError as error:
            raise GenerateError(f"--command: {words[0]!r} cannot be run ({error})") from None
        elapsed[i] = 1e3 * (time.perf_counter() - begin)
    return values, elapsed, failed


def _prepare(out: PathLike, settings: Mapping[str, Any]) -> pathlib.Path:
    """The directory, checked against what is there."""
    out = pathlib.Path(out)
    why = "a table is a directory; choose another --out (in Python out)"
    make_directory(out, why, table_files.TableError)
    record = out / _SETTINGS
    if record.exists():
        try:
            found = from_json(read_text(record), record)
        except ValueError as error:
            raise table_files.TableError(
                f"{error}; it should say how the table was made: choose another --out (in Python "
                "out)"
            ) from None
        if found != settings:
            raise table_files.TableError(
                f"{record}: made with other settings ({json.dumps(found)}); choose another --out "
                "(in Python out)"
            )
    elif any(table_files.suffix_of(p) for p in out.iterdir()):
        raise table_files.TableError(
            f"{out}: holds a table already; choose another --out (in Python out)"
        )
    write_text(record, json.dumps(settings) + "\n")
    return out


def _checked(n: Any, seed: Any, workers: Any, suffix: Any) -> tuple[int, int, int | None]:
    """(n, seed, workers) as whole numbers, the suffix known. Raises TableError."""
    if suffix not in table_files.SUFFIXES:
        raise table_files.TableError(
            f"format {suffix!r}: expected one of {', '.join(table_files.SUFFIXES)}"
        )
    if workers is not None:
        workers = table_files.integer(workers, "workers (processes)", 1)
    return table_files.integer(n, "n (rows)", 1), table_files.integer(seed, "seed", 0), workers


def _checked_margin(margin: Any) -> float:
    """The factor by which a box is widened. Raises TableError."""
    found = number(margin, "margin")
    if not 1.0 <= found <= _WIDEST:
        raise table_files.TableError(
            f"margin is the factor by which the box is widened, from 1 to {_WIDEST:g}, got {found}"
        )
    return found


def _check_points(family: Any, points: Columns, margin: float) -> None:
    """Raise TableError where a widened box leaves what the distribution allows."""
    own = {k: points[k] for k in family.parameters}
    broken = [k for k, where in family.distribution.violated(**own).items() if np.any(where)]
    if broken:
        raise table_files.TableError(
            f"margin {margin:g} widens the box of {family.name!r} to where {' and '.join(broken)} "
            "does not hold: choose a smaller one"
        )


def _checked_timeout(timeout: Any) -> float:
    """Seconds. Raises GenerateError."""
    found = number(timeout, "timeout", "s")
    if not 0.0 < found < threading.TIMEOUT_MAX:
        raise GenerateError(f"timeout [s] must be finite and above zero, got {found}")
    return found


def _fill(
    out: pathlib.Path,
    points: Columns,
    linear: Sequence[str],
    suffix: str,
    size: int,
    job: Callable[[Columns], tuple[Any, ...]],
    function: Callable,
    who: tuple[Callable[[], tuple[Any, bool]], int],
    quiet: bool,
) -> int:
    """Compute and write the parts that are missing; returns how many points failed."""
    n = len(points["s"])
    spaced = {k: f"{k}({'lin' if k in linear else 'log'})" for k in points}
    chunks = {
        i: {k: v[i * size : (i + 1) * size] for k, v in points.items()}
        for i in range(-(-n // size))
    }
    paths = {i: out / f"part-{i:05d}{suffix}" for i in chunks}
    missing = {i: job(rows) for i, rows in chunks.items() if not paths[i].exists()}
    failures = 0
    make, width = who
    with progress("generate", n, "points", quiet=quiet) as advance:
        for i, rows in chunks.items():
            if i not in missing:
                advance(len(rows["s"]), counted=False)

        def done(i: int, result: tuple[Any, ...]) -> None:
            nonlocal failures
            values, elapsed, failed = result
            good = np.array([k not in failed for k in range(len(values))])
            if failed:
                (out / FAILED).mkdir(exist_ok=True)
                lines = ["\t".join([*spaced.values(), "reason(meta)"])]
                for k, why in failed.items():
                    lines.append(
                        "\t".join(
                            [*(f"{v[k]:.10g}" for v in chunks[i].values()), " ".join(why.split())]
                        )
                    )
                write_text(out / FAILED / f"part-{i:05d}.txt", "\n".join(lines) + "\n")
            failures += len(failed)
            columns = {spaced[k]: v[good] for k, v in chunks[i].items()}
            columns["time_ms(meta)"] = np.array([float(f"{x:.3g}") for x in elapsed[good]])
            columns |= {
                f"{k}(res)": v for k, v in zip(table_files.RESULTS, values[good].T, strict=True)
            }
            table_files.write_part(paths[i], columns)
            advance(len(values), f"{failures} failed" if failures else "")

        try:
            run_all(missing, function, make, done, width)
        except GenerateError:
            # nothing that another try could go on with
            if not any(path.exists() for path in paths.values()):
                (out / _SETTINGS).unlink()
                with contextlib.suppress(OSError):
                    out.rmdir()
            raise
    return failures


def generate(
    name: Any,
    n: Any,
    out: PathLike,
    *,
    seed: Any = 0,
    margin: Any = 1.2,
    suffix: Any = ".txt.gz",
    quiet: bool = False,
    executor: Any = None,
    workers: Any = None,
) -> pathlib.Path:
    """Write ``n`` rows of exact coefficients for ``name`` into the directory ``out``.

    ``name``: a distribution or a ``Family``. Parts of 4096 rows; parts that are there are kept, so
    that a stopped run resumes. ``margin``: the factor, from 1 up, by which the box is widened.
    ``suffix`` is ``.txt``, ``.txt.gz`` or ``.parquet``. ``executor``: any
    ``concurrent.futures.Executor`` to compute the parts with, or ``workers``: so many processes
    here; by default threads of this process. The same seed gives the same coefficients whichever it
    is; a worker that dies costs the part it was at, which is done again. Needs float64.
    Raises ValueError for arguments that make no table, before anything is written, and TableError
    if ``out`` holds a table made with other settings.
    """
    family, margin = get_family(name), _checked_margin(margin)
    family = family.single or family
    n, seed, workers = _checked(n, seed, workers, suffix)
    settings = {
        "distribution": family.name,
        "n": n,
        "seed": seed,
        "margin": margin,
        "suffix": suffix,
    }
    settings |= family.described()
    points = draw(name, n, seed=seed, margin=margin, to_learn=True)
    _check_points(family, points, margin)
    out = _prepare(out, settings)
    distribution = family.name if isinstance(name, str) else family.distribution
    who = workers_of(executor, workers, (Inline,))
    _fill(
        out,
        points,
        family.linear,
        suffix,
        PART_ROWS,
        lambda rows: (distribution, rows),
        _exact_chunk,
        who,
        quiet,
    )
    return out


def _words_of(command: str, inputs: Mapping[str, Any]) -> list[str]:
    """The words of a command that takes just these inputs."""
    try:
        words = shlex.split(command)
        used = {
            field
            for w in words
            for _, field, _, _ in string.Formatter().parse(w)
            if field is not None
        }
    except ValueError as error:
        raise GenerateError(f"--command {command!r}: {error}") from None
    missing = [k for k in ("s", "theta") if k not in inputs]
    if missing or not words:
        raise GenerateError(
            f"--command needs --input {' and '.join(missing)}" if missing else "--command is empty"
        )
    if used != set(inputs):
        raise GenerateError(
            f"--command {command!r} takes {', '.join(sorted(used)) or 'nothing'}; the inputs are "
            f"{', '.join(inputs)}"
        )
    return words


def _ranges_of(inputs: Mapping[str, Sequence[Any]]) -> dict[str, tuple[str, float, float]]:
    """The same inputs with their ends as numbers, checked."""
    ranges = {}
    for k, (spacing, *ends) in inputs.items():
        try:
            low, high = low_and_high(ends, f"--input {k}", "rad" if k == "theta" else "")
        except ValueError as error:
            raise GenerateError(str(error)) from None
        if spacing not in ("log", "lin") or (spacing == "log" and low <= 0.0):
            shown = ":".join(map(str, (spacing, *ends)))
            raise GenerateError(f"--input {k}={shown}: expected log or lin, and 0 < low for log")
        ranges[k] = spacing, low, high
    return ranges


def _draw_between(
    ranges: Mapping[str, tuple[str, float, float]], n: int, seed: int
) -> dict[str, Float[np.ndarray, " rows"]]:
    """As ``draw`` for ranges {input: ("log" | "lin", low, high)}."""
    cube = qmc.Sobol(len(ranges), scramble=True, rng=seed).random(1 << (n - 1).bit_length())[:n]
    points = {}
    for column, (k, (spacing, low, high)) in zip(cube.T, ranges.items(), strict=True):
        value = low * (high / low) ** column if spacing == "log" else low + (high - low) * column
        points[k] = np.array([float(f"{x:.8g}") for x in value])
    return points


def generate_command(
    command: str,
    inputs: Mapping[str, Sequence[Any]],
    n: Any,
    out: PathLike,
    *,
    seed: Any = 0,
    timeout: Any = 60.0,
    suffix: Any = ".txt.gz",
    quiet: bool = False,
    executor: Any = None,
    workers: Any = None,
) -> tuple[pathlib.Path, int]:
    """Write a table with a program of your own as the calculator.

    Returns (directory, points that failed). ``command``: its words, with ``{s}``, ``{theta}``, ...
    for the inputs, run without a shell once for each point; it prints j_I, j_Q, j_V, alpha_I,
    alpha_Q, alpha_V, rho_Q, rho_V at nu = 1 Hz and n_e = 1 cm^-3. ``inputs``: {name: ("log" |
    "lin", low, high)}. A point that fails or takes longer than ``timeout`` [s] is left out and
    listed with the reason in ``out/failed``. Resumes, ``executor`` and ``workers`` as for
    ``generate``. Raises GenerateError and TableError.
    """
    n, seed, workers = _checked(n, seed, workers, suffix)
    timeout = _checked_timeout(timeout)
    words, ranges = _words_of(command, inputs), _ranges_of(inputs)
    points = _draw_between(ranges, n, seed)
    out = _prepare(
        out,
        {
            "command": command,
            "inputs": {k: list(v) for k, v in ranges.items()},
            "n": n,
            "seed": seed,
            "suffix": suffix,
        },
    )
    linear = [k for k, (spacing, _, _) in inputs.items() if spacing == "lin"]
    # the program is a process already
    threads = (concurrent.futures.ThreadPoolExecutor, os.cpu_count() or 1)
    size = min(COMMAND_ROWS, max(1, n // 16))
    who = workers_of(executor, workers, threads)
    failed = _fill(
        out,
        points,
        linear,
        suffix,
        size,
        lambda rows: (words, timeout, rows),
        _command_chunk,
        who,
        quiet,
    )
    return out, failed
