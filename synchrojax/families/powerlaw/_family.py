"""Power laws as families."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import final

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from synchrojax.core import (
    Arrays,
    Columns,
    Masks,
    Points,
    at_most,
    sine_cosine,
)
from synchrojax.distributions import HIGHEST_GAMMA, get_distribution
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
from synchrojax.families._box import S_OF_FORMULAS, S_RANGE, Box, anywhere
from synchrojax.families._learning import FLOOR
from synchrojax.families.powerlaw import _anisotropy, _ends, _learning
from synchrojax.families.powerlaw import _cumulative as physics

# where corrections run on to outside of the box, a choice, so that numbers stay in float32; p stays
# above 1, where the norm ends
_REACH = MappingProxyType(
    {
        "p": (1.01, 8.5),
        "gamma_min": (1.0, 3e3),
        "gamma_max": (1.001, HIGHEST_GAMMA),
        "k": (-0.2, 4.2),
    }
)
# a choice, of j_I without gamma_max: below, only the decay of emission and absorption is promised
_DECAYED = 1e-3

# beside the lengths of ``total_features`` (3), ``edge_features`` (7) and ``far_features`` (2)
_ISOTROPIC = {
    "total": Head(3, 6, (24, 24)),
    "edge": Head(7, 12, (24, 24)),
    "rho_V_far": Head(2, 1, (24, 24)),
    "rho_V": Head(7, 1, (24, 24), needs=("rho_V_far",)),
    "rho_Q_total": Head(3, 1, (24, 24)),
    "rho_Q_edge": Head(7, 2, (32, 32), needs=("rho_Q_total",)),
}
_NARROWEST = 5e-8  # of sin(theta), where s = 1e8 ended the box
_AT_EDGE = ("edge", "rho_V_far", "rho_V", "rho_Q_total", "rho_Q_edge")
_PITCH = {
    "pitch_total": Head(4, 8, (24, 24), needs=("total",)),
    "pitch_edge": Head(9, 26, (32, 32), needs=_AT_EDGE),
    "pitch_rho_V_far": Head(8, 1, (32, 32), needs=("rho_V_far",)),
    "pitch_rho_V": Head(10, 1, (32, 32), needs=(*_AT_EDGE, "pitch_rho_V_far")),
    "pitch_rho_Q_far": Head(6, 1, (24, 24), needs=_AT_EDGE),
    "pitch_rho_Q_edge": Head(8, 1, (32, 32), needs=(*_AT_EDGE, "pitch_rho_Q_far")),
}


def _without_top(points: Columns) -> Sample:
    """The same without gamma_max."""
    return {**points, "gamma_max": np.full(len(points["s"]), HIGHEST_GAMMA)}


def _resolved(name: str, points: Columns) -> Bool[np.ndarray, " rows"]:
    every = np.ones(len(points["s"]), bool)
    return points["gamma_min"] > 1.01 if name == "gamma_min" else every


_COMPARISON = Comparison(
    physical=lambda points: {**points, "gamma_min": np.maximum(points["gamma_min"], 1.0)},
    reference=_without_top,
    # far above gamma_max^2 nu_c only the decay is promised
    counted=lambda truth, reference: truth[:, 0] > _DECAYED * reference[:, 0],
    resolved=_resolved,
)


@final
class PowerLawFamily(PackagedFamily):
    """Power-law electrons, isotropic or (``pitch``) times sin^k of the pitch angle."""

    comparison = _COMPARISON

    def __init__(self, name: str, *, pitch: bool) -> None:
        self.name, self.pitch = name, pitch
        own = {"p": (1.5, 7.0), "gamma_min": (1.0, 1e3), "gamma_max": (1e2, HIGHEST_GAMMA)}
        own |= _pitch.BOX if pitch else {}
        # with sin^k, smaller angles leave float32: (gamma sin(theta))^-k
        narrowest = _NARROWEST if pitch else 0.0
        ends = {"drawn": S_RANGE[1], "narrowest": narrowest, "floor": _ends.LOWEST}
        self.box = Box(own, S_OF_FORMULAS, _REACH, **ends)
        self.parameters, self.domain = tuple(self.box.own), self.box.domain
        self.distribution = get_distribution(name)
        self.heads = _ISOTROPIC | (_PITCH if pitch else {})
        self.block = 8192 if pitch else 16384
        self.dimensions = 2 + len(self.parameters)
        self.linear = ("theta", "k") if pitch else ("theta",)
        self.base = "powerlaw" if pitch else None

    def point(self, s: Points, theta: Points, own: Mapping[str, Points]) -> physics.Point:
        gamma_max = at_most(own["gamma_max"], HIGHEST_GAMMA)
        k = own["k"] if self.pitch else None
        return physics.Point(s, *sine_cosine(theta), own["p"], own["gamma_min"], gamma_max, k)

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
        of = _anisotropy if head.startswith("pitch") else physics
        return of.combine(head, output, extra)

    def evaluate(self, networks: Networks, p: Point, *, clip: bool) -> Dimensionless:
        return _ends.coefficients(networks, p, self.box.clamp if clip else self.box.within_reach)

    def error_scale(self, p: Point, truth: Eight) -> Eight:
        """rho_Q changes sign: it is relative to no less than ``FLOOR`` of its scale."""
        edge = physics.edge_at(p, p.gamma_min)
        size = physics.rotation_size(*physics.rotation_q_parts(p, edge)[:3])
        if self.pitch:
            size = jnp.exp(p.k * jnp.log(p.sine)) * size + jnp.abs(_anisotropy.off_cone(p, edge))
        unit = jnp.abs(physics.rotation_unit(p, p.gamma_min)) * jnp.exp(physics.log_norm(p))
        return only_of_rho_q(FLOOR * size * unit)

    # To learn from ---------------------------------------------------------------------------

    def sample(self, u: Cube, margin: float | int) -> Sample:
        rows = self.box.directions(u, margin) | {"p": self.box.uniform("p", u[:, 2], margin)}
        lowest, highest = (self.domain["gamma_min"][1] * margin, HIGHEST_GAMMA)
        gamma_min = lowest ** u[:, 3]
        start = np.maximum(self.domain["gamma_max"][0], gamma_min * 1.01)
        ends = {"gamma_min": gamma_min, "gamma_max": start * (highest / start) ** u[:, 4]}
        if self.pitch:
            ends["k"] = self.box.uniform("k", u[:, 5], margin)
        return rows | ends

    def sample_to_learn(self, u: Cube, margin: float | int) -> Sample:
        """Pairs of rows that share an edge, gamma_min of one and gamma_max of the next."""
        # a quarter of them mildly relativistic, 40 % between 1 and 1e3, the others from 80 to
        # beyond gamma_0: choices, as is the crowding at low s, where corrections are large
        rows = self.box.directions(u, margin, crowding=3.0) | {
            "p": self.box.uniform("p", u[:, 2], margin)
        }
        top = np.maximum(1e3, 30.0 * np.sqrt(rows["s"] / np.sin(rows["theta"]))) * margin
        if self.pitch:
            rows["k"] = self.box.uniform("k", u[:, 5], margin)
        t = u[:, 3]
        edge = np.where(
            t < 0.65,
            (1e3 * margin) ** ((t - 0.25) / 0.4),
            80.0 * (top / 80.0) ** ((t - 0.65) / 0.35),
        )
        edge = np.where(t < 0.25, 1.0 + 10.0 ** (12.0 * t - 2.0), np.maximum(edge, 1.0 + 1e-5))
        first = {"gamma_min": edge, "gamma_max": np.full(len(u), HIGHEST_GAMMA)}
        second = {"gamma_min": np.full(len(u), _learning.NEARLY_ONE), "gamma_max": edge}
        pairs = [
            [{**rows, **ends}[n] for n in ("s", "theta", *self.parameters)]
            for ends in (first, second)
        ]
        return dict(
            zip(
                ("s", "theta", *self.parameters),
                np.stack(pairs, -1).reshape(-1, 2 * len(u)),
                strict=True,
            )
        )

    def training_rows(self, head: str, table: Columns, networks: Networks) -> Rows:
        pairs = _learning.read_pairs(table, self.point)
        rows = _learning.anisotropic_rows if head.startswith("pitch") else _learning.isotropic_rows
        return rows(head, pairs, networks)


POWERLAW, POWERLAW_PITCH = (
    PowerLawFamily("powerlaw", pitch=False),
    PowerLawFamily("powerlaw_pitch", pitch=True),
)
