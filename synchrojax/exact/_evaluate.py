"""All eight coefficients at unit frequency and density, on all cores or inside a program."""

import concurrent.futures
import functools
import os
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Real

from synchrojax.core import (
    ABSORPTION,
    EMISSION,
    Arrays,
    Reals,
    Truths,
    own_settings,
    quick_jit,
)
from synchrojax.distributions import Distribution, Monoenergetic
from synchrojax.exact._absorption import (
    absorption_jumps,
    continuous_sums,
    harmonic_sums,
    summed_share,
    without_end,
)
from synchrojax.exact._one_energy import one_energy
from synchrojax.exact._phase_space import Resolution, integrand_of, per_piece
from synchrojax.exact._rotativities import rotativity_sums

SMALL_S = 5.0  # Bessel orders below this need the series
FEW = 64  # points up to which compilation costs more than what it saves; also the size of a block
_MANY = 4096  # points whose modes are found at once
_RULE = "quadrature rule"  # no name that a parameter could have


class Ruled:
    """A distribution with a parameter more: which rule of ``panel_between`` its integrals take."""

    def __init__(self, distribution: Distribution) -> None:
        self.distribution, self.parameters = distribution, (*distribution.parameters, _RULE)

    def of_row(self, row: Float[Arrays, " columns"]) -> dict[str, Any]:
        return self.distribution.of_row(row[:-1]) | {_RULE: row[-1]}

    def without_rule(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        return {n: parameters[n] for n in self.distribution.parameters}

    def harmonics_matter(self, s: Reals, sine: Reals, **parameters: Reals) -> Truths:
        return self.distribution.harmonics_matter(s, sine, **self.without_rule(parameters))


def _point_at_unit_frequency(
    distribution: Any,  # Distribution or Ruled
    parameters: Mapping[str, Float[Array, "..."]],
    s: Float[Array, ""],
    theta: Float[Array, ""],
    mode: int,
    resolution: Resolution,
) -> Float[Array, "8"]:
    """Array of the eight coefficients at nu = 1 Hz and n_e = 1 cm^-3 for one point.

    mode 0: continuous; 1: harmonics, s' >= 5; 2: harmonics, any s'.
    """
    rule = None
    if isinstance(distribution, Ruled):
        rule = parameters[_RULE]
        distribution, parameters = distribution.distribution, distribution.without_rule(parameters)
    here = integrand_of(distribution, parameters, s, theta, rule)
    # places the nodes, so that derivatives act on the integrand and its limits alone
    frozen = integrand_of(distribution, *jax.lax.stop_gradient((parameters, s, theta)), rule)
    # they may be the user's tracers
    frozen = frozen._replace(breaks=jax.lax.stop_gradient(frozen.breaks))
    if here.breaks is not None:
        resolution = per_piece(resolution, len(here.breaks) + 1)
    if isinstance(distribution, Monoenergetic):
        return one_energy(here, frozen, parameters["gamma"], resolution, mode == 2)
    rotation, rotation_top = rotativity_sums(here, frozen, resolution, mode == 2)
    rotation = rotation * jnp.exp(rotation_top)
    if mode == 0:
        sums, top = continuous_sums(here, frozen, resolution, False)
    elif here.breaks is None:
        (endless, above), (frozen_endless, frozen_above) = without_end(here), without_end(frozen)
        sums, top, principal = harmonic_sums(endless, frozen_endless, resolution, mode == 2)
        rotation = rotation + principal[1:] * jnp.exp(top)
        if above is not None:
            excess, excess_top = continuous_sums(above, frozen_above, resolution, mode == 2)
            sums -= excess * jnp.exp(excess_top - top)
    else:
        sums, top, principal = harmonic_sums(here, frozen, resolution, mode == 2)
        rotation = rotation + principal[1:] * jnp.exp(top)
        share = summed_share(frozen.s_perp)
        rest, rest_top = continuous_sums(
            here, frozen, resolution, mode == 2, lambda order: 1.0 - share(order)
        )
        sums += rest * jnp.exp(rest_top - top)
    sums += absorption_jumps(here, frozen, top, resolution.inner, mode == 2)
    norm = distribution.log_norm(**parameters)
    unit, rotation = jnp.exp(top - norm) * s, rotation * (jnp.exp(-norm) * s)
    return jnp.concatenate(
        [EMISSION * unit * sums[:3], -ABSORPTION * unit * sums[3:], -ABSORPTION * rotation]
    )


def mode_of_point(
    distribution: Distribution | Ruled, parameters: Mapping[str, Reals], s: Reals, theta: Reals
) -> Int[Array, "..."]:
    sine = jnp.abs(jnp.sin(theta))
    harmonics = distribution.harmonics_matter(s, sine, **parameters)
    return jnp.where(harmonics, jnp.where(s * sine >= SMALL_S, 1, 2), 0)


@functools.lru_cache(maxsize=64)
def _modes(distribution: Distribution | Ruled) -> Callable:
    """Compiled ``mode_of_point``, [point, input] -> [point]."""

    def modes(x: Float[Array, "points inputs"]) -> Int[Array, " points"]:
        def one(row: Float[Array, " inputs"]) -> Int[Array, ""]:
            return jnp.asarray(
                mode_of_point(distribution, distribution.of_row(row[2:]), row[0], row[1])
            )

        return jax.vmap(one)(x)

    return jax.jit(modes)


def _mode_of(
    distribution: Distribution | Ruled, x: Float[np.ndarray, "points inputs"]
) -> Int[np.ndarray, " points"]:
    """The mode of each of up to ``_MANY`` points: one size to compile."""
    return np.asarray(_modes(distribution)(x[np.resize(np.arange(len(x)), _MANY)]))[: len(x)]


@functools.lru_cache(maxsize=64)
def _block(
    distribution: Distribution | Ruled, mode: int, resolution: Resolution, batch: int
) -> Callable:
    """Compiled evaluation of a block of points.

    (block [point, input], how many of them count) -> [point, 8]. ``batch``: so many at a time, all
    of the block; 0: one after another, as many as count, and compiled quickly.
    """

    def one(x: Float[Array, " inputs"]) -> Float[Array, "8"]:
        return _point_at_unit_frequency(
            distribution,
            distribution.of_row(x[2:]),
            x[0],
            x[1],
            mode,
            resolution,
        )

    def few(block: Float[Array, "points inputs"], count: Any) -> Float[Array, "points 8"]:
        def step(i: Any, out: Float[Array, "points 8"]) -> Float[Array, "points 8"]:
            return out.at[i].set(one(block[i]))

        return jax.lax.fori_loop(0, count, step, jnp.zeros((len(block), 8)))

    def many(block: Float[Array, "points inputs"], count: Any) -> Float[Array, "points 8"]:
        return jax.lax.map(one, block, batch_size=batch)

    return jax.jit(many) if batch else quick_jit(few)


def evaluate(
    distribution: Distribution | Ruled,
    x: Float[np.ndarray, "points inputs"],
    resolution: Resolution,
    mode: Real[np.ndarray, " points"] | None = None,
) -> Float[np.ndarray, "points 8"]:
    """Concrete points in blocks, on all cores, sorted by ``mode``, which is found if not known."""
    if mode is None:
        mode = np.concatenate(
            [_mode_of(distribution, x[k : k + _MANY]) for k in range(0, len(x), _MANY)]
        )
    out = np.zeros((len(x), 8))
    size, batch, cores = FEW, 4, os.cpu_count() or 1
    few = len(x) <= size
    if few:  # less to compile and to wait for, and mode 2 holds for mode 1, too
        batch, mode = 0, np.where(mode > 0, 2, 0)
    jobs = []
    for m in np.unique(mode):
        where = np.flatnonzero(mode == m)
        each = -(-len(where) // cores) if few else size
        jobs += [(k, m, where[k : k + each]) for k in range(0, len(where), each)]
    jobs.sort(key=lambda job: job[:2])  # the modes are compiled side by side
    programs = {m: _block(distribution, int(m), resolution, batch) for _, m, _ in jobs}

    @own_settings  # in a thread of its own
    def run(job: tuple[int, Any, Int[np.ndarray, " rows"]]) -> None:
        _, m, index = job
        block = x[np.resize(index, size)]  # the last block is filled up by repetition
        with jax.enable_x64(True):
            out[index] = np.asarray(programs[m](block, len(index)))[: len(index)]

    if len(jobs) == 1:
        run(jobs[0])
    else:
        with concurrent.futures.ThreadPoolExecutor(cores) as pool:
            list(pool.map(run, jobs))
    return out


def evaluate_traced(
    distribution: Distribution | Ruled, x: Float[Arrays, "points inputs"], resolution: Resolution
) -> Float[Array, "points 8"]:
    """Inside someone else's jit, grad or vmap: one point after another, by a real branch.

    Mode 2 stands in for mode 1: one branch less to compile.
    """

    def one(row: Float[Array, " inputs"]) -> Float[Array, "8"]:
        parameters = distribution.of_row(row[2:])

        def branch(mode: int) -> Callable:
            return lambda: _point_at_unit_frequency(
                distribution, parameters, row[0], row[1], mode, resolution
            )

        return jax.lax.cond(
            mode_of_point(distribution, parameters, row[0], row[1]) > 0, branch(2), branch(0)
        )

    return jax.lax.map(one, x)


@functools.lru_cache(maxsize=64)
def ruled(distribution: Distribution) -> Ruled:
    """One object per distribution, so that compiled code is found again."""
    return Ruled(distribution)
