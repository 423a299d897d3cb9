"""Train the networks of a distribution on a table of exact coefficients.

Two stages per network: Adam with a decaying rate finds the basin, Levenberg-Marquardt (the damped
Gauss-Newton method; Marquardt 1963, J. SIAM 11, 431) goes to the bottom. The networks are small, so
the full Gauss-Newton matrix is affordable.
"""

import contextlib
import functools
import json
import logging
import pathlib
import shutil
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree

from synchrojax.core import loss_curve, progress, save_figure, write_text
from synchrojax.families import get_family
from synchrojax.model import packaged, read_model, write_model
from synchrojax.networks import forward, initial_weights
from synchrojax.tables import table_files

_BLOCK = 1024  # rows per block of the Gauss-Newton sums
_SAVE_EVERY = 20.0  # [s] between checkpoints


class Options(NamedTuple):
    """What a training depends on, beside the table."""

    widths: tuple[int, ...] | None = None  # the family's own
    seed: int = 0
    adam_steps: int = 100  # more saturate units that the second stage cannot free
    adam_batch: int = 1024
    adam_rate: float = 3e-3
    iterations: int = 170  # of Levenberg-Marquardt, the last 15 % of them on `final_rows`
    rows: int = 16384  # drawn afresh for each of the others; up to four times as many where outputs are few
    final_rows: int = 262144  # at most so many in the last iterations
    patience: int = 40  # iterations without a better validation loss before stopping
    validation: float = 0.1
    test: float = 0.1


class TrainingError(ValueError):
    """A training that cannot start; the message says why."""


class Rows(NamedTuple):
    """Network input, what ``combine`` takes beside the output, target and weight to relative error, row by row."""

    features: jax.Array
    extra: jax.Array
    target: jax.Array
    weight: jax.Array


def split(n, options):
    """Disjoint row numbers (train, validation, test), fixed by the seed."""
    order = np.random.default_rng(options.seed).permutation(n)
    validation, test = int(options.validation * n), int(options.test * n)
    return order[validation + test :], order[:validation], order[validation : validation + test]


def parts_of(n, options):
    """Per row 0, 1 or 2: training, validation or test."""
    part = np.zeros(n, int)
    for k, index in enumerate(split(n, options)):
        part[index] = k
    return part


def _residuals(weights, rows, combine):
    return (combine(forward(weights, rows.features.T), rows.extra.T).T - rows.target) * rows.weight


def _blocks(rows):
    """[block, row, ...] with zero-weight rows to fill the last block."""
    n = len(rows.features)
    fill = -n % _BLOCK
    index = np.concatenate([np.arange(n), np.zeros(fill, int)])
    weight = np.concatenate([rows.weight, np.zeros((fill, rows.weight.shape[1]))])
    rows = rows._replace(
        features=rows.features[index], extra=rows.extra[index], target=rows.target[index], weight=weight
    )
    return Rows(*(jnp.asarray(a).reshape(-1, _BLOCK, a.shape[-1]) for a in rows))


class _Problem:
    """Compiled pieces of one least-squares problem in the flattened weights."""

    def __init__(self, weights, combine):
        flat, self.unravel = ravel_pytree(weights)
        size = flat.size

        def residuals(flat, rows):
            return _residuals(self.unravel(flat), rows, combine)

        def mean_square(flat, blocks):
            def step(total, rows):
                return total + jnp.sum(residuals(flat, rows) ** 2), None

            return jax.lax.scan(step, 0.0, blocks)[0]

        def normal_equations(flat, blocks):
            def step(state, rows):
                matrix, gradient, total = state
                r = residuals(flat, rows).reshape(-1)
                jacobian = jax.vmap(jax.jacrev(residuals), (None, 0))(flat, rows).reshape(-1, size)
                # the gradient decides where the bottom is, the matrix only how to get there: half the digits will do
                half = jacobian.astype(jnp.float32)
                return (matrix + (half.T @ half).astype(r.dtype), gradient + jacobian.T @ r, total + r @ r), None

            start = jnp.zeros((size, size)), jnp.zeros(size), 0.0
            return jax.lax.scan(step, start, blocks)[0]

        def solve(matrix, gradient, damping):
            diagonal = jnp.diag(matrix)
            damped = matrix + jnp.diag(damping * (diagonal + 1e-9 * jnp.max(diagonal)))
            return jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(damped), gradient)

        self.sum_of_squares = jax.jit(mean_square)
        self.normal_equations = jax.jit(normal_equations)
        self.solve = jax.jit(solve)
        self.residuals = residuals


