"""What single harmonics leave on coefficients at low frequency.

In the frame where the wave runs across B an electron of energy y at the pitch cosine t radiates at
the harmonic n = s' y, s' = s sin(theta): emission is the sum over n > s' of some K(n). A network is
good at the integral over n that the sum becomes far above the fundamental, and what the sum has
beside it is known from an approximate K: J_n^2 as Debye's exponential, f = exp(-steep y), t where
both together peak.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from synchrojax.core import (
    Arrays,
    Points,
    at_least,
    at_most,
    complex_root,
    cosine_sine,
    fused,
    reciprocal,
    rows_of,
    square_root,
    within,
)
from synchrojax.families._box import LOWEST_SUMMED

EMISSION, ROTATION = 4, 4  # how many parts come with a mean
_LEAST = 0.02  # of ratios to the integral, which the exact ones stay above
_HIGHEST = 30.0  # s sin(theta) from where on nothing is left in float32

# nodes of the integral over n: ln(n / s' - 1), trapezoidal rule; electrons beyond them radiate no
# single harmonics
_STEP = 0.6
_LOG_X = -3.6 + _STEP * np.arange(12)
# nodes of the sum less the integral, n = s' + i v / (2 pi), and their weights over pi: made by
# data/make_harmonics.py
_V = np.array(
    [
        0.102952047,
        0.419743709,
        1.06982806,
        2.16164533,
        3.80330358,
        6.12269526,
        9.30489069,
        13.6829798,
    ]
)
_SHARE = np.array(
    [
        0.054169491,
        0.0972099059,
        0.0931926347,
        0.0493999638,
        0.0138834205,
        0.00189289093,
        0.000107257577,
        1.87862237e-06,
    ]
)


class Harmonics(NamedTuple):
    """What single harmonics leave, zero far above the fundamental.

    ``emission`` [4, ...]: ln of the sum over the integral; that ratio less 1; ln of the mean of n -
    s' in the sum over that in the integral, and of the mean of its square. ``rotation`` [4, ...]:
    over the integral, the sum less it and the integral of K cot(pi n), which is the same on the
    other side of the resonances (Kramers and Kronig), each with the weights 1 and n - s'.
    """

    emission: Float[Array, "4 *points"]
    rotation: Float[Array, "4 *points"]


def _integral(s_perp: Points, lean: Points, steep: Points) -> tuple[Points, Points, Points]:
    """ln of the integral of K over n, and the means of n - s' and of its square."""
    x = np.exp(_LOG_X)
    more, less = rows_of(_LOG_X, s_perp), rows_of(np.log(2.0 + x), s_perp)
    square, x = rows_of(x * (2.0 + x), s_perp), rows_of(x, s_perp)
    row = s_perp[None]
    n, z = row * (1.0 + x), lean[None] * square
    over = 1.0 + square_root(1.0 + z)
    rest = row * (z * reciprocal(over) - jnp.log(0.5 * over)) - steep[None] * x
    log_k = (n + 1.5) * more - (n - 0.5) * less + rest
    highest = jax.lax.stop_gradient(jnp.max(log_k, 0))
    k = jnp.exp(log_k - highest[None])
    total = jnp.sum(k, 0)
    mean, square = (jnp.sum(k * v, 0) * reciprocal(total) for v in (x, x * x))
    log_integral = highest + jnp.log(total * s_perp) + float(np.log(_STEP))
    return log_integral, s_perp * mean, s_perp * s_perp * square


def _arctan(x: Points) -> Points:
    """The arcus tangent near 0 (Pade), right to 2e-4 at 1: it turns phases of an approximate K."""
    square = x * x
    up = 945.0 + square * (735.0 + 64.0 * square)
    return x * up * reciprocal(945.0 + square * (1050.0 + 225.0 * square))


