"""Train a model on a table in network space, as its configuration says."""

import functools
import json
import math
import pathlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int

from synchrojax.core import Columns, PathLike, write_text
from synchrojax.families import Head, Rows, TableFamily
from synchrojax.model import MODEL_FILE, write_model
from synchrojax.networks import Ensemble, Perceptron, initial, parameters_of
from synchrojax.tables import RESULTS, configuration, network_space, table_files
from synchrojax.tables.configuration import Config, Recipe
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
from synchrojax.train._distribution import fit
from synchrojax.train._loop import Plan, run
from synchrojax.train._optimisers import Gradient, adam, loss_of
from synchrojax.train._options import Options, TableOptions, checked_options, require_parts


def lock(
    table: PathLike,
    directory: PathLike,
    *,
    overwrite: bool = False,
    drop: bool = False,
    quiet: bool = False,
) -> dict[str, int]:
    """Store bounds, means and deviations of ``table`` in the configuration of ``directory``.

    ``table`` is in network space (``transform``). Returns {column: values that its mapping cannot
    take}. Raises ConfigError if it is locked already, unless ``overwrite``, and TableError for
    columns that cannot be learned and, unless ``drop``, for values that a mapping cannot take.
    """
    config, path = configuration.read(directory), configuration.path_of(directory)
    if config.is_locked and not overwrite:
        raise configuration.ConfigError(
            f"{path}: is locked already; pass --overwrite (in Python overwrite=True) to compute "
            "its numbers again"
        )
    _require_network_space(table, config, directory)
    columns = table_files.read_columns(table, [m.name for m in config.mappings], quiet=quiet)
    mappings, rejected = [], {}
    for mapping in config.mappings:
        try:
            new, rejected[mapping.name] = mapping.locked(columns[mapping.name])
        except ValueError as error:
            raise table_files.TableError(f"{table}: column {error}") from None
        if rejected[mapping.name] and not drop:
            _refuse(table, new, rejected[mapping.name], path)
        mappings.append(new)
    configuration.write(directory, config.with_mappings(mappings))
    return rejected


def _require_network_space(table: PathLike, config: Config, directory: PathLike) -> None:
    """Say what to do with a table that nobody transformed."""
    found = table_files.header_of(table_files.parts(table)[0])
    if set(RESULTS) <= set(found) and not {r.mapping.name for r in config.results} <= set(found):
        raise table_files.TableError(
            f"{table}: not in network space: `synchrojax transform {table} {directory} --out NEW` "
            "brings it there"
        )


def _refuse(table: PathLike, mapping: Any, count: int, path: pathlib.Path) -> None:
    """Say where the first value is that ``mapping`` cannot take."""
    for file in table_files.parts(table):
        values = table_files.read_named(file, [mapping.name])[mapping.name]
        bad = np.flatnonzero(~mapping.valid(values))
        if len(bad):
            raise table_files.TableError(
                f"{file}, line {bad[0] + 2}, column {mapping.name}: {values[bad[0]]:g} is not "
                f"{mapping.domain}, as "
                f"maptype {mapping.maptype!r} needs ({count} such values); edit {path}, or leave "
                "them out: --drop"
            )


def _deviations(
    output: Float[Array, "results rows"], rows: Rows
) -> Float[np.ndarray, "rows results"]:
    """Errors in network space in units of their standard deviation [row, result].

    They are 0 for values that do not count.
    """
    error = np.where(rows.weight > 0.0, np.asarray(output).T - rows.target, np.nan)
    with np.errstate(invalid="ignore"):
        return np.nan_to_num(np.abs(error - np.nanmean(error, 0)) / np.nanstd(error, 0))


def _mean_square(module: Any, data: tuple[Any, Any, Any]) -> Float[Array, ""]:
    features, target, used = data
    return jnp.sum((module.before_output(features.T).T - target) ** 2 * used) / jnp.maximum(
        jnp.sum(used), 1.0
    )


def _cross_entropy(module: Any, data: tuple[Any, Any, Any]) -> Float[Array, ""]:
    features, target, used = data
    loss = optax.sigmoid_binary_cross_entropy(module.before_output(features.T).T, target)
    return jnp.sum(loss * used) / jnp.maximum(jnp.sum(used), 1.0)


def _uncounted(parameters: Any, memory: Any) -> tuple[Any, Any, tuple[float, float]]:
    """A start whose losses do not count."""
    return parameters, memory, (np.inf, np.inf)


