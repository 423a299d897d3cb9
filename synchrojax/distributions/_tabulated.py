"""Electron spectra on a grid of Lorentz factors."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from synchrojax.core import (
    ANY_UNIT,
    Arrays,
    Reals,
    Shape,
    Truths,
    broadcast_shapes,
    is_traced,
    real,
)
from synchrojax.distributions._base import Distribution
from synchrojax.special import log_power_until

MOST_NODES = 512
_EMPTY, _NOTHING = -1e4, -1e30  # ln of f and of a number where there is nothing
_PANELS = 16  # between both ends, so that no cell is too wide for the rules of the integrals


def checked_spectrum(gamma: Any, n: Any) -> tuple[Float[Arrays, " k"], Float[Arrays, "*shape k"]]:
    """``gamma`` and ``n`` = dN/dgamma as arrays. Raises ValueError that says what was given.

    Of traced values only the shapes are looked at.
    """
    gamma, n = real(gamma, "gamma"), real(n, "N", ANY_UNIT)
    if np.ndim(gamma) != 1 or not 2 <= np.shape(gamma)[0] <= MOST_NODES:
        raise ValueError(
            f"gamma is one row of 2 to {MOST_NODES} Lorentz factors, got shape {np.shape(gamma)}"
        )
    if np.ndim(n) < 1 or np.shape(n)[-1] != np.shape(gamma)[0]:
        raise ValueError(
            f"N has one value for each Lorentz factor along its last axis: got shape "
            f"{np.shape(n)} for {np.shape(gamma)[0]} of them"
        )
    if not is_traced([gamma]):
        known = np.asarray(gamma)
        if not np.all(np.isfinite(known)):
            raise ValueError(
                f"gamma holds {known[~np.isfinite(known)][0]}: expected finite numbers"
            )
        if known[0] < 1.0:
            raise ValueError(f"gamma starts at {known[0]:g}: Lorentz factors are 1 or more")
        falls = np.flatnonzero(np.diff(known) <= 0.0)
        if len(falls):
            i = falls[0]
            raise ValueError(
                f"gamma must increase: {known[i]:.9g} is followed by {known[i + 1]:.9g} (node {i})"
            )
    if not is_traced([n]):
        values = np.asarray(n)
        wrong = ~(np.isfinite(values) & (values >= 0.0))
        if np.any(wrong):
            where = np.argwhere(wrong)[0]
            raise ValueError(
                f"N holds {values[tuple(where)]:g} (at {list(map(int, where))}): expected finite "
                "numbers >= 0"
            )
    return gamma, n


class Cells(NamedTuple):
    """A power law between each two nodes, points along the last axes.

    ``full``: where there are electrons, at both ends; ``log_n``: ln N at the lower end, ``slope``:
    its power of gamma, ``length``: ln of the ratio of both ends.
    """

    full: Bool[Array, "cells *points"]
    log_n: Float[Array, "cells *points"]
    slope: Float[Array, "cells *points"]
    length: Float[Array, "cells *ones"]


def cells_of(gamma: Float[Arrays, " k"], log_n: Float[Arrays, "k *points"]) -> Cells:
    """``Cells`` of ln(N) at increasing Lorentz factors, -inf where N = 0."""
    log_n = jnp.asarray(log_n)
    there = log_n > -jnp.inf
    full = there[1:] & there[:-1]
    log_n = jnp.where(there, log_n, 0.0)
    length = jnp.log1p((gamma[1:] - gamma[:-1]) / gamma[:-1])
    length = length.reshape(-1, *(1,) * (log_n.ndim - 1))
    return Cells(full, log_n[:-1], jnp.where(full, log_n[1:] - log_n[:-1], 0.0) / length, length)


def log_number(gamma: Float[Arrays, " k"], cells: Cells) -> Float[Array, "*points"]:
    """ln of the integral of N; of one electron where there is none."""
    start = jnp.log(jnp.asarray(gamma)[:-1]).reshape(cells.length.shape)
    each = cells.log_n + start + log_power_until(cells.slope + 1.0, cells.length)
    each = jnp.where(cells.full, each, _NOTHING)
    top = jax.lax.stop_gradient(jnp.max(each, 0))
    top = jnp.where(top > 0.5 * _NOTHING, top, 0.0)
    total = jnp.sum(jnp.where(cells.full, jnp.exp(each - top[None]), 0.0), 0)
    return top + jnp.log(jnp.where(total > 0.0, total, 1.0))


def _log(n: Float[Arrays, " k"]) -> Float[Array, " k"]:
    """ln(N); -inf, without a slope, where it is 0."""
    there = jnp.asarray(n) > 0.0
    return jnp.where(there, jnp.log(jnp.where(there, n, 1.0)), -jnp.inf)


class Spectra(Distribution):
    """A power law between each two nodes, with the nodes and N there as its parameters.

    ``gamma`` [K] and ``N`` [K] = dN/dgamma of one point, as ``Tabulated`` describes them.
    """

    extended = True
    parameters = ("gamma", "N")

    def of_row(self, row: Float[Arrays, " columns"]) -> dict[str, Any]:
        count = row.shape[0] // 2
        return {"gamma": row[:count], "N": row[count:]}

    def log_shape(
        self,
        at: Reals,
        mu: Reals,
        across: Reals,
        /,
        *,
        gamma: Float[Arrays, " k"],
        N: Float[Arrays, " k"],
    ) -> Reals:
        cell = jnp.searchsorted(gamma, jax.lax.stop_gradient(at), method="scan_unrolled") - 1
        cell = jnp.clip(cell, 0, gamma.shape[0] - 2)
        known, base = cells_of(gamma, _log(N)), jnp.asarray(gamma)[cell]
        along = jnp.log1p((at - base) / base)
        here = known.log_n[cell] + known.slope[cell] * along
        here = jnp.where(known.full[cell], here, _EMPTY)
        return here - jnp.log(at) - 0.5 * jnp.log(jnp.maximum(at - 1.0, 1e-14) * (at + 1.0))

    def log_norm(self, *, gamma: Float[Arrays, " k"], N: Float[Arrays, " k"]) -> Reals:
        return log_number(gamma, cells_of(gamma, _log(N))) + float(np.log(4.0 * np.pi))

    def gamma_bounds(
        self,
        *,
        gamma: Float[Arrays, " k"],
        N: Float[Arrays, " k"],
    ) -> tuple[Reals, Reals]:
        return gamma[0], gamma[-1]

    def harmonics_matter(
        self, s: Reals, sine: Reals, *, gamma: Float[Arrays, " k"], N: Float[Arrays, " k"]
    ) -> Truths:
        # single harmonics are seen of slow electrons; where a sharp end cuts some of them off, the
        # average is taken for the coefficient
        slow = gamma[0] < 1.05
        number = N * gamma
        gentle = (number[-1] < 1e-6 * jnp.max(number)) | (gamma[-1] ** 2 * sine > 20.0 * s)
        return (s * sine < 5.0) | ((s * sine < 30.0) & slow & gentle)

    def jumps(
        self,
        *,
        gamma: Float[Arrays, " k"],
        N: Float[Arrays, " k"],
    ) -> tuple[tuple[Reals, float], ...]:
        return (gamma[0], 1.0), (gamma[-1], -1.0)

    def breaks(self, *, gamma: Float[Arrays, " k"], N: Float[Arrays, " k"]) -> Any:
        ends = jnp.arccosh(jnp.asarray(gamma)[jnp.array([0, -1])])
        between = jnp.cosh(jnp.linspace(ends[0], ends[1], _PANELS + 1)[1:-1])
        return jnp.concatenate([gamma[1:-1], jax.lax.stop_gradient(between)])

    def violated(
        self,
        *,
        gamma: Float[Arrays, " k"],
        N: Float[Arrays, "k *points"],
    ) -> Mapping[str, Truths]:
        known = jnp.all(jnp.isfinite(gamma)) & (gamma[0] >= 1.0) & jnp.all(gamma[1:] > gamma[:-1])
        return {
            "gamma increases from 1 up": ~known,
            "N >= 0": jnp.any(~(jnp.isfinite(N) & (N >= 0.0)), 0),
        }


_SPECTRA = Spectra()


class Tabulated(Distribution):
    """Isotropic electrons whose dN/dgamma is given on a grid, a power law between each two nodes.

    ``gamma`` [K]: increasing Lorentz factors from 1 up, 2 to 512 of them. ``N`` [..., K]: dN/dgamma
    >= 0 there, in any unit, normalised to one electron; what stands before its last axis broadcasts
    with nu, B, n_e and theta. Outside of the grid, and in a cell with N = 0 at one of its ends,
    there is nothing, and the ends of what there is are sharp: absorption and rotativities contain
    them. Raises ValueError for anything else.
    """

    extended = True

    def __init__(self, gamma: Any, N: Any) -> None:
        self.gamma, self.N = checked_spectrum(gamma, N)
        if not is_traced([self.N]):
            values = np.asarray(self.N)
            # in units in which sums neither vanish nor overflow
            largest = np.max(values, -1, keepdims=True)
            self.N = values / np.where(largest > 0.0, largest, 1.0)
            full = (values[..., 1:] > 0.0) & (values[..., :-1] > 0.0)
            if not np.all(np.any(full, -1)):
                raise ValueError(
                    "N holds no electrons: a cell of the grid has some where N > 0 at both of its "
                    "ends"
                )

    def shape_with(self, shape: Shape) -> Shape:
        """The shape of what broadcasts with N. Raises ValueError."""
        try:
            return broadcast_shapes([shape, np.shape(self.N)[:-1]])
        except ValueError:
            raise ValueError(
                f"N of shape {np.shape(self.N)} does not broadcast with params of shape {shape}: "
                "its last axis belongs to gamma"
            ) from None

    def log_shape(self, gamma: Reals, mu: Reals, across: Reals, **parameters: Reals) -> Reals:
        return _SPECTRA.log_shape(gamma, mu, across, **self._own())

    def log_norm(self, **parameters: Reals) -> Reals:
        return _SPECTRA.log_norm(**self._own())

    def gamma_bounds(self, **parameters: Reals) -> tuple[Reals, Reals]:
        return self.gamma[0], self.gamma[-1]

    def harmonics_matter(self, s: Reals, sine: Reals, **parameters: Reals) -> Truths:
        return s * sine < 5.0

    def jumps(self, **parameters: Reals) -> tuple[tuple[Reals, float], ...]:
        return _SPECTRA.jumps(**self._own())

    def breaks(self, **parameters: Reals) -> Any:
        return _SPECTRA.breaks(**self._own())

    def _own(self) -> Mapping[str, Any]:
        if np.ndim(self.N) > 1:
            raise ValueError(
                f"N of shape {np.shape(self.N)} is many distributions: one is needed here"
            )
        return {"gamma": jnp.asarray(self.gamma), "N": jnp.asarray(self.N)}
