"""Bounded least squares for many problems at once.

Levenberg and Marquardt's method on the unit cube: damped normal equations of the coordinates that
are not held at a bound, steps cut off at the walls, exact Jacobians. All problems of a batch go on
side by side in one compiled program of a fixed size; what has ended makes room for what waits.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from synchrojax.core import Arrays

_ROUND = 4  # steps between two looks at what has ended
_LEAST, _MOST = 1e-9, 1e9  # of the damping
_FIRST = 1e-2


class State(NamedTuple):
    """Where each problem is, and the model of its cost there: 1/2 |r|^2, J^T r and J^T J."""

    u: Float[Arrays, "batch labels"]
    damping: Float[Arrays, " batch"]
    cost: Float[Arrays, " batch"]
    slope: Float[Arrays, "batch labels"]
    curvature: Float[Arrays, "batch labels labels"]
    steps: Int[Arrays, " batch"]
    ended: Bool[Arrays, " batch"]


class Minima(NamedTuple):
    """Ends of all problems: coordinates, |r|^2, and whether they converged."""

    u: Float[np.ndarray, "problems labels"]
    chi2: Float[np.ndarray, " problems"]
    converged: Bool[np.ndarray, " problems"]


def _looked_at(
    residuals: Callable, u: Float[Arrays, " labels"], problem: Any
) -> tuple[Float[Array, ""], Float[Array, " labels"], Float[Array, "labels labels"]]:
    def function(u: Float[Arrays, " labels"]) -> Float[Array, " residuals"]:
        return residuals(u, problem)

    r, push = jax.linearize(function, u)
    rows = jax.vmap(push)(jnp.eye(u.shape[0], dtype=u.dtype))
    cost = 0.5 * jnp.sum(r * r)
    found = cost, rows @ r, rows @ rows.T
    finite = jnp.isfinite(cost) & jnp.all(jnp.isfinite(rows))
    return jax.tree.map(lambda v: jnp.where(finite, v, jnp.inf), found)


def _step(
    residuals: Callable, periods: Float[Arrays, " labels"], state: State, problem: Any
) -> State:
    """One step of one problem, taken where it does not lead up."""
    u, damping, slope, curvature = state.u, state.damping, state.slope, state.curvature
    round_ = jnp.isfinite(periods)
    held = ~round_ & (((u <= 0.0) & (slope > 0.0)) | ((u >= 1.0) & (slope < 0.0)))
    scale = jnp.maximum(jnp.diagonal(curvature), 1e-12 * jnp.max(jnp.diagonal(curvature)))
    scale = jnp.where(held | ~(scale > 0.0), 1.0, scale)
    free = jnp.where(held, 0.0, 1.0)
    root = jnp.sqrt(scale)
    matrix = curvature / root[:, None] / root[None] * free[:, None] * free[None]
    matrix = matrix + jnp.diag(damping + 1.0 - free)
    step = jnp.linalg.solve(matrix, -(slope * free / root)) / root
    trial = jnp.where(round_, jnp.mod(u + step, periods), jnp.clip(u + step, 0.0, 1.0))
    taken = jnp.where(round_, step, trial - u)
    promised = -(slope @ taken + 0.5 * taken @ curvature @ taken)
    cost, new_slope, new_curvature = _looked_at(residuals, trial, problem)
    exact = jnp.finfo(u.dtype).bits > 32
    slack = (0.0 if exact else 1e-3) + 4.0 * jnp.finfo(u.dtype).eps * state.cost
    begun = jnp.isfinite(state.cost)
    good = (cost <= state.cost + slack) | ~begun
    share = jnp.where(begun, (state.cost - cost) / jnp.maximum(promised, 1e-30), 0.5)
    eased = damping * jnp.where(share > 0.75, 0.1, jnp.where(share > 0.25, 0.5, 2.0))
    damping = jnp.clip(jnp.where(good, eased, damping * 5.0), _LEAST, _MOST)
    arrived = promised < (1e-7 if exact else 1e-4)
    # a step that was damped promises little anywhere
    ended = (begun & good & arrived & (state.damping < 1e-3)) | (damping >= _MOST)
    new = State(trial, damping, cost, new_slope, new_curvature, state.steps, ended)
    kept = state._replace(damping=damping, ended=ended)
    state = jax.tree.map(lambda a, b: jnp.where(good, a, b), new, kept)
    return state._replace(steps=state.steps + 1)


@functools.lru_cache(maxsize=64)
def _rounds(residuals: Callable) -> Callable:
    """A few steps of a batch of problems, compiled."""

    def one(state: State, problem: Any, periods: Any) -> State:
        moved = _step(residuals, periods, state, problem)
        return jax.tree.map(lambda a, b: jnp.where(state.ended, a, b), state, moved)

    def steps(state: State, problems: Any, which: Any, periods: Any) -> State:
        own = jax.tree.map(lambda v: v[which], problems)

        def body(_: Any, state: State) -> State:
            return jax.vmap(one, in_axes=(0, 0, None))(state, own, periods)

        return jax.lax.fori_loop(0, _ROUND, body, state)

    return jax.jit(steps)


def _begun(u: Float[np.ndarray, "batch labels"]) -> State:
    """Before the first look: the first step stays in place, since any cost is lower."""
    count, labels = u.shape
    return State(
        u,
        np.full(count, _FIRST, u.dtype),
        np.full(count, np.inf, u.dtype),
        np.zeros(u.shape, u.dtype),
        np.tile(np.eye(labels, dtype=u.dtype), (count, 1, 1)),
        np.zeros(count, np.int32),
        np.zeros(count, bool),
    )


def minimize(
    residuals: Callable,
    starts: Float[np.ndarray, "problems labels"],
    problems: Any,
    which: Int[np.ndarray, " problems"],
    *,
    periods: Float[np.ndarray, " labels"],
    batch: int,
    most: int,
    report: Callable[[int], None] = lambda done: None,
) -> Minima:
    """Minimise |residuals(u, problem)|^2 over the unit cube from every start.

    ``problems``: a pytree of arrays whose first axis counts them; ``which``: the problem of each
    start. ``periods``: of coordinates that go round, infinite for the others. ``batch``: how many
    go on at a time; ``most``: steps of each; ``report``: told how many have ended.
    """
    steps, count = _rounds(residuals), len(starts)
    size = min(batch, count)
    found = Minima(starts.copy(), np.full(count, np.inf), np.zeros(count, bool))
    place, begun = np.arange(size), size  # of the problems that go on
    state = _begun(starts[:size])
    while len(place):
        rows = np.resize(np.arange(len(place)), size)
        state = steps(State(*(v[rows] for v in state)), problems, which[place[rows]], periods)
        state = State(*(np.asarray(v)[: len(place)] for v in state))
        done = state.ended | (state.steps >= most) | ~np.isfinite(state.cost)
        at = place[done]
        found.u[at], found.chi2[at] = state.u[done], 2.0 * state.cost[done]
        found.converged[at] = (state.ended & np.isfinite(state.cost))[done]
        fresh = np.arange(begun, min(count, begun + size - np.sum(~done)))
        begun += len(fresh)
        place = np.concatenate([place[~done], fresh])
        pairs = zip(state, _begun(starts[fresh]), strict=True)
        state = State(*(np.concatenate([a[~done], b]) for a, b in pairs))
        report(begun - len(place))
    return found