def fit_adam(
    rows: Sequence[Rows],
    module: Any,
    recipe: Recipe,
    seed: int,
    *,
    patience: int,
    checkpoints: pathlib.Path | None = None,
    quiet: bool = False,
    title: str = "train",
) -> tuple[
    Any, Float[np.ndarray, "steps 3"], Int[np.ndarray, " clipped"], Float[np.ndarray, " clipped"]
]:
    """Two passes of Adam with sigma-clipping between them, as neurosynchro trains (Williams 2018).

    ``rows`` = (train, validation). Mean squared error, or cross-entropy for a sigmoid output.
    Returns (module, history as of ``fit``, row numbers of the training rows left out of the second
    pass, their deviations).
    """
    train, validation = rows
    fresh, frame = parameters_of(module)
    loss = _cross_entropy if recipe.output == "sigmoid" else _mean_square
    held = tuple(
        map(jnp.asarray, (validation.features, validation.target, validation.weight > 0.0))
    )
    plan, states = Plan(recipe.epochs, patience), []
    kept, deviations = np.ones(train.target.shape, bool), np.zeros(train.target.shape)
    start = fresh, adam(recipe.rate).init(fresh)
    for number, name in enumerate(("first", "second")):
        used = (kept & (train.weight > 0.0)).astype(train.target.dtype)
        data = tuple(map(jnp.asarray, (train.features, train.target, used)))
        done = number * recipe.epochs
        optimiser = Gradient(
            adam(recipe.rate),
            loss,
            frame,
            data,
            batch_size=recipe.batch_size,
            seed=seed,
            done=done,
            recorded=math.sqrt,
        )
        states.append(
            run(
                optimiser,
                lambda parameters: np.sqrt(float(loss_of(parameters, frame, held, loss=loss))),
                functools.partial(_uncounted, *start),
                plan,
                like=fresh,
                checkpoints=checkpoints / name if checkpoints else None,
                quiet=quiet,
                title=f"{title}, {name} pass",
                unit="epochs",
            )
        )
        start = states[-1].parameters, states[-1].memory
        if number == 0 and recipe.sigma_clip > 0.0:
            deviations = _deviations(frame.module(start[0])(jnp.asarray(train.features).T), train)
            kept = deviations <= recipe.sigma_clip
    clipped = np.flatnonzero(~np.all(kept, axis=1))
    return (
        frame.module(states[-1].best),
        history_of(*states),
        clipped,
        np.max(deviations, axis=1)[clipped],
    )


def _fold_in(
    module: Perceptron, mean: Float[np.ndarray, " inputs"], deviation: Float[np.ndarray, " inputs"]
) -> Perceptron:
    """The same network for features that are not normalised."""
    layers = [
        (np.asarray(layer.kernel[...]), np.asarray(layer.bias[...])) for layer in module.layers
    ]
    (kernel, bias), *rest = layers
    kernel = kernel / deviation[:, None]
    return Perceptron.of(
        [(kernel, bias - mean @ kernel), *rest], activation=module.activation, output=module.output
    )


def _as_is(output: Any, extra: Any) -> Any:
    return output


