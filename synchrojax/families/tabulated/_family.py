"""Electron spectra on a grid as a family."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, final

import jax.numpy as jnp
from jaxtyping import Float

from synchrojax.core import Arrays, Columns, Masks, Points
from synchrojax.distributions import get_distribution
from synchrojax.families._base import (
    Comparison,
    Cube,
    Dimensionless,
    Eight,
    Networks,
    PackagedFamily,
    Rows,
    Sample,
    only_of_rho_q,
)
from synchrojax.families._box import anywhere
from synchrojax.families.monoenergetic import MONOENERGETIC
from synchrojax.families.monoenergetic import kernels as physics
from synchrojax.families.tabulated._grid import grid_of
from synchrojax.families.tabulated._spectrum import spectrum_of
from synchrojax.families.tabulated._sum import summed


class Point(NamedTuple):
    """A direction, the grid and ln(N) there, in any unit."""

    direction: physics.Direction
    gamma: Float[Arrays, " k"]
    log_n: Float[Arrays, "k *points"]


@final
class TabulatedFamily(PackagedFamily):
    """Isotropic electrons with dN/dgamma on a grid.

    ``gamma`` [K] and ``N`` [K, ...] are its parameters, the latter by its logarithm; its tables are
    those of single electrons.
    """

    name = "tabulated"
    parameters = ("gamma", "N")
    spectral = True
    domain = MappingProxyType(
        {name: MONOENERGETIC.domain[name] for name in ("s", "theta", "s_sin_theta")}
    )
    distribution = get_distribution("tabulated")
    heads = MONOENERGETIC.heads
    block = 256
    dimensions, linear, base = MONOENERGETIC.dimensions, MONOENERGETIC.linear, None
    single = MONOENERGETIC
    comparison = Comparison()

    def point(self, s: Points, theta: Points, own: Mapping[str, Any]) -> Point:
        return Point(physics.direction(s, theta), own["gamma"], own["log_n"])

    def coordinates(self, p: Point) -> dict[str, Points]:
        s, sine = p.direction.s, p.direction.sine
        return {"s": s, "theta": jnp.zeros_like(s), "s_sin_theta": s * sine}

    def invalid(self, outside: Mapping[str, Masks], p: Point) -> tuple[Masks, Masks]:
        return anywhere(outside)

    def evaluate(self, networks: Networks, p: Point, *, clip: bool) -> Dimensionless:
        grid = grid_of(p.gamma)
        return summed(networks["kernels"], p.direction, grid, spectrum_of(p.gamma, p.log_n))

    def error_scale(self, p: Point, truth: Eight) -> Eight:
        return only_of_rho_q(jnp.zeros_like(p.direction.s))

    # To learn from ---------------------------------------------------------------------------

    def sample(self, u: Cube, margin: float | int) -> Sample:
        return MONOENERGETIC.sample(u, margin)

    def sample_to_learn(self, u: Cube, margin: float | int) -> Sample:
        return MONOENERGETIC.sample_to_learn(u, margin)

    def training_rows(self, head: str, table: Columns, networks: Networks) -> Rows:
        return MONOENERGETIC.training_rows(head, table, networks)

    def combine(
        self,
        head: str,
        output: Float[Arrays, "outputs *points"],
        extra: Float[Arrays, "extra *points"],
    ) -> Float[Arrays, "parts *points"]:
        return MONOENERGETIC.combine(head, output, extra)


TABULATED = TabulatedFamily()
