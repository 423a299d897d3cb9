"""Electrons of one energy as a family."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple, final

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from synchrojax.core import Arrays, Columns, Masks, Points, cold, within
from synchrojax.distributions import HIGHEST_GAMMA, get_distribution
from synchrojax.families._base import (
    Comparison,
    Cube,
    Dimensionless,
    Eight,
    Head,
    Networks,
    PackagedFamily,
    Rows,
    Sample,
    only_of_rho_q,
)
from synchrojax.families._box import S_OF_FORMULAS, S_PERP, S_RANGE, THETA_RANGE, anywhere
from synchrojax.families._learning import FLOOR
from synchrojax.families.monoenergetic import kernels as physics
from synchrojax.families.monoenergetic._learning import rows_of

_HIGHEST_X = 1e2  # of emission, a choice: e^-100 is left of it


class Point(NamedTuple):
    """A direction and ln(gamma)."""

    direction: physics.Direction
    log_gamma: Points


@final
class MonoenergeticFamily(PackagedFamily):
    """Isotropic electrons at one Lorentz factor."""

    name = "monoenergetic"
    parameters = ("gamma",)
    domain = MappingProxyType(
        {
            "s": S_OF_FORMULAS,
            "theta": THETA_RANGE,
            "gamma": (1.0, HIGHEST_GAMMA),
            "s_sin_theta": (S_PERP, S_OF_FORMULAS[1]),
            "x": (0.0, _HIGHEST_X),
        }
    )
    distribution = get_distribution("monoenergetic")
    heads = MappingProxyType({"kernels": Head(4, 8, (16, 16))})
    block = 4096
    dimensions = 4
    linear = ("theta",)
    base = None
    comparison = Comparison()

    def point(self, s: Points, theta: Points, own: Mapping[str, Points]) -> Point:
        log_gamma = jnp.log(within(own["gamma"], 1.0 + 1e-6, HIGHEST_GAMMA))
        return Point(physics.direction(s, theta), log_gamma)

    def coordinates(self, p: Point) -> dict[str, Points]:
        s, sine = p.direction.s, p.direction.sine
        x = jnp.exp(physics.electron(p.direction, p.log_gamma).log_x)
        never = jnp.zeros_like(s)
        return {
            "s": s,
            "theta": never,
            "gamma": jnp.exp(p.log_gamma),
            "s_sin_theta": s * sine,
            "x": x,
        }

    def invalid(self, outside: Mapping[str, Masks], p: Point) -> tuple[Masks, Masks]:
        rotation = outside["s"] | outside["s_sin_theta"]
        return anywhere(outside)[0], rotation

    def evaluate(self, networks: Networks, p: Point, *, clip: bool) -> Dimensionless:
        found = physics.smooth(networks["kernels"], p.direction, p.log_gamma)
        return physics.kernels(p.direction, p.log_gamma, found)

    def error_scale(self, p: Point, truth: Eight) -> Eight:
        """rho_Q, which changes sign, is relative to no less than ``FLOOR`` of its scale."""
        e = physics.electron(p.direction, p.log_gamma)
        # as the kernel falls towards low x
        fourth = jnp.exp(4.0 / 3.0 * e.log_x)
        size = (2.0 * jnp.exp(p.log_gamma) - jnp.exp(-p.log_gamma)) * fourth / (1.0 + fourth)
        return only_of_rho_q(FLOOR * jnp.abs(cold(*p.direction[:3])[0]) * size)

    # To learn from ---------------------------------------------------------------------------

    def sample(self, u: Cube, margin: float | int) -> Sample:
        return _sampled(u, margin, _HIGHEST_X)

    def sample_to_learn(self, u: Cube, margin: float | int) -> Sample:
        return _sampled(u, margin, 3.0 * _HIGHEST_X)

    def training_rows(self, head: str, table: Columns, networks: Networks) -> Rows:
        return rows_of(table)

    def combine(
        self,
        head: str,
        output: Float[Arrays, "outputs *points"],
        extra: Float[Arrays, "extra *points"],
    ) -> Float[Arrays, "parts *points"]:
        return output * extra


def _sampled(u: Cube, margin: float | int, highest: float) -> Sample:
    """Half by x up to ``highest``, half by gamma - 1; there are more points at low s sin(theta)."""
    turn, lowest = 2.0 * u[:, 1] % 1.0, S_PERP / S_RANGE[1]
    right = 0.5 * np.pi
    theta = np.where(
        u[:, 1] < 0.5, lowest + (right - lowest) * turn, lowest * (right / lowest) ** turn
    )
    sine = np.sin(theta)
    low = np.maximum(S_RANGE[0] * sine, S_PERP) / margin
    high = np.maximum(S_RANGE[1] * margin * sine, low)
    perp = low * (high / low) ** (u[:, 0] ** 2)
    x = 1e-7 * (highest / 1e-7) ** (u[:, 2] ** 0.7)
    by_x = np.sqrt(1.0 + 2.0 * perp / (3.0 * x) / sine**2)
    decades = np.log10(np.sqrt(2.0 * perp / 3e-3) / sine + 1e-3)
    by_gamma = 1.0 + 10.0 ** (-4.0 + (decades + 4.0) * u[:, 2])
    return {"s": perp / sine, "theta": theta, "gamma": np.where(u[:, 3] < 0.6, by_x, by_gamma)}


MONOENERGETIC = MonoenergeticFamily()
