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

_BLOCK = 16  # starts that go on side by side
_ROUND = 4  # steps between two looks at what has ended
_LEAST, _MOST = 1e-7, 1e7  # of the damping
_FIRST = 1e-2
_WALLS = 2  # times that one step may run into
_PATIENCE = 8  # steps before a start that is far behind is given up
_BEHIND = 15.0  # in the cost, half of chi2


class State(NamedTuple):
    """Where each problem is, its cost 1/2 |r|^2, and r and its derivatives there."""

    u: Float[Arrays, "batch labels"]
    damping: Float[Arrays, " batch"]
    cost: Float[Arrays, " batch"]
    r: Float[Arrays, "batch residuals"]
    rows: Float[Arrays, "batch labels residuals"]
    steps: Int[Arrays, " batch"]
    ended: Bool[Arrays, " batch"]
    converged: Bool[Arrays, " batch"]


class Minima(NamedTuple):
    """Where all starts ended: coordinates, |r|^2, r, dr/du, and whether they converged."""

    u: Float[np.ndarray, "starts labels"]
    chi2: Float[np.ndarray, " starts"]
    r: Float[np.ndarray, "starts residuals"]
    rows: Float[np.ndarray, "starts labels residuals"]
    converged: Bool[np.ndarray, " starts"]


def _looked_at(
    residuals: Callable, u: Float[Arrays, " labels"], problem: Any
) -> tuple[Float[Array, ""], Float[Array, " residuals"], Float[Array, "labels residuals"]]:
    def function(u: Float[Arrays, " labels"]) -> Float[Array, " residuals"]:
        return residuals(u, problem)

    r, push = jax.linearize(function, u)
    rows = jax.vmap(push)(jnp.eye(u.shape[0], dtype=u.dtype))
    cost = 0.5 * jnp.sum(r * r)
    finite = jnp.isfinite(cost) & jnp.all(jnp.isfinite(rows))
    return jnp.where(finite, cost, jnp.inf), r, rows


def _step(
    residuals: Callable, periods: Float[Arrays, " labels"], state: State, problem: Any
) -> State:
    """One step of one problem, taken where it does not lead up."""
    u = state.u
    slope, curvature = state.rows @ state.r, state.rows @ state.rows.T
    round_ = jnp.isfinite(periods)
    held = ~round_ & (((u <= 0.0) & (slope > 0.0)) | ((u >= 1.0) & (slope < 0.0)))
    low, high = jnp.where(round_, -jnp.inf, -u), jnp.where(round_, jnp.inf, 1.0 - u)
    taken = _inside(slope, curvature, held, state.damping, low, high)
    promised = -(slope @ taken + 0.5 * taken @ curvature @ taken)
    trial = jnp.where(round_, jnp.mod(u + taken, periods), jnp.clip(u + taken, 0.0, 1.0))
    cost, r, rows = _looked_at(residuals, trial, problem)
    bits = jnp.finfo(u.dtype)
    noise = 4.0 * bits.eps * state.cost + (0.0 if bits.bits > 32 else 1e-4)
    begun = jnp.isfinite(state.cost)
    good = (cost <= state.cost + noise) | ~begun
    share = jnp.where(begun, (state.cost - cost) / jnp.maximum(promised, 1e-30), 0.5)
    eased = state.damping * jnp.where(share > 0.75, 0.1, jnp.where(share > 0.25, 0.5, 2.0))
    damping = jnp.clip(jnp.where(good, eased, state.damping * 5.0), _LEAST, _MOST)
    # what all of the way down would gain, walls or not, by as much as matters to errors
    scale = jnp.maximum(2.0 * state.cost / state.r.shape[0], 1.0)
    tolerance = scale * (1e-8 if bits.bits > 32 else 2e-4)
    whole = _damped(slope, curvature, held, jnp.asarray(_LEAST, u.dtype))
    arrived = begun & (-0.5 * jnp.where(held, 0.0, slope) @ whole < tolerance)
    stuck = begun & ~good & (((promised >= 0.0) & (promised < noise)) | (damping >= _MOST))
    new = State(trial, damping, cost, r, rows, state.steps, arrived, arrived)
    kept = state._replace(damping=damping, ended=arrived | stuck, converged=arrived)
    state = jax.tree.map(lambda a, b: jnp.where(good, a, b), new, kept)
    return state._replace(steps=state.steps + 1)


def _inside(
    slope: Float[Arrays, " labels"],
    curvature: Float[Arrays, "labels labels"],
    held: Bool[Arrays, " labels"],
    damping: Float[Arrays, ""],
    low: Float[Arrays, " labels"],
    high: Float[Arrays, " labels"],
) -> Float[Array, " labels"]:
    """A damped step between walls: what would cross one ends there, and the others follow."""
    taken = _damped(slope, curvature, held, damping)
    walled = held
    for _ in range(_WALLS):
        walled = walled | (taken < low) | (taken > high)
        fixed = jnp.where(walled, jnp.clip(taken, low, high), 0.0)
        rest = _damped(slope + curvature @ fixed, curvature, walled, damping)
        taken = fixed + jnp.where(walled, 0.0, rest)
    return jnp.clip(taken, low, high)


