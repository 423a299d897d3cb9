"""What single harmonics leave on coefficients at low frequency.

In the frame where the wave runs across B an electron of energy y at the pitch cosine t radiates at
the harmonic n = s' y, s' = s sin(theta): emission is the sum over n > s' of some K(n). A network is
good at the integral over n that the sum becomes far above the fundamental, and what the sum has
beside it is known from an approximate K: J_n^2 as Debye's exponential, f = exp(-steep y), t where
both together peak. Rotativities have what the resonances n = s' y leave, too: K cot(pi n) is
integrated, with t small in K.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from synchrojax.core import (
    Arrays,
    Points,
    Reals,
    at_least,
    at_most,
    complex_root,
    cosine_sine,
    fused,
    reciprocal,
    rows_of,
    smooth_step,
    square_root,
    within,
)
from synchrojax.families._box import LOWEST_SUMMED

EMISSION, ROTATION = 4, 4  # how many parts come with a mean
_LEAST = 0.02  # of ratios to the integral, which the exact ones stay above
# s sin(theta) of sums; nothing is left in float32 from the last on
SUMMED = (LOWEST_SUMMED, 30.0)

# Emission: harmonics that are summed, and the v = n - s' where a smooth window ends sum and
# integral: so far that K is smooth from there on, so soft that it leaves no harmonics itself
_COUNTED = 8
_END, _SOFT = 3.6, 0.9
_ENDED = _END + 4.6 * _SOFT
# nodes of the integral, Gauss's rule: in v^(2/3) to there, then in ln v for 25 s' more, beyond
# which electrons no longer count
_BEYOND = 25.0
_GAUSS, _WEIGHT = np.polynomial.legendre.leggauss(14)
_FIRST = _ENDED * (0.5 + 0.5 * _GAUSS) ** 1.5
_FIRST_WEIGHT = 0.75 * _ENDED * np.sqrt(0.5 + 0.5 * _GAUSS) * _WEIGHT
_WINDOW_SCALE = 1.0 / (_SOFT * math.sqrt(2.0))
_FIRST_SEEN = [0.5 * math.erfc((v - _END) * _WINDOW_SCALE) for v in _FIRST] * _FIRST_WEIGHT
_LAST, _LAST_WEIGHT = np.polynomial.legendre.leggauss(6)
# towards B next to nothing is left of single harmonics, and K gets too narrow for these nodes
_STEEPEST = 160.0

# Rotativities: nodes of the integral over n: ln(n / s' - 1), trapezoidal rule; electrons beyond
# them turn no single harmonics
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

    def of(self, head: str) -> Float[Array, "4 *points"]:
        """The parts that the network of a head has shares of."""
        return self.rotation if head.startswith("rho") else self.emission


def _log_k(v: Reals, s_perp: Reals, cosine: Reals, steep: Reals) -> Reals:
    """ln K(s' + v) of emission, up to a constant.

    In the frame where the wave runs across B the momentum is sqrt(y^2 - 1), y = 1 + v / s', and its
    part along B is sinh(phi) where J_n^2 f peaks: sinh(2 phi) s' / (cosine steep) is the square of
    the momentum across B.
    """
    x = v * reciprocal(s_perp)
    square = x * (2.0 + x)
    a = 2.0 * s_perp * reciprocal(at_least(jnp.abs(cosine) * steep, 1e-3 * s_perp))
    twice = 1.0 + 2.0 * square
    e = (twice + square_root(4.0 * square * (1.0 + square) + a * a)) * reciprocal(1.0 + a)
    root = square_root(e)
    inverse = reciprocal(root)
    cosh, sinh = 0.5 * (root + inverse), 0.5 * (root - inverse)
    cosh_2, sinh_2 = 0.5 * (e + inverse * inverse), 0.5 * (e - inverse * inverse)
    across = square - sinh * sinh  # squared momentum across B
    sum_ = 1.0 + x + cosh
    fall = (s_perp + v) * jnp.log(across * reciprocal(sum_ * sum_))
    fall = fall + 2.0 * s_perp * (cosh - 1.0) - steep * (x - jnp.abs(cosine) * sinh)
    spread = cosh * (cosh_2 * across + 0.5 * sinh_2 * sinh_2)
    return fall + 0.5 * jnp.log((cosh_2 * across) ** 2 * reciprocal(spread))


def _emission(s_perp: Points, cosine: Points, steep: Points) -> tuple[Points, ...]:
    """The parts of ``Harmonics.emission``."""
    fading = smooth_step(2.0 - 2.0 / _STEEPEST * steep)
    row, steep = s_perp[None], at_most(steep, _STEEPEST)[None]
    single = rows_of(np.arange(1.0, _COUNTED + 0.5), s_perp) - (row - jnp.floor(row))
    half = 0.5 * (jnp.log(_ENDED + _BEYOND * row) - float(np.log(_ENDED)))
    last = _ENDED * jnp.exp(half * (1.0 + rows_of(_LAST, s_perp)))
    first = rows_of(_FIRST, s_perp) + jnp.zeros_like(row)
    v = jnp.concatenate([at_least(single, 1e-3), first, last])
    log_k = _log_k(v, row, cosine[None], steep)
    k = jnp.exp(log_k - jax.lax.stop_gradient(jnp.max(log_k, 0))[None])
    at_single, at_first, at_last = jnp.split(k, [_COUNTED, _COUNTED + len(_FIRST)])
    window = 0.5 * jax.lax.erfc((v[:_COUNTED] - _END) * _WINDOW_SCALE)
    less = at_first * rows_of(_FIRST_SEEN, s_perp)
    seen = jnp.concatenate([at_single * window, -less])
    at_first = at_first * rows_of(_FIRST_WEIGHT, s_perp)
    at_last = at_last * (rows_of(_LAST_WEIGHT, s_perp) * half * last)
    every = jnp.concatenate([at_first, at_last])

    def over_integral(power: Float[Array, "nodes *points"]) -> Points:
        sums = jnp.sum(seen * power[: len(seen)], 0)
        return sums * reciprocal(jnp.sum(every * power[_COUNTED:], 0))

    ratios = [over_integral(power) for power in (jnp.ones_like(v), v, v * v)]
    log_sum, *logs = (jnp.log(at_least(1.0 + ratio, _LEAST)) for ratio in ratios)
    parts = log_sum, ratios[0], *(log - log_sum for log in logs)
    return tuple(fading * part for part in parts)


def _log_integral(s_perp: Points, lean: Points, steep: Points) -> Points:
    """ln of the integral over n of K of the rotativities."""
    x = np.exp(_LOG_X)
    more, less = rows_of(_LOG_X, s_perp), rows_of(np.log(2.0 + x), s_perp)
    square, x = rows_of(x * (2.0 + x), s_perp), rows_of(x, s_perp)
    row = s_perp[None]
    n, z = row * (1.0 + x), lean[None] * square
    over = 1.0 + square_root(1.0 + z)
    rest = row * (z * reciprocal(over) - jnp.log(0.5 * over)) - steep[None] * x
    log_k = (n + 1.5) * more - (n - 0.5) * less + rest
    highest = jax.lax.stop_gradient(jnp.max(log_k, 0))
    total = jnp.sum(jnp.exp(log_k - highest[None]), 0)
    return highest + jnp.log(total * s_perp) + float(np.log(_STEP))


def _arctan(x: Points) -> Points:
    """The arcus tangent near 0 (Pade), right to 2e-4 at 1: it turns phases of an approximate K."""
    square = x * x
    up = 945.0 + square * (735.0 + 64.0 * square)
    return x * up * reciprocal(945.0 + square * (1050.0 + 225.0 * square))


def _remainder(
    s_perp: Points, lean: Points, steep: Points, log_integral: Points
) -> tuple[Points, ...]:
    """Integral of K (cot(pi n) + i) over n above the axis, over that of K.

    Its real and its imaginary part, and those of the same times n - s'.
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
    return tuple(jnp.sum(v, 0) for v in (real, imag, -u * imag, u * real))


def _parts(s_perp: Points, cosine: Points, steep: Points) -> tuple[Points, ...]:
    """The parts of ``Harmonics`` in their order."""
    emission = _emission(s_perp, cosine, steep)
    # along B nothing is left of rotativities, whatever the temperature; this keeps float32 in range
    steep = at_most(steep, 300.0)
    per = cosine * steep * reciprocal(s_perp)
    lean = per * per
    log_integral = _log_integral(s_perp, lean, steep)
    turned, less, turned_by_n, less_by_n = _remainder(s_perp, lean, steep, log_integral)
    return *emission, -less, turned, -less_by_n, turned_by_n


def harmonics(
    s_perp: Points, cosine: Points, steep: Points, count: Points | float = 1.0
) -> Harmonics:
    """``Harmonics`` of electrons that fall as exp(-steep y).

    ``count``: what the parts are multiplied by.
    """
    near = s_perp < SUMMED[1]
    s_perp, count = within(s_perp, *SUMMED), jnp.where(near, count, 0.0)
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


def mean_and_added(
    output: Float[Arrays, "outputs *points"], parts: Float[Arrays, "parts *points"]
) -> tuple[Points, Points]:
    """Network output [1 + parts, ...] -> its mean, and the sum of what comes with each part."""
    return output[0], jnp.sum(parts * output[1:], 0)


def share_near_fundamental(
    s_perp: Float[Arrays, " rows"], counted: float, parts: Float[Arrays, "parts rows"] | None = None
) -> Float[np.ndarray, " rows"]:
    """Weights of rows in training: less where the parts leave more than the error ``counted``.

    ``parts``, if given: of the rows. Where they are small they leave less.
    """
    # choices: cold electrons leave up to about this
    left = 2.0 * np.exp(-3.0 * np.asarray(s_perp))
    if parts is not None:
        left = left * np.minimum(10.0 * np.max(np.abs(np.asarray(parts)), 0), 1.0)
    return 1.0 / (1.0 + left / counted)
