"""The box of thermal electrons and its points."""

import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from synchrojax.core import Points, at_least, reciprocal, sine_cosine, within
from synchrojax.families._base import Ends
from synchrojax.families._box import FUNDAMENTAL, LOWEST_SUMMED

# the trained box, a choice: s, theta and theta_e, then two combinations; below s sin(theta) = 2,
# near the fundamental, single harmonics stand apart, and at x = 1e7 the emission has fallen by
# e^-350
DOMAIN = {
    "s": (3.0, 1e17),
    "theta": (0.0, float(np.pi)),
    "theta_e": (0.1, 100.0),
    "s_sin_theta": (2.0, 1e17),
    "x": (0.0, 1e7),  # s / (theta_e^2 sin(theta))
}
ROTATION_THETA_E = 1e-3  # rotativities: lowest theta_e, a choice, and any x
# lowest s sin(theta) for rotativities from half of the box's lowest theta_e down: harmonics of cold
# electrons are narrow
_COLD_PERP = 5.0


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
    # no slope of a logarithm leaves the range of float32; what follows uses s from LOWEST_SUMMED up
    logs = jnp.log(at_least(s, 1e-30)), jnp.log(at_least(sine, 1e-30)), jnp.log(theta_e)
    return Point(s, sine, cosine, theta_e, *logs)


def x_of(p: Point) -> Points:
    """s / (theta_e^2 sin(theta))."""
    return p.s / p.theta_e / (p.theta_e * at_least(p.sine, 1e-30))


def lowest_perp(theta_e: Points) -> Points:
    """The lowest s sin(theta) for rotativities at ``theta_e``: higher for cold electrons."""
    cold = within(2.0 - theta_e * (2.0 / DOMAIN["theta_e"][0]), 0.0, 1.0)
    return FUNDAMENTAL + (_COLD_PERP - FUNDAMENTAL) * cold


def clamp(p: Point, *, s: Ends, theta_e: Ends, perp: Points | float = LOWEST_SUMMED) -> Point:
    """The nearest point with s and theta_e inside given ranges, then sin(theta) up to s' = perp."""
    log_perp = jnp.log(perp)
    clipped = within(p.s, at_least(perp, s[0]), s[1])
    log_s = within(p.log_s, at_least(log_perp, math.log(s[0])), math.log(s[1]))
    return Point(
        clipped,
        at_least(p.sine, perp * reciprocal(clipped)),
        p.cosine,
        within(p.theta_e, *theta_e),
        log_s,
        at_least(p.log_sine, log_perp - log_s),
        within(p.log_theta_e, *map(math.log, theta_e)),
    )
