"""Around a loop: parts of a table, the file that is made and what is kept beside it."""

import contextlib
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from synchrojax.core import (
    PathLike,
    float64_is_on,
    loss_curve,
    make_directory,
    save_figure,
    write_text,
)
from synchrojax.train._loop import State, TrainingError

_RECORD = "settings.json"


def split(
    n: int, options: Any
) -> tuple[Int[np.ndarray, " train"], Int[np.ndarray, " validation"], Int[np.ndarray, " test"]]:
    """Disjoint row numbers (train, validation, test), fixed by the seed."""
    order = np.random.default_rng(options.seed).permutation(n)
    validation, test = int(options.validation * n), int(options.test * n)
    return order[validation + test :], order[:validation], order[validation : validation + test]


def parts_of(n: int, options: Any) -> Int[np.ndarray, " rows"]:
    """Per row 0, 1 or 2: training, validation or test."""
    part = np.zeros(n, int)
    for k, index in enumerate(split(n, options)):
        part[index] = k
    return part


def held_out_rows(n: int, options: Any) -> str:
    """Which rows of ``n`` are kept for testing, in words."""
    return f"test rows of the training table, {options.test:.0%} of {n}, seed {options.seed}"


def history_of(*states: State) -> Float[np.ndarray, "steps 3"]:
    """[step, (training loss, validation loss, seconds)] of loops that follow each other."""
    rows, before = [], 0.0
    for state in states:
        known = state.history[~np.isnan(state.history[:, 0])]
        rows.append(known + np.array([0.0, 0.0, before]))
        before += known[-1, 2] if len(known) else 0.0
    return np.concatenate(rows)


def save_history(path: pathlib.Path, histories: Mapping[str, Float[np.ndarray, "_ 3"]]) -> None:
    """Beside the model ``path``: the losses as .loss.csv and, with matplotlib, .loss.png."""
    lines = ["head,iteration,train_rms,validation_rms,seconds"]
    for head, history in histories.items():
        lines += [f"{head},{i},{a:.6e},{b:.6e},{t:.1f}" for i, (a, b, t) in enumerate(history)]
    write_text(path.with_suffix(".loss.csv"), "\n".join(lines) + "\n")
    with contextlib.suppress(RuntimeError):  # without matplotlib the numbers have to do
        save_figure(loss_curve(histories, path.stem), path.with_suffix(".loss.png"), dpi=150)


def model_path(out: PathLike, *, overwrite: bool) -> pathlib.Path:
    """``out`` as the path of a new model file. Raises TrainingError."""
    given = pathlib.Path(out)
    out = given if given.suffix else given.with_suffix(".safetensors")
    for path in (given, out):
        if path.is_dir():
            raise TrainingError(
                f"{path} is a directory: give the name of a file, such as "
                f"{path / 'model.safetensors'}"
            )
    if out.suffix != ".safetensors":
        raise TrainingError(f"{out}: a model file ends in .safetensors")
    if out.exists() and not overwrite:
        raise TrainingError(
            f"{out} exists; choose another name or pass --overwrite (in Python overwrite=True)"
        )
    return out


def workplace(out: pathlib.Path, settings: str) -> pathlib.Path:
    """The directory for the state of a training of ``out``; refuses that of another one.

    ``occupied`` makes it, once there is something to train.
    """
    work = out.with_suffix(".checkpoints")
    record = work / _RECORD
    if record.exists() and record.read_bytes() != settings.encode():
        raise TrainingError(
            f"{work} belongs to a run with other settings or another table; remove it or choose "
            "another --out (in Python out)"
        )
    return work


def occupied(work: pathlib.Path, settings: str) -> None:
    """Make the directory ``work`` that of a training with ``settings``."""
    why = "a model file stands in a directory; choose another --out (in Python out)"
    make_directory(work, why, TrainingError)
    write_text(work / _RECORD, settings)


def require_x64() -> None:
    """Raise RuntimeError where float64 is off."""
    if not float64_is_on():
        raise RuntimeError('training needs float64: jax.config.update("jax_enable_x64", True)')