def _remainder(
    s_perp: Points, lean: Points, steep: Points, log_integral: Points
) -> tuple[Points, ...]:
    """Integral of K (cot(pi n) + i) over n above the axis, over that of K.

    Its real and its imaginary part; those of the same times n - s'; the imaginary part of the same
    times (n - s')^2.
    """
    u, log_u = (rows_of(v, s_perp) for v in (_V / (2.0 * np.pi), np.log(_V / (2.0 * np.pi))))
    share, decay = rows_of(_SHARE, s_perp), rows_of(np.exp(-_V), s_perp)
    s, per, lean, steep = s_perp[None], reciprocal(s_perp)[None], lean[None], steep[None]
    w = u * per  # y = 1 + i w
    log_w = log_u + jnp.log(per)
    # s' (r - 1 - ln((1 + r) / 2)) - i steep w, r = sqrt(1 + z)
    r_a, r_b = complex_root(1.0 - lean * w * w, 2.0 * lean * w)
    up = 1.0 + r_a
    lift = s * (r_a - 1.0 - 0.5 * jnp.log(0.25 * (up * up + r_b * r_b)))
    phase = s * (r_b - _arctan(r_b * reciprocal(up))) - steep * w
    # (n + 1/2) ln(i w) - (n - 1/2) ln(2 + i w)
    log_more, turn = 0.5 * jnp.log(4.0 + w * w), _arctan(0.5 * w)
    size = (s + 0.5) * log_w - 0.5 * np.pi * u - (s - 0.5) * log_more + u * turn
    angle = u * (log_w - log_more) + 0.5 * np.pi * (s + 0.5) - (s - 0.5) * turn
    # cot + i = 2 i q / (q - 1), q = e^(2 pi i n)
    around = 2.0 * np.pi * s
    cosine, sine = cosine_sine(around)
    real, imag = 1.0 - decay * cosine, decay * sine
    size = jnp.exp(size + lift - log_integral[None]) * share
    size = size * reciprocal(real * real + imag * imag)
    cosine, sine = cosine_sine(angle + phase + around)
    real, imag = size * (cosine * real - sine * imag), size * (sine * real + cosine * imag)
    return tuple(jnp.sum(v, 0) for v in (real, imag, -u * imag, u * real, -u * u * imag))


def _parts(s_perp: Points, cosine: Points, steep: Points) -> tuple[Points, ...]:
    """The parts of ``Harmonics`` in their order."""
    # along B nothing is left of them, whatever the temperature; this keeps float32 in range
    steep = at_most(steep, 300.0)
    per = cosine * steep * reciprocal(s_perp)
    lean = per * per
    log_integral, mean, square = _integral(s_perp, lean, steep)
    turned, less, turned_by_n, less_by_n, less_by_square = _remainder(
        s_perp, lean, steep, log_integral
    )

    # of three sums over their integrals
    less_of = less, less_by_n * reciprocal(mean), less_by_square * reciprocal(square)
    log_sum, *logs = (jnp.log(at_least(1.0 - share, _LEAST)) for share in less_of)
    log_means = (log - log_sum for log in logs)
    return log_sum, -less, *log_means, -less, turned, -less_by_n, turned_by_n


def harmonics(
    s_perp: Points, cosine: Points, steep: Points, count: Points | float = 1.0
) -> Harmonics:
    """``Harmonics`` of electrons that fall as exp(-steep y).

    ``count``: what the parts are multiplied by.
    """
    near = s_perp < _HIGHEST
    s_perp, count = within(s_perp, LOWEST_SUMMED, _HIGHEST), jnp.where(near, count, 0.0)
    found = jax.lax.cond(
        jnp.any(near),
        lambda *x: tuple(fused(_parts, *x)),
        lambda *x: (jnp.zeros_like(x[0]),) * (EMISSION + ROTATION),
        *(s_perp, cosine, steep),
    )
    parts = count[None] * jnp.stack(found)
    return Harmonics(parts[:EMISSION], parts[EMISSION:])


def with_harmonics(
    output: Float[Arrays, "outputs *points"], parts: Float[Arrays, "parts *points"]
) -> Float[Array, "means *points"]:
    """[(1 + parts) k, ...] -> [k, ...]: a mean and what comes with each part."""
    mean, *shares = jnp.split(output, 1 + len(parts))
    return mean + sum(part[None] * share for part, share in zip(parts, shares, strict=True))


def share_near_fundamental(
    s_perp: Float[Arrays, " rows"], counted: float
) -> Float[np.ndarray, " rows"]:
    """Weights of rows in training: less where the parts leave more than the error ``counted``."""
    # a choice: cold electrons leave up to about this
    left = 2.0 * np.exp(-3.0 * np.asarray(s_perp))
    return 1.0 / (1.0 + left / counted)
