"""Where fits begin: many points that fill the box, then more around the most likely of them.

Distances are softened, first much and then little, so that a point near a narrow valley, as
Faraday rotation digs many, is seen before one that is far from all. Where ``psi`` turns Q + iU and
nothing else, its best value is found in closed form.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.stats import qmc

from synchrojax.core import Arrays
from synchrojax.spectra._likelihood import Channels, Problem, light_of
from synchrojax.spectra._results import around
from synchrojax.spectra._space import Place, Space, rows_at

_BLOCK = 2**8  # points of the box that are looked at in one go
_LARGEST = 2**21  # values of I that are held to begin with
_SHARED, _OWN = 16, 2  # such blocks to begin with, where all problems share them and else
_SOFT = (0.2, 0.07, 0.025)  # share of I that a point may miss beside the errors
_STEPS = (0.06, 0.02)  # in the unit cube, between the looks
_PARENTS = 32
_APART = 0.02  # between starts, in the unit cube


@functools.lru_cache(maxsize=32)
def _spectra(space: Space) -> Callable:
    """Spectra at a block of points of the cube, each with a place of its own, compiled."""

    def one(
        u: Float[Arrays, " labels"], place: Place, nu: Float[Arrays, " nu"]
    ) -> Float[Array, "4 nu"]:
        return jnp.stack(light_of(space, u, place, nu))

    return jax.jit(jax.vmap(one))


def in_blocks(function: Callable, rows: Any, dtype: np.dtype) -> np.ndarray:
    """A compiled function of many rows of arrays, block by block, so that one size is compiled."""
    count = len(jax.tree.leaves(rows)[0])
    found = []
    for begin in range(0, count, _BLOCK):
        at = np.resize(np.arange(begin, min(begin + _BLOCK, count)), _BLOCK)
        given = jax.tree.map(lambda v, at=at: lowered(v[at], dtype), rows)
        found.append(np.asarray(function(*given))[: min(_BLOCK, count - begin)])
    return np.concatenate(found)


def lowered(array: Any, dtype: np.dtype) -> np.ndarray:
    """In the dtype of the fit, unless it is a mask."""
    array = np.asarray(array)
    return array if array.dtype == bool else array.astype(dtype)


def spectra_at(
    space: Space, u: Float[np.ndarray, "n labels"], problems: Problem, which: Any, dtype: np.dtype
) -> Float[np.ndarray, "n 4 nu"]:
    """Stokes I, Q, U, V at points of the cube, of the problem ``which`` of each."""
    which = np.broadcast_to(which, len(u))
    rows = u, *rows_at((problems.place, problems.channels.nu), which)
    return in_blocks(_spectra(space), rows, dtype)


class _Ranking:
    """How far spectra are from an observed one: by the ratio of I, and by polarized shares."""

    def __init__(self, channels: Channels) -> None:
        self.values = np.asarray(channels.values)
        self.used = np.asarray(channels.weights) > 0.0
        self.upper = np.asarray(channels.upper)
        with np.errstate(divide="ignore"):
            self.errors = np.where(self.used, 1.0 / np.asarray(channels.weights), 0.0)
        if np.any(self.used[0]):
            size = np.where(self.used[0], np.abs(self.values[0]), np.nan)
            self.size = np.where(np.isnan(size), np.nanmedian(size), size)
        else:
            self.size = np.sqrt(np.sum(self.values[1:] ** 2, axis=0))
        self.floor = np.where(self.used[0], 2.0 * self.errors[0], self.size) + 1e-300

    def turned(self, light: Float[np.ndarray, "n 4 nu"]) -> Float[np.ndarray, " n"]:
        """The angle by which each spectrum has to turn to be like the observed one."""
        with np.errstate(divide="ignore"):
            weights = np.where(self.used[1:3], 1.0 / (self.errors[1:3] ** 2), 0.0).mean(axis=0)
        observed = np.where(self.used[1], self.values[1], 0.0) + 1j * np.where(
            self.used[2], self.values[2], 0.0
        )
        weights = weights / (np.max(weights) + 1e-300)
        # not a product of matrices: its threads would be in the way of ours
        there = np.einsum("nf,f->n", light[:, 1] - 1j * light[:, 2], weights * observed)
        return 0.5 * np.angle(there)

    def __call__(self, light: Float[np.ndarray, "n 4 nu"], soft: float) -> np.ndarray:
        grown = np.arcsinh(light[:, 0] / self.floor) - np.arcsinh(self.values[0] / self.floor)
        share = self.errors[0] / np.hypot(self.values[0], self.floor)
        apart = grown / (np.hypot(soft, share) + 1e-300)
        apart = np.where(self.upper, np.maximum(apart, 0.0), apart)
        total = np.sum(np.where(self.used[0], apart, 0.0) ** 2, axis=-1)
        loose = soft**2 * (self.size**2 + light[:, 0] ** 2)
        squares = (light[:, 1:] - self.values[1:]) ** 2
        squares = squares / (self.errors[1:] ** 2 + loose[:, None] + 1e-300)
        total = total + np.sum(np.where(self.used[1:], squares, 0.0), axis=(-2, -1))
        return np.where(np.isnan(total), np.inf, total)


def _apart(
    u: Float[np.ndarray, "n labels"],
    count: int,
    periods: Float[np.ndarray, " labels"],
    least: float,
) -> list[int]:
    """The first points that keep apart, then the first of the rest."""
    chosen: list[int] = []
    left = np.ones(len(u), bool)
    for at in range(len(u)):
        if len(chosen) == count:
            break
        if left[at]:
            chosen.append(at)
            left &= np.max(np.abs(around(u - u[at][None], periods)), axis=-1) > least
    rest = [at for at in range(len(u)) if at not in chosen]
    return (chosen + rest)[:count]


def starts_of(
    space: Space, problems: Problem, count: int, seed: int, dtype: np.dtype, effort: int
) -> Float[np.ndarray, "problems count labels"]:
    """Points of the cube from which to begin, for every problem; ``effort`` times the points."""
    channels, place = problems
    number, labels = place.low.shape
    shared = all(np.all(v == v[:1]) for v in (channels.nu, *place[:2], *place.fixed.values()))
    fits_in = 2 ** int(np.log2(max(_LARGEST // (_BLOCK * channels.nu.shape[-1]), 1)))
    blocks = max(min(_SHARED, fits_in) if shared or number == 1 else _OWN, effort)
    first = qmc.Sobol(labels, seed=seed).random(_BLOCK * blocks)
    normal = qmc.MultivariateNormalQMC(np.zeros(labels), seed=seed).random(_BLOCK * effort)

    def light_at(u: Float[np.ndarray, "n labels"], k: int) -> Float[np.ndarray, "n 4 nu"]:
        return spectra_at(space, u, problems, k, dtype)

    found, light = np.empty((number, count, labels)), None
    for k in range(number):
        if light is None or not shared:
            light = light_at(first, k)
        rank = _Ranking(rows_at(channels, k))
        found[k] = _search(space, rank, first, light, normal, lambda u, k=k: light_at(u, k), count)
    return found


def _search(
    space: Space,
    rank: _Ranking,
    u: Float[np.ndarray, "n labels"],
    light: Float[np.ndarray, "n 4 nu"],
    normal: Float[np.ndarray, "m labels"],
    light_at: Callable,
    count: int,
) -> Float[np.ndarray, "count labels"]:
    most = 4 * max(_PARENTS, count)
    for soft, step in zip(_SOFT[:-1], _STEPS, strict=True):
        u, light = _nearest(space, rank, u, light, soft, most)
        parents = u[_apart(u, _PARENTS, space.periods, 0.5 * step)]
        fresh = np.resize(parents, normal.shape) + step * normal
        fresh = np.where(space.round, np.mod(fresh, 1.0), np.clip(fresh, 0.0, 1.0))
        u, light = np.concatenate([u, fresh]), np.concatenate([light, light_at(fresh)])
    u, _ = _nearest(space, rank, u, light, _SOFT[-1], most)
    return u[_apart(u, count, space.periods, _APART)]


def _nearest(
    space: Space,
    rank: _Ranking,
    u: Float[np.ndarray, "n labels"],
    light: Float[np.ndarray, "n 4 nu"],
    soft: float,
    most: int,
) -> tuple[Float[np.ndarray, "most labels"], Float[np.ndarray, "most 4 nu"]]:
    """The points, with their best ``psi``, and the light that are nearest, the first ahead."""
    u, light = _psi_found(space, rank, u, light)
    order = np.argsort(rank(light, soft), kind="stable")[:most]
    return u[order], light[order]


def _psi_found(
    space: Space,
    rank: _Ranking,
    u: Float[np.ndarray, "n labels"],
    light: Float[np.ndarray, "n 4 nu"],
) -> tuple[Float[np.ndarray, "n labels"], Float[np.ndarray, "n 4 nu"]]:
    """The points and their light, each with its best ``psi`` where that turns the source."""
    if not (space.source.turns and np.any(space.round) and np.any(rank.used[1:3])):
        return u, light
    angle, k = rank.turned(light), space.round.index(True)
    u, light = u.copy(), light.copy()
    u[:, k] = np.mod(u[:, k] + angle / np.pi, 1.0)
    turned = (light[:, 1] + 1j * light[:, 2]) * np.exp(2j * angle)[:, None]
    light[:, 1], light[:, 2] = turned.real, turned.imag
    return u, light


def nearest_psi(
    space: Space,
    channels: Channels,
    u: Float[np.ndarray, "n labels"],
    light: Float[np.ndarray, "n 4 nu"],
    soft: float,
) -> tuple[Float[np.ndarray, "n labels"], Float[np.ndarray, " n"]]:
    """(points with their best ``psi``, how far their spectra are from the observed one)."""
    rank = _Ranking(channels)
    u, light = _psi_found(space, rank, u, light)
    return u, rank(light, soft)
