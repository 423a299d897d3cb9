"""The trained box of distributions with a scale-free tail: nearest point, features, sampling.

At low s sin(theta) harmonics are seen one by one: a box ends above them, and what its default
policy does below is a choice of the family.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from synchrojax.core import Masks, Points, at_least, at_most, within
from synchrojax.families._base import Cube, Ends, Point, Sample

S_RANGE = (1e1, 1e8)
# where formulas go on: corrections have vanished far below its end
S_OF_FORMULAS = (S_RANGE[0], 1e17)
_FARTHEST = 1e18  # of s: its square is in float32
S_PERP = 5.0  # lowest s sin(theta), a choice
FUNDAMENTAL = 1.0  # s and s sin(theta) down to which there are samples to learn from
# s and s sin(theta) down to which corrections run on below a box, and harmonics are summed
LOWEST_SUMMED = 1.25
_NARROWEST = 5e-8  # sin(theta) of samples, a choice: below only s / sin(theta) matters
THETA_RANGE = (0.0, float(np.pi))


def direction_features(s: Points, sine: Points) -> list[Points]:
    """Network input for the direction: it saturates where only s / sin(theta) matters any more."""
    # both run from -1 to 1 in the box; corrections fall with s sin(theta) to the power -2/3 or -1,
    # low powers of the first
    return [
        2.0 * jnp.exp((float(np.log(S_PERP)) - jnp.log(s * sine)) / 3.0) - 1.0,
        1.0 - 2.0 * sine * sine,
    ]


def _wider(low: float, high: float) -> Ends:
    """A range three times as wide, in the logarithm where it starts above zero."""
    return (
        (low * low / high, high * high / low) if low > 0.0 else (2.0 * low - high, 2.0 * high - low)
    )


@dataclass(frozen=True)
class Box:
    """Ranges of s, theta and the parameters ``own``: name -> (low, high).

    Points have s, sine and the parameters as fields. ``reach``: the ranges of parameters to which
    corrections run on outside of the box. ``highest_x``: of s / sin(theta), if it is limited.
    ``drawn``: the highest s of samples, where nothing is left to learn above; ``narrowest``:
    sin(theta) below which the coefficients are those at that angle. ``perp``: the lowest s
    sin(theta); ``floor``: the s and s sin(theta) down to which corrections run on below the box, if
    they do.
    """

    own: Mapping[str, tuple[float, float]]
    s: tuple[float, float] = S_RANGE
    reach: Mapping[str, tuple[float, float]] = field(default_factory=lambda: MappingProxyType({}))
    highest_x: float = np.inf
    drawn: float = np.inf
    narrowest: float = 0.0
    perp: float = S_PERP
    floor: float | None = None

    @property
    def domain(self) -> dict[str, Ends]:
        """name -> (low, high)."""
        last = {} if self.highest_x == np.inf else {"s_over_sin_theta": (self.s[0], self.highest_x)}
        return {
            "s": self.s,
            "theta": THETA_RANGE,
            **self.own,
            "s_sin_theta": (self.perp, self.s[1]),
            **last,
        }

    def coordinates(self, p: Point) -> dict[str, Points]:
        """The values of ``domain``; theta is never outside."""
        own = {name: getattr(p, name) for name in self.own}
        last = (
            {} if self.highest_x == np.inf else {"s_over_sin_theta": p.s / at_least(p.sine, 1e-30)}
        )
        return {"s": p.s, "theta": jnp.zeros_like(p.s), **own, "s_sin_theta": p.s * p.sine, **last}

    def clamp(self, p: Point) -> Point:
        """The nearest point: s, parameters, sin(theta) by s sin(theta), s by s / sin(theta)."""
        lowest, perp = (self.s[0], self.perp) if self.floor is None else (self.floor, self.floor)
        s = within(p.s, lowest, self.s[1])
        own = {name: within(getattr(p, name), *ends) for name, ends in self.own.items()}
        p = p._replace(s=s, sine=within(p.sine, at_least(perp / s, self.narrowest), 1.0), **own)
        if self.highest_x == np.inf:
            return p
        p = p._replace(sine=at_least(p.sine, np.sqrt(perp / self.highest_x)))
        return p._replace(s=at_most(p.s, self.highest_x * p.sine))

    def within_reach(self, p: Point) -> Point:
        """The same of a box so wide that corrections run on, but no number leaves its range."""
        # a tenth of the lowest s and s sin(theta), and a thousand times the highest s: far enough
        # for corrections to run on, near enough for float32
        low, high = self.s
        s = within(p.s, low / 10.0, min(high * 1e3, _FARTHEST))
        own = {
            n: within(getattr(p, n), *self.reach.get(n, _wider(*ends)))
            for n, ends in self.own.items()
        }
        lowest = at_least(0.1 * self.perp / at_most(s, high), self.narrowest)
        return p._replace(s=s, sine=within(p.sine, at_most(lowest, 1.0), 1.0), **own)

    def uniform(
        self, name: str, u: Float[np.ndarray, " rows"], margin: float | int
    ) -> Float[np.ndarray, " rows"]:
        """Unit numbers to the range of a parameter, widened by half of ``margin`` - 1 each way."""
        low, high = self.own[name]
        widen = 0.5 * (margin - 1.0)
        return low - widen + (high - low + 2.0 * widen) * u

    def directions(
        self, u: Cube, margin: float | int, crowding: float = 1.5, lowest: float | None = None
    ) -> Sample:
        """Unit numbers to s and theta <= pi/2.

        theta is half uniform, half logarithmic; there are more points at low s. ``lowest``: of s
        and s sin(theta) in place of those of the box.
        """
        # nothing is sampled below: other rules hold there
        (s_low, s_high), perp, highest_x = self.s, self.perp, self.highest_x
        if lowest is not None:
            s_low = perp = lowest
        s_high = min(s_high, self.drawn)
        left, right = (
            np.arcsin(max(perp / s_high / margin, np.sqrt(perp / highest_x), _NARROWEST / margin)),
            0.5 * np.pi,
        )
        t = 2.0 * u[:, 1] % 1.0
        theta = np.where(u[:, 1] < 0.5, left + (right - left) * t, left * (right / left) ** t)
        sine = np.sin(theta)
        low = np.maximum(s_low / margin * sine, perp)
        high = np.maximum(np.minimum(s_high * margin, highest_x * sine) * sine, low)
        return {"s": low * (high / low) ** (u[:, 0] ** crowding) / sine, "theta": theta}


def above(true: Point, p: Point) -> Points:
    """ln of the true s over that of ``p``, the nearest point, where this is lower; else 0."""
    return jnp.log(at_least(true.s, p.s)) - jnp.log(p.s)


def anywhere(outside: Mapping[str, Masks]) -> tuple[Masks, Masks]:
    """``invalid`` of families that hold for all eight in one box."""
    return (functools.reduce(jnp.logical_or, outside.values()),) * 2
