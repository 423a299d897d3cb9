"""The one training loop: steps of an optimiser with checkpoints, history, patience and progress."""

import logging
import pathlib
import time
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from synchrojax.core import PathLike, progress

SAVE_EVERY = 20.0  # [s] between checkpoints


class TrainingError(ValueError):
    """A training that cannot start; the message says why."""


class State(NamedTuple):
    """Where a training is.

    ``step``: done so far; ``memory``: the optimiser's; ``history`` [steps + 1, 3]: training loss,
    validation loss and seconds, a row for the start and for each step, NaN where there is none yet.
    """

    step: np.ndarray
    parameters: Any
    memory: Any
    best: Any
    best_loss: np.ndarray
    best_step: np.ndarray
    history: np.ndarray


class Optimiser(Protocol):
    """What makes the steps: an iteration or an epoch each."""

    def start(self, parameters: Any) -> Any:
        """What it has to remember at the start."""

    def update(self, parameters: Any, memory: Any, step: int) -> tuple[Any, Any, float]:
        """(parameters, memory, training loss) after step 1, 2, ...

        The same arguments give the same again.
        """

    def exhausted(self, memory: Any) -> bool:
        """True where further steps would change nothing."""


class Plan(NamedTuple):
    """How long a loop runs.

    ``patience``: steps without a validation loss that is lower than the best by more than the
    fraction 1 - ``better`` of its size. Losses may have either sign.
    """

    steps: int
    patience: int
    better: float = 1.0

    def improves(self, loss: float, best: float) -> bool:
        """True where ``loss`` starts the patience again."""
        return loss < (best - (1.0 - self.better) * abs(best) if np.isfinite(best) else best)


def run(
    optimiser: Optimiser,
    validate: Callable[[Any], float],
    start: Callable[[], tuple[Any, Any, tuple[float, float]]],
    plan: Plan,
    *,
    like: Any,
    checkpoints: PathLike | None = None,
    quiet: bool = False,
    title: str = "train",
    unit: str = "iterations",
    callback: Callable[[State], None] = lambda state: None,
) -> State:
    """Steps of ``optimiser`` until the plan is fulfilled.

    ``State.best`` has the lowest validation loss. ``validate``: parameters -> validation loss.
    ``start()``: (parameters, memory, (training, validation loss)) at the beginning, infinite where
    they shall not count; it is not called where a checkpoint is found. ``like``: parameters of the
    same shapes. ``checkpoints``: directory that holds the state, from which the same call, or one
    with a longer plan, goes on; a run that has made its steps returns at once. ``callback``: called
    with the state after each step.

    Raises TrainingError where ``checkpoints`` holds a run of other networks or of another
    optimiser, and where steps were made but no validation loss was a number.
    """
    store = _Checkpoints(checkpoints) if checkpoints else None
    try:
        state = _first_state(optimiser, start, plan, like, store)
        before = np.nanmax([0.0, *state.history[:, 2]])
        begin = saved = time.perf_counter()

        def finished() -> bool:
            stalled = state.step - state.best_step >= plan.patience
            return bool(state.step >= plan.steps or stalled or optimiser.exhausted(state.memory))

        with progress(title, plan.steps, unit, quiet=quiet) as advance:
            advance(int(state.step), f"loss {state.best_loss:.2e}", counted=False)
            while not finished():
                step = int(state.step) + 1
                parameters, memory, training = optimiser.update(
                    state.parameters, state.memory, step
                )
                loss = float(validate(parameters))
                history = state.history.copy()  # callbacks may keep their states
                history[step] = training, loss, before + time.perf_counter() - begin
                state = state._replace(
                    step=np.array(step), parameters=parameters, memory=memory, history=history
                )
                if plan.improves(loss, float(state.best_loss)):
                    state = state._replace(best_step=np.array(step))
                if loss < state.best_loss:
                    state = state._replace(best=parameters, best_loss=np.array(loss))
                callback(state)
                advance(1, f"loss {loss:.2e}")
                if store and (time.perf_counter() - saved > SAVE_EVERY or finished()):
                    store.save(step, state)
                    saved = time.perf_counter()
    finally:
        if store:
            store.close()
    if state.step > 0 and state.best_loss == np.inf:
        raise TrainingError(
            f"{title}: none of {int(state.step)} validation losses is a finite number: look at the "
            "data for values that are not, or take smaller steps"
        )
    return state


def _first_state(
    optimiser: Optimiser, start: Callable, plan: Plan, like: Any, store: "_Checkpoints | None"
) -> State:
    """The latest state in ``store``, or what ``start`` gives."""
    empty = np.full((plan.steps + 1, 3), np.nan)
    zero, never = np.array(0), np.array(np.inf)
    state = State(zero, like, optimiser.start(like), like, never, zero, empty)
    found = store.load(state) if store else None
    if found is not None:
        more = max(len(empty) - len(found.history), 0)
        return found._replace(history=np.concatenate([found.history, empty[:more]]))
    begin = time.perf_counter()
    parameters, memory, losses = start()
    if np.isfinite(losses[1]):
        state.history[0] = *losses, time.perf_counter() - begin
    return state._replace(
        parameters=parameters, memory=memory, best=parameters, best_loss=np.array(losses[1])
    )


class _Checkpoints:
    """States of one loop on disk, so that a killed run goes on where it was."""

    def __init__(self, directory: PathLike) -> None:
        from orbax.checkpoint import v1 as ocp

        logging.getLogger("absl").setLevel(logging.ERROR)
        keep = ocp.training.preservation_policies.LatestN(2)
        self._directory = pathlib.Path(directory)
        self._store = ocp.training.Checkpointer(
            self._directory.absolute(), preservation_policy=keep
        )

    def load(self, like: State) -> State | None:
        """The latest state, or None; ``like`` gives tree, shapes and dtypes."""
        if self._store.latest is None:
            return None
        # as NumPy: Orbax reads in threads of its own, where float64 may be off
        leaves, tree = jax.tree.flatten(jax.tree.map(np.asarray, like))
        wanted = {str(k): leaf for k, leaf in enumerate(leaves)}
        stored = {k: tuple(v.shape) for k, v in self._store.metadata(None).metadata.items()}
        shapes = {k: leaf.shape for k, leaf in wanted.items()}
        history = str(len(leaves) - 1)  # the last leaf, as long as the plan that it was of
        shapes[history] = stored.get(history)
        if stored != shapes:
            raise TrainingError(
                f"{self._directory} holds a run of other networks or of another optimiser: choose "
                "another directory or remove it"
            )
        found = self._store.load(None, wanted)
        return jax.tree.unflatten(tree, [np.array(found[str(k)]) for k in range(len(leaves))])

    def save(self, step: int, state: State) -> None:
        leaves = map(np.asarray, jax.tree.leaves(state))
        self._store.save(step, {str(k): leaf for k, leaf in enumerate(leaves)})

    def close(self) -> None:
        self._store.close()
