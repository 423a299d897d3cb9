"""Train a model on a table in network space, as its configuration says."""

import functools
import json
import pathlib
import shutil
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from synchrojax.core import progress, write_text
from synchrojax.families import TableFamily
from synchrojax.model import MODEL_FILE, Model, write_model
from synchrojax.networks import forward, initial_weights
from synchrojax.tables import configuration, network_space, table_files
from synchrojax.train import _train as training
from synchrojax.train._train import Options, Rows, TrainingError, _Checkpoints, _save_history, fit, parts_of


class TableOptions(NamedTuple):
    """What a training depends on, beside configuration and table."""

    seed: int = 0
    members: int = 1  # of an ensemble
    max_rows: int = 2_000_000  # drawn at random from a larger table
    patience: int = 40  # iterations or epochs without a better validation loss before stopping
    validation: float = 0.1
    test: float = 0.1


def lock(table, directory, *, overwrite=False, drop=False, quiet=False):
    """Store bounds, means and deviations of the columns of ``table`` in the configuration of ``directory``.

    ``table`` is in network space (``transform``). Returns {column: values that its mapping cannot take}. Raises
    ConfigError if it is locked already, unless ``overwrite``, and TableError for columns that cannot be learned and,
    unless ``drop``, for values that a mapping cannot take.
    """
    config, path = configuration.read(directory), configuration.path_of(directory)
    if config.is_locked and not overwrite:
        raise configuration.ConfigError(f"{path}: is locked already; pass --overwrite to compute its numbers again")
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


def _require_network_space(table, config, directory):
    """Say what to do with a table that nobody transformed."""
    found = table_files.header_of(table_files.parts(table)[0])
    if set(table_files.RESULTS) <= set(found) and not {r.mapping.name for r in config.results} <= set(found):
        raise table_files.TableError(
            f"{table}: not in network space: `synchrojax transform {table} {directory} --out NEW` brings it there"
        )


def _refuse(table, mapping, count, path):
    """Say where the first value is that ``mapping`` cannot take."""
    for file in table_files.parts(table):
        values = table_files.read_named(file, [mapping.name])[mapping.name]
        bad = np.flatnonzero(~mapping.valid(values))
        if len(bad):
            raise table_files.TableError(
                f"{file}, line {bad[0] + 2}, column {mapping.name}: {values[bad[0]]:g} is not {mapping.domain}, as "
                f"maptype {mapping.maptype!r} needs ({count} such values); edit {path}, or leave them out: --drop"
            )


def _deviations(output, rows):
    """Errors in network space in units of their standard deviation, [row, result]; 0 for values that do not count."""
    error = np.where(rows.weight > 0.0, np.asarray(output).T - rows.target, np.nan)
    with np.errstate(invalid="ignore"):
        return np.nan_to_num(np.abs(error - np.nanmean(error, 0)) / np.nanstd(error, 0))