def _adam(problem, flat, rows, options):
    """Warm start: Adam on random batches, the rate decaying to zero along a cosine."""
    optimiser = optax.adam(optax.cosine_decay_schedule(options.adam_rate, options.adam_steps))
    data = Rows(*(jnp.asarray(a) for a in rows))

    def step(state, key):
        flat, moments = state
        index = jax.random.randint(key, (options.adam_batch,), 0, len(data.features))
        batch = Rows(*(a[index] for a in data))
        gradient = jax.grad(lambda f: jnp.mean(problem.residuals(f, batch) ** 2))(flat)
        update, moments = optimiser.update(gradient, moments)
        return (optax.apply_updates(flat, update), moments), None

    keys = jax.random.split(jax.random.key(options.seed), options.adam_steps)
    return jax.jit(lambda f: jax.lax.scan(step, (f, optimiser.init(f)), keys)[0][0])(flat)


def _improve(problem, state, train):
    """One Levenberg-Marquardt iteration: the damping follows success and failure."""
    flat, damping = jnp.asarray(state["flat"]), float(state["damping"])
    matrix, gradient, total = problem.normal_equations(flat, train)
    for _ in range(10):
        trial = flat - problem.solve(matrix, gradient, damping)
        value = problem.sum_of_squares(trial, train)
        if bool(jnp.isfinite(value)) and value < total:
            return {**state, "flat": np.asarray(trial), "damping": np.array(max(damping / 3.0, 1e-12))}, float(value)
        damping *= 4.0
    return {**state, "damping": np.array(damping)}, float(total)


class _Checkpoints:
    """The state of one head on disk, so that a killed run goes on where it was."""

    def __init__(self, directory):
        from orbax.checkpoint import v1 as ocp

        logging.getLogger("absl").setLevel(logging.ERROR)
        keep = ocp.training.preservation_policies.LatestN(2)
        self._store = ocp.training.Checkpointer(pathlib.Path(directory).absolute(), preservation_policy=keep)

    def load(self, like):
        """The latest state, or None; ``like`` gives names, shapes and dtypes."""
        return None if self._store.latest is None else self._store.load(None, like)

    def save(self, step, state):
        self._store.save(step, state)

    def close(self):
        self._store.close()


def _state(flat, options):
    return {
        "flat": np.asarray(flat),
        "best": np.asarray(flat),
        "best_loss": np.array(np.inf),
        "damping": np.array(1e-3),
        "iteration": np.array(0),
        "best_iteration": np.array(0),
        "history": np.full((options.iterations + 1, 3), np.nan),
    }


def fit(rows, combine, sizes, options, *, checkpoints=None, quiet=False, title="train"):
    """Fit one network. ``rows`` = (train, validation). Returns (weights, history).

    history: [iteration, (training rms, validation rms, seconds)].
    """
    train, validation = rows
    problem = _Problem(initial_weights(sizes, options.seed), combine)
    flat = ravel_pytree(initial_weights(sizes, options.seed))[0]
    blocks, check = _blocks(train), _blocks(validation)
    check_count = validation.target.size
    state = _state(flat, options)
    store = _Checkpoints(checkpoints) if checkpoints else None
    found = store.load(state) if store else None
    begin = time.perf_counter()
    if found is None:
        flat = _adam(problem, flat, train, options)
        loss = float(np.sqrt(problem.sum_of_squares(flat, check) / check_count))
        state |= {"flat": np.asarray(flat), "best": np.asarray(flat), "best_loss": np.array(loss)}
        first = np.sqrt(problem.sum_of_squares(flat, blocks) / train.target.size)
        state["history"][0] = first, loss, time.perf_counter() - begin
    else:
        state = {k: np.array(v) for k, v in found.items()}
    offset, begin = np.nanmax(state["history"][:, 2]), time.perf_counter()
    saved = begin
    try:
        with progress(title, options.iterations, "iterations", quiet=quiet) as advance:
            advance(int(state["iteration"]), f"loss {state['best_loss']:.2e}", counted=False)
            while not _finished(state, options):
                step = int(state["iteration"]) + 1
                chosen = _draw(blocks, step, options)
                count = float(jnp.sum(chosen.weight[..., 0] > 0.0)) * train.target.shape[1]
                state, total = _improve(problem, state, chosen)
                loss = float(np.sqrt(problem.sum_of_squares(state["flat"], check) / check_count))
                state["iteration"] = np.array(step)
                state["history"][step] = np.sqrt(total / count), loss, offset + time.perf_counter() - begin
                if loss < 0.998 * state["best_loss"]:
                    state["best_iteration"] = np.array(step)
                if loss < state["best_loss"]:
                    state |= {"best": state["flat"], "best_loss": np.array(loss)}
                advance(1, f"loss {loss:.2e}")
                if store and (time.perf_counter() - saved > _SAVE_EVERY or _finished(state, options)):
                    store.save(step, state)
                    saved = time.perf_counter()
    finally:
        if store:
            store.close()
    history = state["history"][~np.isnan(state["history"][:, 0])]
    return problem.unravel(jnp.asarray(state["best"])), history


