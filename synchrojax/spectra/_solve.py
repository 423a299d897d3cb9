"""From observed spectra to the minima of their chi2: several starts, and more where one doubts."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from synchrojax.core import Arrays
from synchrojax.spectra._likelihood import Problem, Residuals
from synchrojax.spectra._minimize import minimize
from synchrojax.spectra._results import End, combination, distinct, end_of, p_value
from synchrojax.spectra._space import Space, rows_at
from synchrojax.spectra._starts import in_blocks, lowered, nearest_psi, spectra_at, starts_of

_STEPS = 60  # of each start
_AT_A_TIME, _MOST_AT_A_TIME = 2**13, 256  # frequencies, and starts, that go on side by side
_UNLIKELY = 0.05  # p-value below which one doubts
_MORE = 4  # times the starts where one doubts
_EFFORT = 8  # times the points of the box that are looked at, where one still doubts
_LINES, _NEIGHBOURS = 2, 4
_HOPS, _LOWER = 4, 0.5  # times that one looks beside the best end; in chi2, to look again
_FAR = np.concatenate([-np.geomspace(40.0, 3.0, 32), np.geomspace(3.0, 40.0, 32)])
_OUT = 2.0  # standard deviations from the minimum, where chi2 is looked at
_SLOW = 0.4  # of the rise of chi2 there that the errors stand for: less, and they are too small
_NOT_QUITE = 0.6  # less makes one look for other minima
_BOX = 0.25  # the most of it that such a look covers


class Solution(NamedTuple):
    """Distinct minima of one problem, the best first, and where the errors are too small."""

    modes: list[End]
    narrow: tuple[tuple[str, ...], ...]


def solve(
    residuals: Residuals,
    problems: Problem,
    dof: Sequence[int],
    starts: int | Float[np.ndarray, "problems starts labels"],
    seed: int,
    dtype: np.dtype,
) -> list[Solution]:
    """The minima of several problems, from so many starts, or from starts that are given."""
    space, every = residuals.space, np.arange(len(dof))
    ends: list[list[End]] = [[] for _ in dof]

    def go(which: np.ndarray, begun: Float[np.ndarray, "problems starts labels"]) -> None:
        found = _ends(residuals, rows_at(problems, which), begun, dtype)
        for k, more in zip(which, found, strict=True):
            ends[k].extend(more)

    def hop(which: np.ndarray) -> None:
        """Look for minima beside the best ends, and again beside those that are better still."""
        for _ in range(_HOPS):
            best = [_best(ends[k]) for k in which]
            go(which, _around(space, rows_at(problems, which), best, dtype))
            lower = [
                b.chi2 - _best(ends[k]).chi2 > _LOWER for k, b in zip(which, best, strict=True)
            ]
            which = which[lower]
            if not len(which):
                return

    def doubtful() -> np.ndarray:
        pairs = zip(map(_best, ends), dof, strict=True)
        return np.array([not b.converged or p_value(b.chi2, d) < _UNLIKELY for b, d in pairs])

    if isinstance(starts, np.ndarray):
        go(every, starts)
    else:
        places = starts_of(space, problems, _MORE * starts, seed, dtype, 1)
        go(every, places[:, :starts])
        hop(every)
        slow = np.min(_rise(residuals, problems, ends, dtype), axis=-1) < _NOT_QUITE
        more = np.flatnonzero(slow | doubtful())
        if len(more):
            go(more, places[more, starts:])
            hop(more)
        again = np.flatnonzero(doubtful())
        if len(again):
            few = rows_at(problems, again)
            go(again, starts_of(space, few, 2 * starts, seed + 1, dtype, _EFFORT))
            hop(again)
    rise = _rise(residuals, problems, ends, dtype)
    modes = [distinct(found, space.periods) for found in ends]
    return [
        Solution(m, tuple(combination(space, axis) for axis in m[0].axes[slow < _SLOW]))
        for m, slow in zip(modes, rise, strict=True)
    ]


def _best(ends: Sequence[End]) -> End:
    return min(ends, key=lambda end: end.chi2)


def _around(
    space: Space, problems: Problem, best: Sequence[End], dtype: np.dtype
) -> Float[np.ndarray, "problems starts labels"]:
    """Starts some errors away from the best ends, along the directions known least.

    There the next minimum is where Faraday rotation makes half a turn more.
    """
    lines = []
    for end in best:
        widths = np.where(end.widths > _BOX, 0.0, end.widths)
        widest = np.argsort(-widths)[:_LINES]
        steps = (widths[widest, None] * end.axes[widest])[:, None] * _FAR[:, None]
        lines.append((end.u + steps).reshape(-1, len(end.u)))
    u = np.array(lines)
    u = np.where(space.round, np.mod(u, 1.0), np.clip(u, 0.0, 1.0))
    which = np.repeat(np.arange(len(best)), u.shape[1])
    light = spectra_at(space, u.reshape(-1, u.shape[-1]), problems, which, dtype)
    found = []
    for k, there in enumerate(light.reshape(*u.shape[:2], *light.shape[1:])):
        channels = rows_at(problems.channels, k)
        points, rank = nearest_psi(space, channels, u[k], there, 0.0)
        rank = rank.reshape(-1, len(_FAR))
        beside = np.pad(rank, ((0, 0), (1, 1)), constant_values=np.inf)
        lowest = (rank <= beside[:, :-2]) & (rank <= beside[:, 2:])
        order = np.argsort(np.where(lowest, rank, np.inf).ravel(), kind="stable")
        found.append(points[order[:_NEIGHBOURS]])
    return np.array(found)


def _ends(
    residuals: Residuals,
    problems: Problem,
    starts: Float[np.ndarray, "problems starts labels"],
    dtype: np.dtype,
) -> list[list[End]]:
    space = residuals.space
    number, each, labels = starts.shape
    found = minimize(
        residuals,
        starts.reshape(-1, labels).astype(dtype),
        jax.tree.map(lambda v: lowered(v, dtype), problems),
        np.repeat(np.arange(number), each),
        width=residuals.width(problems),
        periods=space.periods.astype(dtype),
        batch=int(np.clip(_AT_A_TIME // problems.channels.nu.shape[-1], 8, _MOST_AT_A_TIME)),
        most=_STEPS,
    )
    ends = [
        end_of(space, rows_at(problems.place, i // each), *row)
        for i, row in enumerate(zip(*found, strict=True))
    ]
    return [ends[i * each : (i + 1) * each] for i in range(number)]


@functools.lru_cache(maxsize=32)
def _chi2(residuals: Residuals) -> Callable:
    def one(light: Float[Arrays, "4 nu"], u: Float[Arrays, " labels"], problem: Problem) -> Any:
        return jnp.sum(residuals.of(list(light), u, problem) ** 2)

    return jax.jit(jax.vmap(one))


def _rise(
    residuals: Residuals, problems: Problem, ends: Sequence[Sequence[End]], dtype: np.dtype
) -> Float[np.ndarray, "problems labels"]:
    """How chi2 rises two errors from the best end, over what they stand for: along each axis."""
    space = residuals.space
    best = [_best(found) for found in ends]
    out = np.array([_OUT * b.axes * np.minimum(b.widths, _BOX)[:, None] for b in best])
    here = np.array([b.u for b in best])[:, None, None]
    u = here + out[:, :, None] * np.array([1.0, -1.0])[:, None]
    outside = np.any(~np.array(space.round) & ((u < 0.0) | (u > 1.0)), axis=-1)
    u = np.where(space.round, np.mod(u, 1.0), np.clip(u, 0.0, 1.0)).reshape(-1, u.shape[-1])
    which = np.repeat(np.arange(len(best)), outside[0].size)
    light = spectra_at(space, u, problems, which, dtype)
    chi2 = in_blocks(_chi2(residuals), (light, u, rows_at(problems, which)), dtype)
    rise = chi2.reshape(outside.shape) - np.array([b.chi2 for b in best])[:, None, None]
    wide = np.array([b.widths > _BOX for b in best])[:, :, None]
    # nothing is known beyond a bound, and of what is not constrained it is said anyway
    known = np.isfinite(rise) & ~outside & ~wide
    return np.min(np.where(known, rise / _OUT**2, 1.0), axis=-1)
