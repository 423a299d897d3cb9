"""Thermal electrons as a family."""

import functools
import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, final

import jax.numpy as jnp
from jaxtyping import Float

from synchrojax.core import (
    ELECTRON_MASS,
    Arrays,
    Columns,
    Masks,
    Points,
    at_least,
    fused,
)
from synchrojax.distributions import get_distribution
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
from synchrojax.families._box import FUNDAMENTAL, LOWEST_SUMMED
from synchrojax.families._harmonics import (
    EMISSION,
    ROTATION,
    Harmonics,
    mean_and_added,
    with_harmonics,
)
from synchrojax.families.thermal import _learning as learning
from synchrojax.families.thermal._physics import (
    decode_rotation,
    decode_stokes,
    emission_features,
    faraday_limits,
    faraday_ratios,
    harmonics_of,
    log_emissivity,
    rotation_features,
    rotation_frame,
)
from synchrojax.families.thermal._point import (
    DOMAIN,
    ROTATION_THETA_E,
    Point,
    clamp,
    lowest_perp,
    point_of,
    x_of,
)
from synchrojax.families.thermal._saddle import Saddle, saddle


class _Known(NamedTuple):
    """What goes into the coefficients beside networks: the true point and what is known there.

    ``emission`` and ``rotation``: features of the networks, at the nearest point of their box.
    ``log_base``: of j_I. ``limits``: of rho_Q and rho_V, over those of cold plasma at ``s``.
    """

    true: Point
    peak: Saddle
    log_base: Points
    limits: tuple[Points, Points]
    s: Points
    sine: Points
    emission: list[Points]
    rotation: list[Points]


def _known_at(clip: bool, p: Point) -> _Known:
    reach = LOWEST_SUMMED, 1e14
    true = clamp(p, s=reach, theta_e=(1e-5, 1e6))
    inner = outer = true
    if clip:
        inner = clamp(p, s=reach, theta_e=DOMAIN["theta_e"])
        hot = ROTATION_THETA_E, DOMAIN["theta_e"][1]
        perp = at_least(lowest_perp(p.theta_e), LOWEST_SUMMED)
        outer = clamp(p, s=reach, theta_e=hot, perp=perp)
    peak = saddle(true)
    return _Known(
        true,
        peak,
        log_emissivity(true, peak.exponent),
        faraday_ratios(true),
        at_least(p.s, LOWEST_SUMMED),
        p.sine,
        emission_features(inner, DOMAIN["x"][1] if clip else math.inf),
        rotation_features(outer),
    )


def _joined(
    known: _Known, waves: Harmonics, learned: Sequence[Float[Arrays, "_ *points"]]
) -> Dimensionless:
    true = known.true
    emission = with_harmonics(learned[0], waves.emission)
    of_q, of_v = mean_and_added(learned[1], waves.rotation), learned[2]
    rotation = jnp.stack([*of_q, *with_harmonics(of_v, waves.rotation)])
    log_base = known.log_base + waves.emission[0]
    log_j, q, v = decode_stokes(emission, log_base, true.cosine, known.peak.sinh)
    # Kirchhoff: j / alpha = 2 m_e theta_e nu^2, taken in logarithms to stay inside float32
    log_alpha = log_j - true.log_theta_e - math.log(2.0 * ELECTRON_MASS)
    ratio_q, ratio_v = decode_rotation(rotation, true)
    limit_q, limit_v = known.limits
    turned = limit_q * ratio_q, limit_v * ratio_v
    return Dimensionless(log_j, q, v, log_alpha, q, v, *turned, known.s, known.sine, true.cosine)


@final
class ThermalFamily(PackagedFamily):
    """Thermal electrons."""

    name = "thermal"
    parameters = ("theta_e",)
    domain = DOMAIN
    distribution = get_distribution("thermal")
    heads = MappingProxyType(
        {
            "emission": Head(6, 3 * (1 + EMISSION)),
            "rho_Q": Head(4, 1 + ROTATION),
            "rho_V": Head(4, 1 + ROTATION),
        }
    )
    block = 16384
    dimensions = 3
    linear = ("theta",)
    base = None
    comparison = Comparison()

    def point(self, s: Points, theta: Points, own: Mapping[str, Points]) -> Point:
        return point_of(s, theta, own["theta_e"])

    def coordinates(self, p: Point) -> dict[str, Points]:
        never = jnp.zeros_like(p.s)
        return {
            "s": p.s,
            "theta": never,
            "theta_e": p.theta_e,
            "s_sin_theta": p.s * p.sine,
            "x": x_of(p),
        }

    def invalid(self, outside: Mapping[str, Masks], p: Point) -> tuple[Masks, Masks]:
        cold = p.theta_e < ROTATION_THETA_E * (1.0 - 1e-6)
        hot = p.theta_e > DOMAIN["theta_e"][1] * (1.0 + 1e-6)
        narrow = p.s * p.sine < lowest_perp(p.theta_e) * (1.0 - 1e-6)
        rotation = outside["s"] | outside["s_sin_theta"] | (outside["theta_e"] & (cold | hot))
        rotation = rotation | narrow
        return functools.reduce(jnp.logical_or, outside.values()), rotation

    def combine(
        self,
        head: str,
        output: Float[Arrays, "outputs *points"],
        extra: Float[Arrays, "extra *points"],
    ) -> Float[Arrays, "parts *points"]:
        return learning.combined(head, output, extra)

    def evaluate(self, networks: Networks, p: Point, *, clip: bool) -> Dimensionless:
        """The coefficients at ``p``.

        With ``clip`` the corrections see the nearest point of the box; saddle and limits keep
        the true point.
        """
        known = fused(functools.partial(_known_at, clip), p)
        emission, rotation = jnp.stack(known.emission), jnp.stack(known.rotation)
        learned = [
            networks["emission"](emission),
            *(networks[head](rotation) for head in ("rho_Q", "rho_V")),
        ]
        return fused(_joined, known, harmonics_of(known.true), learned)

    def error_scale(self, p: Point, truth: Eight) -> Eight:
        """rho_Q, which changes sign, is relative to no less than 2 % of its low-frequency law."""
        # a choice, about as far as the exact rho_Q goes below zero, 0.024 of that law
        floor = 0.02 * rotation_frame(p)[0] * jnp.abs(faraday_limits(p)[0])
        return only_of_rho_q(floor)

    # To learn from ---------------------------------------------------------------------------

    def sample(self, u: Cube, margin: float | int) -> Sample:
        return learning.sample(u, margin, DOMAIN["s"][0], DOMAIN["s_sin_theta"][0])

    def sample_to_learn(self, u: Cube, margin: float | int) -> Sample:
        return learning.sample(u, margin, FUNDAMENTAL, FUNDAMENTAL)

    def training_rows(self, head: str, table: Columns, networks: Networks) -> Rows:
        return learning.training_rows(head, table)


THERMAL = ThermalFamily()