@functools.lru_cache(maxsize=16)
def _adam(recipe):
    """(optimiser, jitted epoch, jitted loss): networks of one shape share their compilation."""
    optimiser = optax.adam(recipe.rate)

    def loss_of(weights, features, target, used):
        y = forward(weights, features.T, recipe.activation, "linear").T
        loss = optax.sigmoid_binary_cross_entropy(y, target) if recipe.output == "sigmoid" else (y - target) ** 2
        return jnp.sum(loss * used) / jnp.maximum(jnp.sum(used), 1.0)

    @jax.jit
    def epoch(state, data, key):
        n = len(data[0])
        batch = min(recipe.batch_size, n)
        order = jax.random.permutation(key, n)[: n // batch * batch].reshape(-1, batch)

        def step(state, index):
            weights, moments = state
            loss, gradient = jax.value_and_grad(loss_of)(weights, *(a[index] for a in data))
            update, moments = optimiser.update(gradient, moments)
            return (optax.apply_updates(weights, update), moments), loss

        state, losses = jax.lax.scan(step, state, order)
        return state, jnp.mean(losses)

    return optimiser, epoch, jax.jit(loss_of)


def fit_adam(rows, sizes, recipe, seed, *, patience, checkpoints=None, quiet=False, title="train"):
    """Two passes of Adam with sigma-clipping between them, as neurosynchro trains (Williams 2018).

    ``rows`` = (train, validation). Mean squared error, or cross-entropy for a sigmoid output. Returns (weights,
    history as of ``train.fit``, row numbers of the training rows left out of the second pass, their deviations).
    """
    train, validation = rows
    weights = initial_weights(sizes, seed, scale=0.05)
    total = 2 * recipe.epochs
    optimiser, epoch, check = _adam(recipe)
    state = {
        "weights": weights,
        "moments": optimiser.init(weights),
        "best": weights,
        "best_loss": np.array(np.inf),
        "best_epoch": np.array(0),
        "epoch": np.array(0),
        "kept": np.ones(train.target.shape, bool),
        "deviations": np.zeros(train.target.shape),
        "history": np.full((total + 1, 3), np.nan),
    }
    store = _Checkpoints(checkpoints) if checkpoints else None
    # as NumPy: Orbax reads in threads of its own, where float64 may be off
    found = store.load(jax.tree.map(np.asarray, state)) if store else None
    if found is not None:
        state = jax.tree.map(np.array, found)
    offset = np.nanmax([0.0, *state["history"][:, 2]])
    begin = saved = time.perf_counter()
    known = validation.weight > 0.0
    held = tuple(jnp.asarray(a) for a in (validation.features, validation.target, known))
    features, target = jnp.asarray(train.features), jnp.asarray(train.target)
    try:
        with progress(title, total, "epochs", quiet=quiet) as advance:
            advance(int(state["epoch"]), counted=False)
            while state["epoch"] < total:
                k = int(state["epoch"]) + 1
                if k == recipe.epochs + 1 and recipe.sigma_clip > 0.0:
                    output = forward(state["weights"], features.T, recipe.activation, recipe.output)
                    deviations = _deviations(output, train)
                    state |= {"kept": deviations <= recipe.sigma_clip, "deviations": deviations}
                used = jnp.asarray(state["kept"] & (train.weight > 0.0), target.dtype)
                pair, loss = epoch(
                    (state["weights"], state["moments"]), (features, target, used), jax.random.key(seed + 1000003 * k)
                )
                held_loss = float(check(pair[0], *held))
                state |= {"weights": pair[0], "moments": pair[1], "epoch": np.array(k)}
                state["history"][k] = np.sqrt(float(loss)), np.sqrt(held_loss), offset + time.perf_counter() - begin
                if held_loss < state["best_loss"] or k == recipe.epochs + 1:  # outliers are gone: begin again
                    state |= {"best": pair[0], "best_loss": np.array(held_loss), "best_epoch": np.array(k)}
                advance(1, f"loss {held_loss:.2e}")
                stalled = k - int(state["best_epoch"]) >= patience
                if stalled and k <= recipe.epochs:  # on to the second pass
                    state["epoch"] = np.array(recipe.epochs)
                elif stalled:
                    state["epoch"] = np.array(total)
                if store and (time.perf_counter() - saved > training._SAVE_EVERY or state["epoch"] >= total):
                    store.save(int(state["epoch"]), jax.tree.map(np.asarray, state))
                    saved = time.perf_counter()
    finally:
        if store:
            store.close()
    history = state["history"][~np.isnan(state["history"][:, 0])]
    clipped = np.flatnonzero(~np.all(state["kept"], axis=1))
    return state["best"], history, clipped, np.max(state["deviations"], axis=1)[clipped]


def _fold_in(weights, mean, deviation):
    """The same network for features that are not normalised."""
    (kernel, bias), *rest = weights
    kernel = kernel / deviation[:, None]
    return ((kernel, bias - mean @ kernel), *rest)


def _as_is(output, extra):
    return output


def _fit_head(family, head, rows, options, seed, *, checkpoints, quiet, title):
    """One network of one member: (weights, history, clipped training rows, their deviations)."""
    recipe = family.members[head][0].recipe
    inputs, outputs = family.HEADS[head]
    sizes = (inputs, *recipe.units, outputs)
    if recipe.method == "adam":
        return fit_adam(
            rows, sizes, recipe, seed, patience=options.patience, checkpoints=checkpoints, quiet=quiet, title=title
        )
    mean, deviation = np.mean(rows[0].features, 0), np.std(rows[0].features, 0)
    deviation = np.where(deviation > 0.0, deviation, 1.0)
    chosen = Options(seed=seed, iterations=recipe.iterations, patience=options.patience)
    scaled = [r._replace(features=(r.features - mean) / deviation) for r in rows]
    clipped, deviations = np.zeros(0, int), np.zeros(0)
    if recipe.sigma_clip > 0.0:
        brief = chosen._replace(iterations=-(-recipe.iterations // 4))
        aside = checkpoints.with_name(f"{checkpoints.name}-first")
        first, _ = fit(scaled, _as_is, sizes, brief, checkpoints=aside, quiet=quiet, title=f"{title}, first pass")
        found = _deviations(forward(first, scaled[0].features.T), scaled[0])
        scaled[0] = scaled[0]._replace(weight=np.where(found > recipe.sigma_clip, 0.0, scaled[0].weight))
        clipped = np.flatnonzero(np.any(found > recipe.sigma_clip, axis=1))
        deviations = np.max(found, axis=1)[clipped]
    weights, history = fit(scaled, _as_is, sizes, chosen, checkpoints=checkpoints, quiet=quiet, title=title)
    return _fold_in(weights, mean, deviation), history, clipped, deviations


def train_table(table, directory, *, out=None, options=TableOptions(), overwrite=False, quiet=False):
    """Train what the configuration in ``directory`` says on ``table`` (network space) and write the model ``out``.

    ``out`` is by default ``model.safetensors`` in ``directory``; beside it appear ``.loss.csv``, with matplotlib
    ``.loss.png``, and ``.clipped.csv`` if rows were left out by sigma-clipping. While it runs, ``<out>.checkpoints``
    holds the state: the same command resumes from it. Train, validation and test rows are disjoint and fixed by
    ``options.seed``. Needs float64. Returns the path. Raises ConfigError, TableError and TrainingError.
    """
    if not jax.config.jax_enable_x64:
        raise RuntimeError('training needs float64: jax.config.update("jax_enable_x64", True)')
    config = configuration.read(directory)
    if not config.is_locked:
        raise configuration.ConfigError(
            f"{configuration.path_of(directory)}: is not locked; run `synchrojax lock TABLE DIR` first"
        )
    out = pathlib.Path(out) if out else configuration.path_of(directory).parent / MODEL_FILE
    if out.suffix != ".safetensors":
        raise TrainingError(f"{out}: a model file ends in .safetensors")
    if out.exists() and not overwrite:
        raise TrainingError(f"{out} exists; choose another name or pass --overwrite")
    names = [m.name for m in config.mappings]
    _require_network_space(table, config, directory)
    columns = table_files.read_columns(table, names, max_rows=options.max_rows, seed=options.seed, quiet=quiet)
    n = len(columns["s"])
    batches = [r.recipe.batch_size for r in config.results if r.recipe.method == "adam"]
    needed = max(100, int(max(batches, default=0) / (1.0 - options.validation - options.test)))
    if n < needed:
        raise table_files.TableError(
            f"{table}: {n} rows are too few: at least {needed} for training, validation and test"
        )
    sine = np.sin(network_space.fold(columns["theta"])[0])
    name = out.stem if out.name != MODEL_FILE else out.resolve().parent.name
    family = TableFamily(name, config, np.min(sine[sine > 0.0], initial=1.0))
    settings = json.dumps([configuration.dump(config), list(options), n, float(np.sum(np.log(np.abs(columns["j_I"]))))])
    work = training.workplace(out, settings)

    part = parts_of(n, options)
    weights, histories, clipped = {}, {}, []
    # inputs that their mapping cannot take teach nothing
    known = np.all([m.valid(columns[m.name]) for m in config.params], axis=0)
    for head in family.members:
        features = np.stack(family.features(head, columns, np), -1)
        target, weight = family.targets(head, columns)
        rows, numbers = [], np.flatnonzero(known & (part == 0))
        for k in range(2):
            use = known & (part == k)
            empty = np.zeros((np.count_nonzero(use), 1))
            rows.append(Rows(features[use], empty, target[use], weight[use]))
        counts = np.min([np.count_nonzero(r.weight, axis=0) for r in rows], axis=0)
        for result, count in zip(family.members[head], counts, strict=True):
            if count == 0:
                m = result.mapping
                raise table_files.TableError(
                    f"{table}: no values of {m.name} that its maptype {m.maptype!r} can take ({m.domain})"
                )
        fitted = []
        for member in range(options.members):
            tag = f" {member + 1}/{options.members}" * (options.members > 1)
            seed = options.seed + member
            found, history, bad, deviations = _fit_head(
                family,
                head,
                rows,
                options,
                seed,
                checkpoints=work / f"{head}-{member}",
                quiet=quiet,
                title=f"train {head}{tag}",
            )
            fitted.append(found)
            histories[f"{head}{tag}"] = history
            clipped += [(head, member, numbers[i], d) for i, d in zip(bad, deviations, strict=True)]
        weights[head] = jax.tree.map(lambda *w: jnp.stack(w), *fitted) if options.members > 1 else fitted[0]
    networks = Model(weights, family, "configured", "{}").networks
    squares = {"training": part == 0, "test": part == 2}
    for name, use in squares.items():
        found = family.mean_squares(networks, {k: v[use & known] for k, v in columns.items()})
        squares[name] = {k: float(f"{v:.4g}") for k, v in found.items()}
    report = {
        "held_out": f"test rows of the training table, {options.test:.0%} of {n}, seed {options.seed}",
        "training": {
            "rows": n,
            "seconds": round(sum(h[-1, 2] for h in histories.values())),
            "seed": options.seed,
            "members": options.members,
            "recipes": {r.mapping.name: r.trainer for r in config.results},
            "clipped": len(clipped),
        },
        "network_space_mse": squares,
    }
    if clipped:
        _save_clipped(out.with_suffix(".clipped.csv"), columns, config, clipped)
    write_model(out, family, weights, report)
    _save_history(out, histories)
    shutil.rmtree(work)
    return out


def _save_clipped(path, columns, config, clipped):
    names = [m.name for m in config.mappings]
    lines = [",".join(["network", "member", "deviations", *names])]
    for head, member, row, deviations in clipped:
        values = [f"{columns[n][row]:.10g}" for n in names]
        lines.append(",".join([head, str(member), f"{deviations:.1f}", *values]))
    write_text(path, "\n".join(lines) + "\n")


def held_out(options):
    """numbers of rows -> mask of those that a training with ``options`` left out for testing."""
    return lambda n: parts_of(n, options) == 2
