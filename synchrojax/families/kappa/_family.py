"""Kappa electrons as families."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import final

import jax.numpy as jnp
from jaxtyping import Float

from synchrojax.core import (
    Arrays,
    Columns,
    Masks,
    Points,
    at_least,
    at_most,
    cold,
    from_plane,
    kept,
    sine_cosine,
    stacked,
)
from synchrojax.distributions import get_distribution
from synchrojax.families import _pitch
from synchrojax.families._base import (
    Comparison,
    Cube,
    Dimensionless,
    Eight,
    Head,
    Networks,
    PackagedFamily,
    Point,
    Rows,
    Sample,
    only_of_rho_q,
)
from synchrojax.families._box import (
    FUNDAMENTAL,
    LOWEST_SUMMED,
    S_OF_FORMULAS,
    Box,
    above,
    anywhere,
)
from synchrojax.families._harmonics import EMISSION, ROTATION
from synchrojax.families._learning import FLOOR
from synchrojax.families.kappa import _anisotropy, _learning
from synchrojax.families.kappa import _physics as physics

# where corrections run on to outside of the box, a choice, so that numbers stay in float32; kappa
# stays above 2, where the norm ends
_REACH = MappingProxyType({"kappa": (2.01, 16.0), "w": (1e-2, 2e3), "k": (-0.2, 4.2)})
# beside the length of ``features`` (7)
_ISOTROPIC = {
    "emission": Head(7, 3 * (1 + EMISSION)),
    "absorption": Head(7, 3 * (1 + EMISSION)),
    "rho_Q": Head(7, 1 + ROTATION),
    "rho_V": Head(7, 1 + ROTATION),
}
_PITCH = {
    "pitch_emission": Head(9, 4, (24, 24), needs=("emission",)),
    "pitch_absorption": Head(9, 4, (24, 24), needs=("absorption",)),
    "pitch_rho_Q_far": Head(7, 1, (24, 24), needs=("rho_Q",)),
    "pitch_rho_Q": Head(8, 2, needs=("rho_Q", "pitch_rho_Q_far")),
    "pitch_rho_V_far": Head(8, 1, needs=("rho_V",)),
    "pitch_rho_V": Head(10, 1, needs=("rho_V", "pitch_rho_V_far")),
}


@final
class KappaFamily(PackagedFamily):
    """Kappa electrons, isotropic or (``pitch``) times sin^k of the pitch angle."""

    comparison = Comparison()

    def __init__(self, name: str, *, pitch: bool) -> None:
        self.name, self.pitch = name, pitch
        own = {"kappa": (2.5, 8.0), "w": (0.1, 200.0)} | (_pitch.BOX if pitch else {})
        # what sin^k changes is learned at higher s, from 4 on
        lowest, perp, self._drawn_from = (10.0, 5.0, 4.0) if pitch else (3.0, 2.0, FUNDAMENTAL)
        ends = {"perp": perp, "highest_x": physics.HIGHEST_X, "floor": LOWEST_SUMMED}
        self.box = Box(own, (lowest, S_OF_FORMULAS[1]), _REACH, **ends)
        self.parameters, self.domain = tuple(own), self.box.domain
        self.distribution = get_distribution(name)
        self.heads = _ISOTROPIC | (_PITCH if pitch else {})
        self.block = 4096 if pitch else 2048  # times the nodes of the average
        self.dimensions = 2 + len(own)
        self.linear = ("theta", "k") if pitch else ("theta",)
        self.base = "kappa" if pitch else None

    def point(self, s: Points, theta: Points, own: Mapping[str, Points]) -> physics.Point:
        k = own["k"] if self.pitch else None
        return physics.Point(s, *sine_cosine(theta), own["kappa"], own["w"], k)

    def coordinates(self, p: Point) -> dict[str, Points]:
        return self.box.coordinates(p)

    def invalid(self, outside: Mapping[str, Masks], p: Point) -> tuple[Masks, Masks]:
        return anywhere(outside)

    def combine(
        self,
        head: str,
        output: Float[Arrays, "outputs *points"],
        extra: Float[Arrays, "extra *points"],
    ) -> Float[Arrays, "parts *points"]:
        if head.startswith("pitch"):
            return _anisotropy.combine(head, output, extra)
        return _learning.isotropic_combined(head, output, extra)

    def evaluate(self, networks: Networks, p: Point, *, clip: bool) -> Dimensionless:
        true, p = p, self.box.clamp(p) if clip else self.box.within_reach(p)
        p = kept(p)
        frame = kept(physics.frame_of(p))
        log_j, log_alpha, scale_v = physics.baselines(p, frame)
        # beyond the highest s their powers of s go on, with V / I as s^(-1/2)
        rise = above(true, p)
        log_j = log_j - 0.5 * p.kappa * rise
        log_alpha = log_alpha - 0.5 * (p.kappa + 1.0) * rise
        scale_v = scale_v * jnp.exp(-0.5 * rise)
        scales = physics.rotation_scales(p, frame)
        features = stacked(physics.features(p, frame))
        waves = physics.harmonics_of(p)
        emission, absorption, near_q, near_v = (
            physics.joined(h, networks[h](features), waves.of(h)) for h in _ISOTROPIC
        )
        log_j, log_alpha = log_j + emission[0], log_alpha + absorption[0]
        j, alpha = physics.plane(emission, scale_v), from_plane(*physics.plane(absorption, scale_v))
        rho_q = scales.conversion.value + scales.step * near_q[0]
        rho_v = scales.rho_v * near_v[0]
        if self.pitch:
            emission, absorption, far_q, near_q, far_v, near_v = (
                _anisotropy.combine(h, networks[h](x), extra)
                for h, (x, extra) in _anisotropy.inputs(p, frame, features).items()
            )
            log_mean, log_fixed = _pitch.log_mean(p.k), p.k * frame.log_sine
            log_v = _anisotropy.log_rotation_v(p, frame, p.sine / p.s)
            log_j = log_j + emission[0] + log_fixed - log_mean
            log_alpha = log_alpha + absorption[0] + log_fixed - log_mean
            j = j[0] * jnp.exp(emission[1]), j[1] * jnp.exp(emission[2])
            alpha = alpha[0] * jnp.exp(absorption[1]), alpha[1] * jnp.exp(absorption[2])
            rho_q, rho_v = (
                rho_q + scales.conversion.size * (far_q + near_q)[0],
                rho_v * jnp.exp(log_v + (far_v + near_v)[0]),
            )
        j_q, j_v = from_plane(*j)
        seen = at_least(true.s, p.s), at_most(true.sine, p.sine), p.cosine
        return Dimensionless(log_j, j_q, j_v, log_alpha, alpha[0], alpha[1], rho_q, rho_v, *seen)

    def error_scale(self, p: Point, truth: Eight) -> Eight:
        """rho_Q is relative to no less than ``FLOOR`` of what it would be if nothing cancelled."""
        size = physics.conversion(p, physics.frame_of(p)).uncancelled
        return only_of_rho_q(FLOOR * size * jnp.abs(cold(p.s, p.sine, p.cosine)[0]))

    # To learn from ---------------------------------------------------------------------------

    def sample(self, u: Cube, margin: float | int) -> Sample:
        return self.box.directions(u, margin) | self._sampled(u, margin)

    def sample_to_learn(self, u: Cube, margin: float | int) -> Sample:
        # more of them at low s than elsewhere: a choice
        return self.box.directions(u, margin, 2.0, self._drawn_from) | self._sampled(u, margin)

    def _sampled(self, u: Cube, margin: float | int) -> Sample:
        rows = {"kappa": self.box.uniform("kappa", u[:, 2], margin)}
        rows["w"] = 0.1 / margin * (2000.0 * margin**2) ** u[:, 3]
        if self.pitch:
            rows["k"] = self.box.uniform("k", u[:, 4], margin)
        return rows

    def training_rows(self, head: str, table: Columns, networks: Networks) -> Rows:
        keep, row, p, frame = _learning.read(table, self.point)
        if head.startswith("pitch"):
            return _learning.anisotropic_rows(head, keep, row, p, frame, networks)
        return _learning.isotropic_rows(head, keep, row, p, frame)


KAPPA, KAPPA_PITCH = KappaFamily("kappa", pitch=False), KappaFamily("kappa_pitch", pitch=True)