def _damped(
    slope: Float[Arrays, " labels"],
    curvature: Float[Arrays, "labels labels"],
    held: Bool[Arrays, " labels"],
    damping: Float[Arrays, ""],
) -> Float[Array, " labels"]:
    """A step of coordinates that are not held, by Levenberg and Marquardt."""
    sizes = jnp.diagonal(curvature)
    scale = jnp.maximum(sizes, 1e-12 * jnp.max(sizes))
    scale = jnp.where(held | ~(scale > 0.0), 1.0, scale)
    free = jnp.where(held, 0.0, 1.0)
    root = jnp.sqrt(scale)
    matrix = curvature / root[:, None] / root[None] * free[:, None] * free[None]
    matrix = matrix + jnp.diag(damping + 1.0 - free)
    return jnp.linalg.solve(matrix, -(slope * free / root)) / root


@functools.lru_cache(maxsize=64)
def _rounds(residuals: Callable) -> Callable:
    """A few steps of the first blocks of a batch of starts, compiled."""

    def one(state: State, problem: Any, periods: Any) -> State:
        moved = _step(residuals, periods, state, problem)
        return jax.tree.map(lambda a, b: jnp.where(state.ended, a, b), state, moved)

    def several(state: State, problems: Any, periods: Any) -> State:
        each = jax.vmap(one, in_axes=(0, 0, None))
        return jax.lax.fori_loop(0, _ROUND, lambda _, now: each(now, problems, periods), state)

    def steps(state: State, problems: Any, periods: Any, blocks: Any) -> State:
        size = min(_BLOCK, len(state.u))

        def body(block: Any, state: State) -> State:
            def own(v: Any) -> Any:
                return jax.lax.dynamic_slice_in_dim(v, block * size, size)

            def back(v: Any, new: Any) -> Any:
                return jax.lax.dynamic_update_slice_in_dim(v, new, block * size, 0)

            part = several(jax.tree.map(own, state), jax.tree.map(own, problems), periods)
            return jax.tree.map(back, state, part)

        return jax.lax.fori_loop(0, blocks, body, state)

    return jax.jit(steps)


def _begun(u: Float[np.ndarray, "batch labels"], residuals: int) -> State:
    """Before the first look: the first step stays in place, since any cost is lower."""
    count, labels = u.shape
    return State(
        u,
        np.full(count, _FIRST, u.dtype),
        np.full(count, np.inf, u.dtype),
        np.zeros((count, residuals), u.dtype),
        np.zeros((count, labels, residuals), u.dtype),
        np.zeros(count, np.int32),
        np.zeros(count, bool),
        np.zeros(count, bool),
    )


def _hopeless(
    before: Float[Arrays, " batch"], state: State, best: Float[np.ndarray, " batch"]
) -> Bool[Arrays, " batch"]:
    """Starts that are far behind another of the same problem, and gain little."""
    with np.errstate(invalid="ignore"):  # before anything is known both are infinite
        behind, gained = state.cost - best, before - state.cost
    slow = (state.steps >= _PATIENCE) & (gained < 0.3 * behind)
    return (behind > _BEHIND) & (slow | (state.steps >= 3 * _PATIENCE))


def minimize(
    residuals: Callable,
    starts: Float[np.ndarray, "starts labels"],
    problems: Any,
    which: Int[np.ndarray, " starts"],
    *,
    width: int,
    periods: Float[np.ndarray, " labels"],
    batch: int,
    most: int,
) -> Minima:
    """Minimise |residuals(u, problem)|^2 over the unit cube from every start.

    ``problems``: a pytree of arrays whose first axis counts them; ``which``: the problem of each
    start; ``width``: how many residuals each has. ``periods``: of coordinates that go round,
    infinite for the others. ``batch``: how many go on at a time; ``most``: steps of each.
    """
    steps, count = _rounds(residuals), len(starts)
    # one size, whole blocks, for however many starts
    size = -(-batch // _BLOCK) * _BLOCK if batch > _BLOCK else batch
    begin = _begun(starts, width)
    chi2, none = np.full(count, np.inf), np.zeros(count, bool)
    found = Minima(starts.copy(), chi2, np.asarray(begin.r), np.asarray(begin.rows), none)
    best = np.full(int(np.max(which)) + 1, np.inf)  # of those that converged
    place = np.arange(min(size, count))  # of the starts that go on
    begun = len(place)
    state = _begun(starts[:begun], width)
    while len(place):
        repeated, own, before = np.resize(np.arange(len(place)), size), which[place], state.cost
        state = State(*(v[repeated] for v in state))
        theirs = jax.tree.map(lambda v, at=own[repeated]: v[at], problems)
        state = steps(state, theirs, periods, -(-len(place) // min(_BLOCK, size)))
        state = State(*(np.asarray(v)[: len(place)] for v in state))
        arrived = np.asarray(state.converged & np.isfinite(state.cost))
        np.minimum.at(best, own[arrived], np.asarray(state.cost)[arrived])
        done = state.ended | (state.steps >= most) | ~np.isfinite(state.cost)
        done = np.asarray(done | _hopeless(before, state, best[own]))
        at = place[done]
        found.u[at], found.chi2[at], found.converged[at] = (
            v[done] for v in (state.u, 2.0 * state.cost, arrived)
        )
        found.r[at], found.rows[at] = state.r[done], state.rows[done]
        fresh = np.arange(begun, min(count, begun + size - int(np.sum(~done))))
        begun += len(fresh)
        place = np.concatenate([place[~done], fresh])
        pairs = zip(state, _begun(starts[fresh], width), strict=True)
        state = State(*(np.concatenate([a[~done], b]) for a, b in pairs))
    return found