def _draw(blocks, step, options):
    """The blocks of one iteration, the same again after a restart."""
    more = max(4 // blocks.target.shape[-1], 1)
    rows = options.final_rows if step > 0.85 * options.iterations else more * options.rows
    count, total = max(rows // _BLOCK, 1), len(blocks.features)
    if count >= total:
        return blocks
    index = np.random.default_rng((options.seed, step)).choice(total, count, replace=False)
    return Rows(*(a[index] for a in blocks))


def _finished(state, options):
    stalled = state["iteration"] - state["best_iteration"] >= options.patience
    return bool(state["iteration"] >= options.iterations or stalled or state["damping"] > 1e8)


def _save_history(path, histories):
    lines = ["head,iteration,train_rms,validation_rms,seconds"]
    for head, history in histories.items():
        lines += [f"{head},{i},{a:.6e},{b:.6e},{t:.1f}" for i, (a, b, t) in enumerate(history)]
    write_text(path.with_suffix(".loss.csv"), "\n".join(lines) + "\n")
    with contextlib.suppress(RuntimeError):  # without matplotlib the numbers have to do
        save_figure(loss_curve(histories, path.stem), path.with_suffix(".loss.png"), dpi=150)


def workplace(out, settings):
    """The directory where the state of a training of ``out`` is kept; refuses that of another one."""
    work = out.with_suffix(".checkpoints")
    work.mkdir(parents=True, exist_ok=True)
    record = work / "settings.json"
    if record.exists() and record.read_bytes() != settings.encode():
        raise TrainingError(
            f"{work} belongs to a run with other settings or another table; remove it or choose another --out"
        )
    write_text(record, settings)
    return work


def train(table, out, *, distribution="thermal", options=Options(), overwrite=False, quiet=False):
    """Train all networks of ``distribution``, a name or a ``Family``, on a table directory and write the model ``out``.

    ``out`` is a .safetensors file; beside it appear ``.loss.csv`` and, with matplotlib, ``.loss.png``. While it
    runs, ``<out>.checkpoints`` holds the state: the same command resumes from it. Train, validation
    and test rows are disjoint and fixed by ``options.seed``. Needs float64. Returns the path.
    Raises TableError for a bad table and TrainingError for settings that contradict each other.
    """
    if not jax.config.jax_enable_x64:
        raise RuntimeError('training needs float64: jax.config.update("jax_enable_x64", True)')
    family, out = get_family(distribution), pathlib.Path(out)
    if not out.suffix:
        out = out.with_suffix(".safetensors")
    if out.suffix != ".safetensors":
        raise TrainingError(f"{out}: a model file ends in .safetensors")
    if out.exists() and not overwrite:
        raise TrainingError(f"{out} exists; choose another name or pass --overwrite")
    data = table_files.read_table(table, ("s", "theta", *family.PARAMETERS))
    family = family.locked(data) if hasattr(family, "locked") else family
    n = len(data["s"])
    if n < 100:
        raise table_files.TableError(f"{table}: {n} rows are too few to train on")
    widths = {k: options.widths or getattr(family, "HEAD_WIDTHS", {}).get(k, family.WIDTHS) for k in family.HEADS}
    settings = json.dumps([family.NAME, widths, list(options), n, float(np.sum(data["rho_V"] * data["s"]))])
    work = workplace(out, settings)

    part = parts_of(n, options)
    base = getattr(family, "BASE", None)  # the packaged model that this one adds to
    weights = dict(read_model(packaged(base))[1]) if base else {}
    histories, scores = {}, {}
    for head, (inputs, outputs) in family.HEADS.items():
        if head in weights:
            continue
        networks = {k: functools.partial(forward, layers) for k, layers in weights.items()}
        keep, *columns = family.training_rows(head, data, networks)
        rows = [Rows(*(np.asarray(c)[part[keep] == k] for c in columns)) for k in range(3)]
        if min(len(r.features) for r in rows) == 0:
            raise table_files.TableError(f"{table}: no rows for {head} inside the box {family.DOMAIN}")
        sizes, combine = (inputs, *widths[head], outputs), functools.partial(family.combine, head)
        fitted, histories[head] = fit(
            rows[:2], combine, sizes, options, checkpoints=work / head, quiet=quiet, title=f"train {head}"
        )
        weights[head] = fitted
        error = np.abs(np.asarray(_residuals(fitted, rows[2], combine)))
        scores[head] = {
            "rows": len(error),
            **{k: [float(f"{x:.3g}") for x in f(error)] for k, f in _SCORES.items()},
        }
    seconds = sum(h[-1, 2] for h in histories.values())
    report = {
        "held_out": f"test rows of the training table, {options.test:.0%} of {n}, seed {options.seed}",
        "training": {"rows": n, "seconds": round(float(seconds)), "widths": widths, "seed": options.seed},
        "network_space_error": scores,
    }
    write_model(out, family, weights, report)
    _save_history(out, histories)
    shutil.rmtree(work)
    return out


_SCORES = {
    "median": functools.partial(np.median, axis=0),
    "p99": functools.partial(np.quantile, q=0.99, axis=0),
    "max": functools.partial(np.max, axis=0),
}