def _fit_head(
    head: Head,
    recipe: Recipe,
    rows: Sequence[Rows],
    options: TableOptions,
    seed: int,
    *,
    checkpoints: pathlib.Path,
    quiet: bool,
    title: str,
) -> tuple[
    Any, Float[np.ndarray, "steps 3"], Int[np.ndarray, " clipped"], Float[np.ndarray, " clipped"]
]:
    """One network of one member: (module, history, clipped training rows, their deviations)."""
    # 0.05 is what Keras means by kernel_initializer="normal"
    scale = 0.05 if recipe.method == "adam" else None
    kind = {
        "widths": head.widths,
        "activation": head.activation,
        "output": head.output,
        "scale": scale,
    }
    module = initial(Perceptron, inputs=head.inputs, outputs=head.outputs, **kind, seed=seed)
    shown: dict[str, Any] = {"quiet": quiet, "title": title}
    if recipe.method == "adam":
        return fit_adam(
            rows, module, recipe, seed, patience=options.patience, checkpoints=checkpoints, **shown
        )
    mean, deviation = np.mean(rows[0].features, 0), np.std(rows[0].features, 0)
    deviation = np.where(deviation > 0.0, deviation, 1.0)
    chosen = Options(seed=seed, iterations=recipe.iterations, patience=options.patience)
    scaled = [r._replace(features=(r.features - mean) / deviation) for r in rows]
    clipped, deviations = np.zeros(0, int), np.zeros(0)
    if recipe.sigma_clip > 0.0:
        brief = chosen._replace(iterations=-(-recipe.iterations // 4))
        aside = checkpoints.with_name(f"{checkpoints.name}-first")
        first, _ = fit(
            scaled,
            _as_is,
            module,
            brief,
            checkpoints=aside,
            quiet=quiet,
            title=f"{title}, first pass",
        )
        found = _deviations(first(jnp.asarray(scaled[0].features.T)), scaled[0])
        scaled[0] = scaled[0]._replace(
            weight=np.where(found > recipe.sigma_clip, 0.0, scaled[0].weight)
        )
        clipped = np.flatnonzero(np.any(found > recipe.sigma_clip, axis=1))
        deviations = np.max(found, axis=1)[clipped]
    module, history = fit(scaled, _as_is, module, chosen, checkpoints=checkpoints, **shown)
    return _fold_in(module, mean, deviation), history, clipped, deviations


def _fit_members(
    family: TableFamily,
    name: str,
    rows: Sequence[Rows],
    options: TableOptions,
    work: pathlib.Path,
    quiet: bool,
) -> tuple[Any, dict[str, Float[np.ndarray, "_ 3"]], list[tuple[Any, ...]]]:
    """One network or an ensemble: (module, {title: history}, clipped rows).

    A clipped row is (head, member, row, deviation).
    """
    fitted, clipped = [], []
    histories: dict[str, Float[np.ndarray, "_ 3"]] = {}
    for member in range(options.members):
        tag = f" {member + 1}/{options.members}" * (options.members > 1)
        found, history, bad, deviations = _fit_head(
            family.heads[name],
            family.members[name][0].recipe,
            rows,
            options,
            options.seed + member,
            checkpoints=work / f"{name}-{member}",
            quiet=quiet,
            title=f"train {name}{tag}",
        )
        fitted.append(found)
        histories[f"{name}{tag}"] = history
        clipped += [
            (name, member, rows[0].numbers[i], d) for i, d in zip(bad, deviations, strict=True)
        ]
    return Ensemble.of(fitted) if options.members > 1 else fitted[0], histories, clipped


def train_table(
    table: PathLike,
    directory: PathLike,
    *,
    out: PathLike | None = None,
    options: Any = TableOptions(),
    overwrite: bool = False,
    quiet: bool = False,
) -> pathlib.Path:
    """Train what ``directory`` says on ``table`` and write the model ``out``.

    ``directory`` holds the configuration, ``table`` is in network space. ``out`` is by default
    ``model.safetensors`` in ``directory``; beside it appear ``.loss.csv``, with matplotlib
    ``.loss.png``, and ``.clipped.csv`` if rows were left out by sigma-clipping. While it runs,
    ``<out>.checkpoints`` holds the state: the same command resumes from it. Train, validation and
    test rows are disjoint and fixed by ``options.seed``. ``options``: ``TableOptions``. Needs
    float64. Returns the path. Raises ConfigError, TableError and TrainingError, TypeError and
    ValueError for options that are not as said.
    """
    require_x64()
    options = checked_options(options, TableOptions)
    config = _read_locked(directory)
    out = pathlib.Path(out) if out else configuration.path_of(directory).parent / MODEL_FILE
    out = model_path(out, overwrite=overwrite)
    _require_network_space(table, config, directory)
    columns = _enough_rows(table, config, options, quiet)
    n = len(columns["s"])
    sine = np.sin(network_space.fold(columns["theta"])[0])
    name = out.stem if out.name != MODEL_FILE else out.resolve().parent.name
    family = TableFamily(name, config, np.min(sine[sine > 0.0], initial=1.0))
    mark = float(np.sum(np.log(np.abs(columns["j_I"]))))  # of the table
    settings = json.dumps([configuration.dump(config), list(options), n, mark])
    work = workplace(out, settings)

    part = parts_of(n, options)
    networks: dict[str, Any] = {}
    histories: dict[str, Float[np.ndarray, "_ 3"]] = {}
    clipped: list[tuple[Any, ...]] = []
    # inputs that their mapping cannot take teach nothing
    known = np.all([m.valid(columns[m.name]) for m in config.params], axis=0)
    for name in family.heads:
        rows = [_rows(family, name, columns, known & (part == k)) for k in range(2)]
        _require_rows(table, family.members[name], rows)
        occupied(work, settings)
        networks[name], own, left_out = _fit_members(family, name, rows, options, work, quiet)
        histories |= own
        clipped += left_out
    parts = {"training": known & (part == 0), "test": known & (part == 2)}
    squares = {k: _mean_squares(family, networks, columns, use) for k, use in parts.items()}
    report = _report(config, options, n, histories, len(clipped)) | {"network_space_mse": squares}
    if clipped:
        _save_clipped(out.with_suffix(".clipped.csv"), columns, config, clipped)
    write_model(out, family, networks, report)
    save_history(out, histories)
    shutil.rmtree(work)
    return out


def _read_locked(directory: PathLike) -> Config:
    config = configuration.read(directory)
    if not config.is_locked:
        raise configuration.ConfigError(
            f"{configuration.path_of(directory)}: is not locked; run `synchrojax lock TABLE DIR` "
            "first"
        )
    return config


def _enough_rows(
    table: PathLike, config: Config, options: TableOptions, quiet: bool
) -> dict[str, Float[np.ndarray, " rows"]]:
    """The columns that ``config`` names, of at least so many rows as each part and batch needs."""
    names = [m.name for m in config.mappings]
    columns = table_files.read_columns(
        table, names, max_rows=options.max_rows, seed=options.seed, quiet=quiet
    )
    n = len(columns["s"])
    batches = [r.recipe.batch_size for r in config.results if r.recipe.method == "adam"]
    needed = max(100, int(max(batches, default=0) / (1.0 - options.validation - options.test)))
    if n < needed:
        raise table_files.TableError(
            f"{table}: {n} rows are too few: at least {needed} for training, validation and test"
        )
    require_parts(table, n, options)
    return columns


def _rows(family: TableFamily, head: str, columns: Columns, use: Bool[np.ndarray, " rows"]) -> Rows:
    """``Rows`` of a head from columns of network space."""
    features = np.stack(family.features(head, columns, np), -1)
    target, weight = family.targets(head, columns)
    numbers = np.flatnonzero(use)
    return Rows(numbers, features[use], np.zeros((len(numbers), 1)), target[use], weight[use])


def _require_rows(table: PathLike, results: Sequence[Any], rows: Sequence[Rows]) -> None:
    """Refuse a table without usable values of a result in training or validation rows."""
    counts = np.min([np.count_nonzero(r.weight, axis=0) for r in rows], axis=0)
    for result, count in zip(results, counts, strict=True):
        if count == 0:
            m = result.mapping
            raise table_files.TableError(
                f"{table}: no values of {m.name} that its maptype {m.maptype!r} can take "
                f"({m.domain})"
            )


def _mean_squares(
    family: TableFamily,
    networks: Mapping[str, Any],
    columns: Columns,
    use: Bool[np.ndarray, " rows"],
) -> dict[str, float]:
    """Of the errors in network space in the rows ``use``, rounded."""
    found = family.mean_squares(networks, {k: v[use] for k, v in columns.items()})
    return {k: float(f"{v:.4g}") for k, v in found.items()}


def _report(
    config: Config,
    options: TableOptions,
    n: int,
    histories: Mapping[str, Float[np.ndarray, "_ 3"]],
    clipped: int,
) -> dict[str, Any]:
    """What a model file keeps of a training on ``n`` rows."""
    return {
        "held_out": held_out_rows(n, options),
        "training": {
            "rows": n,
            "seconds": round(sum(h[-1, 2] for h in histories.values())),
            "seed": options.seed,
            "members": options.members,
            "recipes": {r.mapping.name: r.trainer for r in config.results},
            "clipped": clipped,
        },
    }


def _save_clipped(
    path: pathlib.Path, columns: Columns, config: Config, clipped: list[tuple[Any, ...]]
) -> None:
    names = [m.name for m in config.mappings]
    lines = [",".join(["network", "member", "deviations", *names])]
    for head, member, row, deviations in clipped:
        values = [f"{columns[n][row]:.10g}" for n in names]
        lines.append(",".join([head, str(member), f"{deviations:.1f}", *values]))
    write_text(path, "\n".join(lines) + "\n")


def held_out(options: TableOptions) -> Callable[[int], Bool[np.ndarray, " rows"]]:
    """numbers of rows -> mask of those that a training with ``options`` left out for testing."""
    return lambda n: parts_of(n, options) == 2
