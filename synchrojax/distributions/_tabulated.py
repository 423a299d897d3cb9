"""Electron spectra on a grid of Lorentz factors."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from synchrojax.core import Arrays, Reals, Shape, Truths, broadcast_shapes, is_traced, real
from synchrojax.distributions._base import Distribution
from synchrojax.special import log_power_until

MOST_NODES = 512
_EMPTY = -1e4  # ln of f where there is nothing
_PANELS = 16  # between both ends, so that no cell is too wide for the rules of the integrals


def checked_spectrum(gamma: Any, n: Any) -> tuple[Float[Arrays, " k"], Float[Arrays, "*shape k"]]:
    """``gamma`` and ``n`` = dN/dgamma as arrays. Raises ValueError that says what was given.

    Of traced values only the shapes are looked at.
    """
    gamma, n = real(gamma, "gamma"), real(n, "N")
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
            raise ValueError(f"gamma holds {known[~np.isfinite(known)][0]}: expected finite numbers")
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


class Nodes(Distribution):
    """A power law between each two of ``count`` nodes: what ``Tabulated`` is to the integrals.

    Its parameters are two rows, ``nodes`` and ``number`` = dN/dgamma there. A cell with
    dN/dgamma = 0 at an end is empty. Both ends of the grid, and of its empty parts, are sharp.
    """

    extended = True
    parameters = ("nodes", "number")

    def __init__(self, count: int) -> None:
        self.count = count

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Nodes) and self.count == other.count

    def __hash__(self) -> int:
        return hash((Nodes, self.count))

    def of_row(self, row: Float[Arrays, " columns"]) -> dict[str, Any]:
        return {"nodes": row[: self.count], "number": row[self.count :]}

    def log_shape(
        self,
        gamma: Reals,
        mu: Reals,
        across: Reals,
        *,
        nodes: Float[Array, " k"],
        number: Float[Array, " k"],
    ) -> Reals:
        cell = jnp.clip(
            jnp.searchsorted(nodes, jax.lax.stop_gradient(gamma), method="scan_unrolled") - 1,
            0,
            self.count - 2,
        )
        full, log_n, slope = _cells(nodes, number)
        base = nodes[cell]
        along = jnp.log1p((gamma - base) / base)
        here = jnp.where(full[cell], log_n[cell] + slope[cell] * along, _EMPTY)
        return here - jnp.log(gamma) - 0.5 * jnp.log(jnp.maximum(gamma - 1.0, 1e-14) * (gamma + 1.0))

    def log_norm(self, *, nodes: Float[Array, " k"], number: Float[Array, " k"]) -> Reals:
        full, log_n, slope = _cells(nodes, number)
        length = jnp.log1p((nodes[1:] - nodes[:-1]) / nodes[:-1])
        each = log_n + jnp.log(nodes[:-1]) + log_power_until(slope + 1.0, length)
        each = jnp.where(full, each, -jnp.inf)
        return jax.nn.logsumexp(each) + float(np.log(4.0 * np.pi))

    def gamma_bounds(
        self, *, nodes: Float[Array, " k"], number: Float[Array, " k"]
    ) -> tuple[Reals, Reals]:
        return nodes[..., 0], nodes[..., -1]

    def harmonics_matter(
        self, s: Reals, sine: Reals, *, nodes: Float[Array, " k"], number: Float[Array, " k"]
    ) -> Truths:
        return s * sine < 5.0

    def jumps(
        self, *, nodes: Float[Array, " k"], number: Float[Array, " k"]
    ) -> tuple[tuple[Reals, float], ...]:
        return (nodes[0], 1.0), (nodes[-1], -1.0)

    def breaks(self, *, nodes: Float[Array, " k"], number: Float[Array, " k"]) -> Any:
        chi = jnp.arccosh(nodes)
        between = jnp.linspace(chi[0], chi[-1], _PANELS + 1)[1:-1]
        return jnp.concatenate([nodes[1:-1], jax.lax.stop_gradient(jnp.cosh(between))])


def _cells(
    nodes: Float[Array, " k"], number: Float[Array, " k"]
) -> tuple[Any, Float[Array, " cells"], Float[Array, " cells"]]:
    """(where a cell has electrons, ln N at its lower end, its power of gamma)."""
    there = number > 0.0
    full = there[1:] & there[:-1]
    log_n = jnp.log(jnp.where(there, number, 1.0))
    length = jnp.log1p((nodes[1:] - nodes[:-1]) / nodes[:-1])
    return full, log_n[:-1], jnp.where(full, log_n[1:] - log_n[:-1], 0.0) / length


class Tabulated(Distribution):
    """Isotropic electrons whose dN/dgamma is given on a grid, a power law between each two nodes.

    ``gamma`` [K]: increasing Lorentz factors from 1 up, 2 to 512 of them. ``N`` [..., K]: dN/dgamma
    >= 0 there, in any unit, normalised to one electron; what stands before its last axis broadcasts
    with nu, B, n_e and theta. Outside of the grid, and in a cell with N = 0 at one of its ends,
    there is nothing, and the ends of what there is are sharp: absorption and rotativities contain
    them. Raises ValueError for anything else.
    """

    extended = True

    def __init__(self, gamma: Any, N: Any) -> None:  # noqa: N803 (the field's name)
        self.gamma, self.N = checked_spectrum(gamma, N)
        if not is_traced([self.N]):
            values = np.asarray(self.N)
            full = (values[..., 1:] > 0.0) & (values[..., :-1] > 0.0)
            if not np.all(np.any(full, -1)):
                raise ValueError(
                    "N holds no electrons: a cell of the grid has some where N > 0 at both of its "
                    "ends"
                )
        self.nodes = Nodes(self.gamma.shape[0])

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
        return self.nodes.log_shape(gamma, mu, across, **self._own())

    def log_norm(self, **parameters: Reals) -> Reals:
        return self.nodes.log_norm(**self._own())

    def gamma_bounds(self, **parameters: Reals) -> tuple[Reals, Reals]:
        return self.gamma[0], self.gamma[-1]

    def harmonics_matter(self, s: Reals, sine: Reals, **parameters: Reals) -> Truths:
        return s * sine < 5.0

    def jumps(self, **parameters: Reals) -> tuple[tuple[Reals, float], ...]:
        return self.nodes.jumps(**self._own())

    def breaks(self, **parameters: Reals) -> Any:
        return self.nodes.breaks(**self._own())

    def _own(self) -> Mapping[str, Any]:
        if np.ndim(self.N) > 1:
            raise ValueError(
                f"N of shape {np.shape(self.N)} is many distributions: one is needed here"
            )
        return {"nodes": jnp.asarray(self.gamma), "number": jnp.asarray(self.N)}
