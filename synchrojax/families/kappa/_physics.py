"""Kappa electrons: joined power laws, the average that gives rho_Q, and network input."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from synchrojax.core import (
    Arrays,
    Points,
    at_least,
    at_most,
    reciprocal,
    rows_of,
    softplus,
    square_root,
    within,
)
from synchrojax.families import _pitch
from synchrojax.families._box import direction_features
from synchrojax.families._harmonics import (
    SUMMED,
    Harmonics,
    harmonics,
    mean_and_added,
    with_harmonics,
)
from synchrojax.families._single_electron import conversion_kernel, conversion_size


class Point(NamedTuple):
    """A direction and a distribution; all that the coefficients depend on."""

    s: Points
    sine: Points
    cosine: Points
    kappa: Points
    w: Points
    k: Any  # like the others, or none: isotropic


class Frame(NamedTuple):
    """What baselines and features are built from."""

    log_s: Points
    log_sine: Points
    gamma: Points  # gamma_0
    width: Points  # W
    log_x: Points  # ln(gamma_0 / W)


def frame_of(p: Point) -> Frame:
    log_s, log_sine = jnp.log(p.s), jnp.log(p.sine)
    log_gamma = 0.5 * (log_s - log_sine)
    width = 2.0 * p.kappa * p.w / (p.kappa - 1.0)
    return Frame(log_s, log_sine, jnp.exp(log_gamma), width, log_gamma - jnp.log(width))


def baselines(p: Point, frame: Frame) -> tuple[Points, Points, Points]:
    """ln j_I, ln alpha_I and the scale of j_V / j_I, up to a constant.

    They are for nu = 1 Hz and n_e = 1 cm^-3. j ~ f(gamma_0) gamma_0 far above W (a power law) and
    gamma_0^(-4/3) far below (single electrons at low frequency).
    """
    # -67 is about ln(e^2 / c), 62 about -ln(2 m_e), the ratio of absorption to emission but for
    # powers of gamma and nu: what is left to learn is of order one
    tail = p.kappa * p.w
    shape = (p.kappa + 1.0) * jnp.log1p((frame.gamma - 1.0) / tail)
    reach = jnp.log(frame.gamma) + softplus(7.0 / 3.0 * (jnp.log(tail) - jnp.log(frame.gamma)))
    norm = jnp.log(tail**3 / (p.kappa - 2.0) / p.kappa**2 + tail * jnp.sqrt(tail) / p.kappa**1.5)
    log_j = reach - shape - norm - 67.0
    log_alpha = log_j + jnp.log((p.kappa + 1.0) / (tail + frame.gamma - 1.0)) + 62.0
    lean = jnp.exp(-softplus(-frame.log_x) / 3.0 - 0.5 * (frame.log_s + frame.log_sine))
    return log_j, log_alpha, 2.0 * p.cosine * lean


HIGHEST_X = 1e19  # of s / sin(theta), a choice: that of electrons of gamma = 3e9
# nodes in ln((gamma - 1) / (kappa w)): the trapezoidal rule converges exponentially. With half the
# step rho_Q changes by 1.5e-4 of its size at most, with nodes from -12 on by 5e-4, with sin^k by
# 7e-4 and 4e-3 (tests/families/test_quadratures.py); the network takes that up. They end above
# the electrons that radiate most at HIGHEST_X
STEP = 0.35
_NODES = np.arange(-7.0, 26.51, STEP)


class Conversion(NamedTuple):
    """rho_Q for large s sin(theta), over that of cold plasma.

    ``size``: of what is learned beside it, which is smooth where electrons of either sign cancel;
    ``uncancelled``: what it would be if they all had one sign.
    """

    value: Points
    size: Points
    uncancelled: Points


def conversion(p: Point, frame: Frame) -> Conversion:
    """``Conversion``: <(2 gamma - 1 / gamma) kernel> over the distribution.

    Limit: Shcherbakov & Huang 2011 (MNRAS 410, 1052). With sin^k as each electron smears it.
    """
    steps, grow = (rows_of(v, p.kappa) for v in (_NODES, np.log1p(np.exp(_NODES))))
    tail = p.kappa * p.w
    reach = tail[None] * jnp.exp(steps)
    gamma, cold = 1.0 + reach, reciprocal(reach)
    count = jnp.sqrt(1.0 + 2.0 * cold) * jnp.exp(3.0 * steps - (p.kappa + 1.0)[None] * grow)
    weight = count * (2.0 + cold * (4.0 + cold)) * jnp.exp(steps)
    log_x = 2.0 * (jnp.log(frame.gamma)[None] - jnp.log(gamma))
    kernel, size = conversion_kernel(log_x), conversion_size(log_x)
    if p.k is not None:
        fast, change = _pitch.off_cone(p, gamma, log_x)
        kernel, size = kernel + fast * change, size * (1.0 + change)
        weight = weight * jnp.exp(p.k * frame.log_sine - _pitch.log_mean(p.k))[None]
    per = tail / jnp.sum(count * (1.0 + cold), 0)
    return Conversion(*(per * jnp.sum(weight * v, 0) for v in (kernel, size, jnp.abs(kernel))))


class RotationScales(NamedTuple):
    """``Conversion``, the size of corrections that fall with s', and rho_V up to a factor.

    All over those of cold plasma.
    """

    conversion: Conversion
    step: Points
    rho_v: Points


def rotation_scales(p: Point, frame: Frame) -> RotationScales:
    """``RotationScales``."""
    # rho_V joins that of cold electrons and ln(w) / w^2 of hot ones; the 10 leaves it of order one.
    # Corrections of rho_Q fall as s'^(-2/3); 1e-3 is a choice of scale for what is left of them and
    # of the errors of ``conversion``
    found = conversion(p, frame)
    scale_v = (1.0 + jnp.log1p(p.w)) / (1.0 + 10.0 * p.w * p.w)
    small = 1e-3 + jnp.exp(-(frame.log_s + frame.log_sine) * (2.0 / 3.0))
    return RotationScales(found, found.size * small, scale_v)


def _steepness(s_perp: Points, p: Point) -> Points:
    """-d ln f / dy (``families._harmonics``) where electrons emit: that of thermal ones there.

    y and the momentum along B are those of the saddle of the emission of thermal electrons
    (``families.thermal._saddle``), by a root that is right to 15 %: what it misses is learned.
    """
    # below the box sine is raised, but the cosine stays
    sine, power, along_b = p.sine, p.kappa + 1.0, at_least(1.0 - p.sine * p.sine, 0.0)
    least = sine * (p.kappa * p.w - 1.0) + 1.0
    energy: Any = square_root(4.0 / 3.0 * s_perp * reciprocal(power))
    for _ in range(3):
        steep = power * reciprocal(least + energy)
        y = steep * reciprocal(s_perp)
        double = jnp.log1p(2.0 * (jnp.exp(jnp.log(0.75 * y) / 3.0) + y))  # 2 alpha
        decay = jnp.exp(-double)
        coth = (1.0 + decay) * reciprocal(1.0 - decay)
        a = steep * coth + s_perp * (double * coth - 2.0)
        along = along_b * steep
        energy = (a * coth - along) * reciprocal(square_root(a * a - along * steep)) - 1.0
    return power * reciprocal(least + energy)


def harmonics_of(p: Point) -> Harmonics:
    """``Harmonics`` at these points."""
    s_perp = p.s * p.sine
    return harmonics(s_perp, p.cosine, _steepness(within(s_perp, *SUMMED), p))


def features(p: Point, frame: Frame) -> list[Points]:
    """Network input [7]."""
    # centres and widths bring the features to order one, and the network learns the rest; from
    # gamma_0 = e^12 W on nothing but the power law is left
    return [
        at_most(frame.log_x, 12.0) / 6.0,
        jnp.tanh(0.5 * frame.log_x),
        jnp.log(frame.width) / 4.0,
        1.0 / (1.0 + frame.width),
        (p.kappa - 5.0) / 3.0,
        *direction_features(p.s, p.sine),
    ]


def plane(output: Float[Arrays, "outputs *points"], scale_v: Points) -> tuple[Points, Points]:
    """Where the polarization lies in the plane (``from_plane``)."""
    return -jnp.exp(output[1]), scale_v * jnp.exp(output[2])


def joined(
    head: str, output: Float[Arrays, "outputs *points"], parts: Float[Arrays, "parts *points"]
) -> Float[Array, "targets *points"]:
    """Network output with its ``Harmonics.of``.

    Of emission and absorption [3]: what ln I has beside its baseline, and what ``plane`` takes; of
    rho_Q and rho_V [1]: the correction over its size, and the ratio to its scale.
    """
    if head == "rho_V":
        mean, added = mean_and_added(output, parts)
        return (jnp.exp(mean) + added)[None]
    found = with_harmonics(output, parts)
    return found if head == "rho_Q" else found.at[0].add(parts[0])
