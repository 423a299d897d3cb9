"""Train the networks of a distribution on a table of exact coefficients.

Two stages per network: Adam with a decaying rate finds the basin, Levenberg-Marquardt goes to the
bottom.
"""

import functools
import json
import pathlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, Int

from synchrojax.core import Columns, PathLike
from synchrojax.families import Head, Rows, SampledFamily, get_family
from synchrojax.model import packaged, read_model, require_readable, write_model
from synchrojax.networks import Perceptron, checked, parameters_of
from synchrojax.tables import table_files
from synchrojax.train._around import (
    held_out_rows,
    history_of,
    model_path,
    occupied,
    parts_of,
    require_x64,
    save_history,
    workplace,
)
from synchrojax.train._loop import Plan, run
from synchrojax.train._optimisers import BLOCK, LevenbergMarquardt, blocks_of, brief_adam
from synchrojax.train._options import Options, checked_options, require_parts


def residuals_of(combine: Callable) -> Callable:
    """(module, ``Rows``) -> relative errors [row, targets]; of one row [targets]."""

    def residuals(module: Any, rows: Rows) -> Float[Array, "*rows targets"]:
        return (combine(module(rows.features.T), rows.extra.T).T - rows.target) * rows.weight

    return residuals


def draw_blocks(blocks: Rows, step: int, options: Options) -> Rows:
    """The blocks of one iteration, the same again after a restart."""
    more = max(4 // blocks.target.shape[-1], 1)
    rows = options.final_rows if step > 0.85 * options.iterations else more * options.rows
    count, total = max(rows // BLOCK, 1), len(blocks.features)
    if count >= total:
        return blocks
    index = np.random.default_rng((options.seed, step)).choice(total, count, replace=False)
    return jax.tree.map(lambda a: a[index], blocks)


def fit(
    rows: Sequence[Rows],
    combine: Callable,
    module: Any,
    options: Any,
    *,
    checkpoints: PathLike | None = None,
    quiet: bool = False,
    title: str = "train",
) -> tuple[Any, Float[np.ndarray, "steps 3"]]:
    """Fit one network by least squares; returns (module, history).

    ``rows`` = (train, validation) ``Rows``. history [iteration, (training rms, validation rms,
    seconds)].
    """
    options = checked_options(options, Options)
    train, validation = rows
    fresh, frame = parameters_of(module)
    blocks, check, residuals = blocks_of(train), blocks_of(validation), residuals_of(combine)
    optimiser = LevenbergMarquardt(
        residuals, frame, fresh, lambda step: draw_blocks(blocks, step, options)
    )

    def start() -> tuple[Any, Any, tuple[float, float]]:
        warm: dict[str, Any] = {
            "steps": options.adam_steps,
            "batch_size": options.adam_batch,
            "rate": options.adam_rate,
        }
        parameters = brief_adam(residuals, frame, fresh, train, **warm, seed=options.seed)
        losses = optimiser.loss(parameters, blocks), optimiser.loss(parameters, check)
        return parameters, optimiser.start(parameters), losses

    state = run(
        optimiser,
        lambda parameters: optimiser.loss(parameters, check),
        start,
        Plan(options.iterations, options.patience, better=0.998),
        like=fresh,
        checkpoints=checkpoints,
        quiet=quiet,
        title=title,
    )
    return frame.module(state.best), history_of(state)


_SCORES = {
    "median": functools.partial(np.median, axis=0),
    "p99": functools.partial(np.quantile, q=0.99, axis=0),
    "max": functools.partial(np.max, axis=0),
}


def _scores(errors: Float[np.ndarray, "rows targets"]) -> dict[str, Any]:
    rounded = {k: [float(f"{x:.3g}") for x in f(errors)] for k, f in _SCORES.items()}
    return {"rows": len(errors), **rounded}


def _parts(
    family: SampledFamily,
    name: str,
    data: Columns,
    networks: Mapping[str, Any],
    part: Int[np.ndarray, " rows"],
    table: PathLike,
) -> list[Rows]:
    """Training, validation and test ``Rows`` of a head, as ``part`` divides those of the table."""
    needed = {k: networks[k] for k in family.heads[name].needs}
    rows = family.training_rows(name, data, needed)
    _require_finite(name, rows, table)
    parts = [
        jax.tree.map(lambda a, use=use: np.asarray(a)[use], rows)
        for use in (part[rows.numbers] == k for k in range(3))
    ]
    if min(len(r.features) for r in parts) == 0:
        raise table_files.TableError(
            f"{table}: no rows for {name} inside the box {dict(family.domain)}"
        )
    return parts


def _require_finite(name: str, rows: Rows, table: PathLike) -> None:
    """Raise TableError where a row cannot be learned: one such row would make every loss NaN."""
    values = (np.asarray(v) for v in (rows.features, rows.extra, rows.target, rows.weight))
    bad = ~np.all([np.all(np.isfinite(v), 1) for v in values], 0)
    if bad.any():
        first = int(np.asarray(rows.numbers)[bad][0])
        raise table_files.TableError(
            f"{table}: {int(bad.sum())} rows have no finite target for {name}, as row {first}, "
            "counted from 0: its coefficients are not finite, zero, or of a sign that the family "
            "does not know"
        )


def _fresh(network: Any, head: Head, widths: list[int], seed: int) -> Any:
    """A network of a head that nothing has learned yet, of a class that can be kept."""
    kind = {"widths": widths, "activation": head.activation, "output": head.output}
    return checked(network, inputs=head.inputs, outputs=head.outputs, **kind, seed=seed)


def _report(
    options: Options,
    n: int,
    histories: Mapping[str, Float[np.ndarray, "_ 3"]],
    widths: Mapping[str, list[int]],
) -> dict[str, Any]:
    """What a model file keeps of a training on ``n`` rows."""
    seconds = round(float(sum(h[-1, 2] for h in histories.values())))
    return {
        "held_out": held_out_rows(n, options),
        "training": {"rows": n, "seconds": seconds, "widths": widths, "seed": options.seed},
    }


def train(
    table: PathLike,
    out: PathLike,
    *,
    distribution: Any = "thermal",
    options: Any = Options(),
    network: Any = Perceptron,
    overwrite: bool = False,
    quiet: bool = False,
) -> pathlib.Path:
    """Train all networks of a distribution on a table directory and write the model ``out``.

    ``distribution``: a name, a ``Family`` or another ``SampledFamily`` whose model files can be
    read back. ``out`` is a .safetensors file; beside it appear ``.loss.csv`` and, with matplotlib,
    ``.loss.png``. While it runs, ``<out>.checkpoints`` holds the state: the same command resumes
    from it. Train, validation and test rows are disjoint and fixed by ``options.seed``.
    ``options``: ``Options``. ``network``: the class of the networks, a registered one
    (``synchrojax.networks.register``). Needs float64. Returns the path. Before anything is trained
    or written, raises TableError for a bad table, TrainingError for settings that contradict each
    other, TypeError and ValueError for arguments that are not as said.
    """
    require_x64()
    options = checked_options(options, Options)
    family, out = get_family(distribution), model_path(out, overwrite=overwrite)
    networks = dict(read_model(packaged(family.base))[1]) if family.base else {}
    widths = {
        name: list(map(int, options.widths or head.widths)) for name, head in family.heads.items()
    }
    fresh = {
        name: _fresh(network, head, widths[name], options.seed)
        for name, head in family.heads.items()
        if name not in networks
    }
    data = table_files.read_table(table, ("s", "theta", *(family.single or family).parameters))
    family = family.locked(data)
    require_readable(family)
    n = len(data["s"])
    if n < 100:
        raise table_files.TableError(f"{table}: {n} rows are too few to train on")
    require_parts(table, n, options)
    mark = float(np.sum(data["rho_V"] * data["s"]))  # of the table
    settings = json.dumps([family.name, network.__name__, widths, list(options), n, mark])
    work = workplace(out, settings)

    part = parts_of(n, options)
    histories, scores = {}, {}
    for name, module in fresh.items():
        parts = _parts(family, name, data, networks, part, table)
        combine = functools.partial(family.combine, name)
        shown: dict[str, Any] = {"quiet": quiet, "title": f"train {name}"}
        occupied(work, settings)
        networks[name], histories[name] = fit(
            parts[:2], combine, module, options, checkpoints=work / name, **shown
        )
        scores[name] = _scores(np.abs(np.asarray(residuals_of(combine)(networks[name], parts[2]))))
    report = _report(options, n, histories, widths) | {"network_space_error": scores}
    write_model(out, family, networks, report)
    save_history(out, histories)
    shutil.rmtree(work)
    return out
