"""Make a table of exact coefficients over the box of a distribution."""

import json
import pathlib
import time

import numpy as np
from scipy.stats import qmc

from synchrojax import _table, exact
from synchrojax._families import distribution_of, get_family
from synchrojax._progress import progress

PART_ROWS = 4096


def draw(name, n, *, seed, margin, lessons=False):
    """Scrambled Sobol sample of the box: ``{input: array}``, 8 significant digits.

    ``lessons``: what the networks of that family learn from instead, which may be pairs of rows.
    Rounding the inputs first makes them exact in a text table.
    """
    family = get_family(name)
    cube = qmc.Sobol(family.DIMENSIONS, scramble=True, rng=seed).random(1 << (n - 1).bit_length())[:n]
    points = (family.lessons if lessons else family.sample)(cube, margin)
    return {k: np.array([float(f"{x:.8g}") for x in v[:n]]) for k, v in points.items()}


def generate(name, n, out, *, seed=0, margin=1.2, suffix=".txt.gz", quiet=False):
    """Write ``n`` rows of exact coefficients for ``name``, a distribution or a ``Family``, into the directory ``out``.

    Parts of 4096 rows; parts that are there are kept, so that a stopped run resumes. ``margin``
    widens the box, ``suffix`` is ``.txt``, ``.txt.gz`` or ``.parquet``. Needs float64.
    Raises TableError if ``out`` holds a table made with other settings.
    """
    if suffix not in _table.SUFFIXES:
        raise _table.TableError(f"format {suffix!r}: expected one of {', '.join(_table.SUFFIXES)}")
    if n < 1 or margin < 1.0:
        raise _table.TableError(f"need n >= 1 and margin >= 1, got {n} and {margin}")
    out = pathlib.Path(out)
    family = get_family(name)
    settings = {"distribution": family.NAME, "n": n, "seed": seed, "margin": margin, "suffix": suffix}
    if hasattr(family, "describe"):
        settings["family"] = family.describe()
    linear = ("theta", *getattr(family, "LINEAR", ()))
    points = draw(name, n, seed=seed, margin=margin, lessons=True)
    out.mkdir(parents=True, exist_ok=True)
    record = out / "table.json"
    if record.exists():
        if json.loads(record.read_text()) != settings:
            raise _table.TableError(
                f"{record}: made with other settings ({record.read_text().strip()}); choose another --out"
            )
    elif any(_table.suffix_of(p) for p in out.iterdir()):
        raise _table.TableError(f"{out}: holds a table already; choose another --out")
    record.write_text(json.dumps(settings) + "\n")

    starts = range(0, n, PART_ROWS)
    with progress("generate", n, "points", quiet=quiet) as advance:
        for index, start in enumerate(starts):
            path = out / f"part-{index:05d}{suffix}"
            rows = {k: v[start : start + PART_ROWS] for k, v in points.items()}
            count = len(rows["s"])
            missing = not path.exists()
            if missing:
                begin = time.perf_counter()
                values = exact.hatted(distribution_of(family), **rows)
                elapsed = 1e3 * (time.perf_counter() - begin) / count
                columns = {f"{k}({'lin' if k in linear else 'log'})": v for k, v in rows.items()}
                columns["time_ms(meta)"] = np.full(count, float(f"{elapsed:.3g}"))
                columns |= {f"{k}(res)": v for k, v in zip(_table.RESULTS, values.T, strict=True)}
                _table.write_part(path, columns)
            advance(count, counted=missing)
    return out
