"""What makes the steps of a training: Levenberg-Marquardt, and whatever Optax has."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int

from synchrojax.core import Arrays

_Flat: TypeAlias = Float[Array, " parameters"]
BLOCK = 1024  # rows per block of the Gauss-Newton sums


def blocks_of(rows: Any) -> Any:
    """``Rows`` as [block, row, ...], with zero-weight rows to fill the last block."""
    n = len(rows.features)
    fill = -n % BLOCK
    index = np.concatenate([np.arange(n), np.zeros(fill, int)])
    weight = np.concatenate([rows.weight, np.zeros((fill, rows.weight.shape[1]))])
    rows = type(rows)(*(np.asarray(a)[index] for a in rows))._replace(weight=weight)
    return jax.tree.map(lambda a: jnp.asarray(a).reshape(-1, BLOCK, *a.shape[1:]), rows)


class Damping(NamedTuple):
    """The memory of ``LevenbergMarquardt``."""

    damping: np.ndarray


class LevenbergMarquardt:
    """The damped Gauss-Newton method for the residuals of one network.

    Marquardt 1963 (J. SIAM 11, 431). The networks are small, so that the full Gauss-Newton matrix
    is affordable. ``residuals(module, rows)``: [row, targets], of one row [targets]. ``frame``,
    ``like``: as ``networks.parameters_of`` gives them. ``draw(step)``: the blocks of rows of a step
    (``blocks_of``).
    """

    def __init__(
        self, residuals: Callable, frame: Any, like: Any, draw: Callable[[int], Any]
    ) -> None:
        self._draw = draw
        flat, self._unravel = ravel_pytree(like)
        size = flat.size

        def at(flat: _Flat, rows: Any) -> Float[Array, "*rows targets"]:
            return residuals(frame.module(self._unravel(flat)), rows)

        def sum_of_squares(flat: _Flat, blocks: Any) -> Float[Array, ""]:
            def step(total: Any, rows: Any) -> tuple[Any, None]:
                return total + jnp.sum(at(flat, rows) ** 2), None

            return jax.lax.scan(step, jnp.zeros(()), blocks)[0]

        def normal_equations(flat: _Flat, blocks: Any) -> tuple[Any, _Flat, Any]:
            def step(state: tuple[Any, Any, Any], rows: Any) -> tuple[Any, None]:
                matrix, gradient, total = state
                r = at(flat, rows).reshape(-1)
                jacobian = jax.vmap(jax.jacrev(at), (None, 0))(flat, rows).reshape(-1, size)
                # the gradient decides where the bottom is, the matrix only how to get there: half
                # the digits will do
                half = jacobian.astype(jnp.float32)
                return (
                    matrix + (half.T @ half).astype(r.dtype),
                    gradient + jacobian.T @ r,
                    total + r @ r,
                ), None

            start = jnp.zeros((size, size)), jnp.zeros(size), 0.0
            return jax.lax.scan(step, start, blocks)[0]

        def solve(
            matrix: Float[Array, "size size"], gradient: Float[Array, " size"], damping: Any
        ) -> Float[Array, " size"]:
            diagonal = jnp.diag(matrix)
            damped = matrix + jnp.diag(damping * (diagonal + 1e-9 * jnp.max(diagonal)))
            return jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(damped), gradient)

        self._sum, self._solve = jax.jit(sum_of_squares), jax.jit(solve)
        self._equations = jax.jit(normal_equations)

    def start(self, parameters: Any) -> Damping:
        return Damping(np.array(1e-3))

    def exhausted(self, memory: Damping) -> bool:
        return bool(memory.damping > 1e8)

    def loss(self, parameters: Any, blocks: Any) -> float:
        """Root mean square of the residuals of rows in blocks."""
        return self._root(self._sum(ravel_pytree(parameters)[0], blocks), blocks)

    @staticmethod
    def _root(total: Float[Arrays, ""], blocks: Any) -> float:
        count = float(jnp.sum(blocks.weight[..., 0] > 0.0)) * blocks.target.shape[-1]
        return float(np.sqrt(total / count))

    def update(self, parameters: Any, memory: Damping, step: int) -> tuple[Any, Damping, float]:
        """The damping follows success and failure."""
        blocks = self._draw(step)
        flat, damping = ravel_pytree(parameters)[0], float(memory.damping)
        matrix, gradient, total = self._equations(flat, blocks)
        for _ in range(10):
            trial = flat - self._solve(matrix, gradient, damping)
            value = self._sum(trial, blocks)
            if bool(jnp.isfinite(value)) and value < total:
                memory = Damping(np.array(max(damping / 3.0, 1e-12)))
                return self._unravel(trial), memory, self._root(value, blocks)
            damping *= 4.0
        return parameters, Damping(np.array(damping)), self._root(total, blocks)


class Gradient:
    """Epochs of an Optax transformation on shuffled batches.

    ``transformation``: such as ``optax.adam(rate)``; ``loss(module, batch)``: a number of either
    sign, of batches of the arrays in the pytree ``data`` [row, ...]. ``recorded``: what of the mean
    loss of an epoch is its training loss in ``State.history``, by default all of it. Optimisers of
    one transformation and loss share their compiled programs. ``seed`` and the number of the epoch,
    which starts after ``done``, fix the order of the rows. Raises ValueError for no rows, for
    columns of different lengths and for batches of none.
    """

    def __init__(
        self,
        transformation: optax.GradientTransformation,
        loss: Callable,
        frame: Any,
        data: Any,
        *,
        batch_size: int,
        seed: int,
        done: int = 0,
        recorded: Callable[[float], float] = float,
    ) -> None:
        lengths = sorted({len(a) for a in jax.tree.leaves(data)})
        if len(lengths) != 1 or lengths[0] == 0:
            raise ValueError(
                "data is arrays of one length, a row for each example, got arrays of "
                f"{' and '.join(map(str, lengths)) or 'no'} rows"
            )
        if batch_size < 1:
            raise ValueError(f"batch_size is a number of rows from 1 up, got {batch_size}")
        self._recorded = recorded
        self._fixed = {"transformation": transformation, "loss": loss, "batch_size": batch_size}
        self._frame, self._data, self._seed, self._done = frame, data, seed, done

    def start(self, parameters: Any) -> Any:
        return self._fixed["transformation"].init(parameters)

    def exhausted(self, memory: Any) -> bool:
        return False

    def update(self, parameters: Any, memory: Any, step: int) -> tuple[Any, Any, float]:
        key = jax.random.key(self._seed + 1000003 * (self._done + step))
        parameters, memory, loss = _epoch(
            parameters, memory, self._frame, self._data, key, **self._fixed
        )
        return parameters, memory, self._recorded(float(loss))


@functools.partial(jax.jit, static_argnames=("transformation", "loss", "batch_size"))
def _epoch(
    parameters: Any,
    memory: Any,
    frame: Any,
    data: Any,
    key: Any,
    *,
    transformation: optax.GradientTransformation,
    loss: Callable,
    batch_size: int,
) -> tuple[Any, Any, Float[Arrays, ""]]:
    """(parameters, memory, mean loss) after all rows in random order."""
    n = len(jax.tree.leaves(data)[0])
    batch = min(batch_size, n)
    order = jax.random.permutation(key, n)[: n // batch * batch].reshape(-1, batch)
    (parameters, memory), losses = _descended(
        (parameters, memory), frame, data, order, transformation, loss
    )
    return parameters, memory, jnp.mean(losses)


def _descended(
    start: tuple[Any, Any],
    frame: Any,
    data: Any,
    order: Int[Array, "batches rows"],
    transformation: optax.GradientTransformation,
    loss: Callable,
) -> tuple[tuple[Any, Any], Float[Array, " batches"]]:
    """((parameters, memory), losses) after one step for each batch of the rows ``order``."""

    def step(state: tuple[Any, Any], index: Int[Array, " rows"]) -> tuple[tuple[Any, Any], Any]:
        parameters, memory = state
        rows = jax.tree.map(lambda a: a[index], data)
        found, slope = jax.value_and_grad(lambda values: loss(frame.module(values), rows))(
            parameters
        )
        change, memory = transformation.update(slope, memory, parameters)
        return (optax.apply_updates(parameters, change), memory), found

    return jax.lax.scan(step, start, order)


def brief_adam(
    residuals: Callable,
    frame: Any,
    parameters: Any,
    rows: Any,
    *,
    steps: int,
    batch_size: int,
    rate: float,
    seed: int,
) -> Any:
    """Where the loop starts: parameters after so many steps of Adam on random batches.

    The rate decays to zero along a cosine.
    """
    optimiser = optax.adam(optax.cosine_decay_schedule(rate, steps))
    data = jax.tree.map(jnp.asarray, rows)
    keys = jax.random.split(jax.random.key(seed), steps)
    size = len(data.features)
    order = jax.vmap(lambda key: jax.random.randint(key, (batch_size,), 0, size))(keys)

    def mean_square(module: Any, batch: Any) -> Float[Array, ""]:
        return jnp.mean(residuals(module, batch) ** 2)

    @jax.jit
    def warm(parameters: Any, order: Int[Array, "batches rows"]) -> Any:
        start = parameters, optimiser.init(parameters)
        return _descended(start, frame, data, order, optimiser, mean_square)[0][0]

    return warm(parameters, order)


@functools.partial(jax.jit, static_argnames=("loss",))
def loss_of(parameters: Any, frame: Any, data: Any, *, loss: Callable) -> Float[Array, ""]:
    """``loss(module, data)``."""
    return loss(frame.module(parameters), data)


@functools.lru_cache(maxsize=16)
def adam(rate: float | int) -> optax.GradientTransformation:
    """One object per rate, so that compiled programs are found again."""
    return optax.adam(rate)
