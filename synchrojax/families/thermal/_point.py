"""The box of thermal electrons and its points."""

import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from synchrojax.core import Points, at_least, reciprocal, sine_cosine, within
from synchrojax.families._base import Ends

# the trained box, a choice: s, theta and theta_e, then two combinations; below s sin(theta) = 5
# harmonics are seen one by one, and above x = 1e5 the emission has fallen by e^-62 or more
DOMAIN = {
    "s": (10.0, 1e8),
    "theta": (0.0, float(np.pi)),
    "theta_e": (0.1, 100.0),
    "s_sin_theta": (5.0, 1e8),
    "x": (0.0, 1e5),  # s / (theta_e^2 sin(theta))
}
# s and s sin(theta) down to which corrections run on below the box, a choice: from there on they
# leave the harmonics
FLOOR = 1.2
ROTATION_THETA_E = 1e-3  # rotativities: lowest theta_e, a choice, and any x


class Point(NamedTuple):
    """A direction and a temperature; all that the coefficients depend on.

    Logarithms go with them, so that each is taken once, whatever is cut off.
    """

    s: Points
    sine: Points
    cosine: Points
    theta_e: Points
    log_s: Points
    log_sine: Points
    log_theta_e: Points


def point_of(s: Points, theta: Points, theta_e: Points) -> Point:
    """A ``Point`` of s, theta [rad] and theta_e."""
    sine, cosine = sine_cosine(theta)
    # no slope of a logarithm leaves the range of float32; what follows uses s from FLOOR up
    logs = jnp.log(at_least(s, 1e-30)), jnp.log(at_least(sine, 1e-30)), jnp.log(theta_e)
    return Point(s, sine, cosine, theta_e, *logs)


def x_of(p: Point) -> Points:
    """s / (theta_e^2 sin(theta))."""
    return p.s / p.theta_e / (p.theta_e * at_least(p.sine, 1e-30))


def clamp(p: Point, *, s: Ends, theta_e: Ends) -> Point:
    """The nearest point: s and theta_e inside of ranges, then sin(theta) up to s' = FLOOR."""
    perp, highest = FLOOR, DOMAIN["s_sin_theta"][1]
    clipped = within(p.s, *s)
    lowest = at_least(perp * reciprocal(clipped), perp / highest)
    log_s, log_theta_e = (
        within(value, *map(math.log, ends))
        for value, ends in ((p.log_s, s), (p.log_theta_e, theta_e))
    )
    log_lowest = at_least(math.log(perp) - log_s, math.log(perp / highest))
    return Point(
        clipped,
        at_least(p.sine, lowest),
        p.cosine,
        within(p.theta_e, *theta_e),
        log_s,
        at_least(p.log_sine, log_lowest),
        log_theta_e,
    )
