"""What a factor sin^k of the pitch angle changes for kappa electrons (``families._pitch``)."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from synchrojax.core import Arrays, Reals
from synchrojax.families import _pitch
from synchrojax.families._base import Inputs
from synchrojax.families.kappa import _physics as physics


def log_rotation_v(p: physics.Point, frame: physics.Frame, cone: Reals) -> Float[Array, "*points"]:
    """ln of what anisotropy makes of rho_V: the logarithm over angles that it gains
    (``_pitch.rotation_v``).
    """
    fixed, spread = _pitch.rotation_v(p, cone + 1.0 / (1.0 + frame.width * frame.width))
    return jnp.log(fixed + spread / (1.0 + jnp.log1p(frame.width))) - _pitch.log_mean(p.k)


def combine(
    head: str, output: Float[Arrays, "outputs *points"], extra: Float[Arrays, "extra *points"]
) -> Float[Array, "parts *points"]:
    """What anisotropy adds: parts that stay and parts that fall as 1 / s'."""
    if head in ("pitch_emission", "pitch_absorption"):
        k, slow = extra
        return jnp.stack([slow * output[0], slow * output[1], k * output[2] + slow * output[3]])
    return jnp.sum(extra * output, 0, keepdims=True)


def inputs(p: physics.Point, frame: physics.Frame) -> dict[str, Inputs]:
    """head -> (features, what ``combine`` takes) for the networks of anisotropy."""
    smear, slow = _pitch.smear(p, frame.width), p.k / (p.s * p.sine)
    isotropic, angle = physics.features(p, frame), [0.5 * p.k - 1.0, smear.log_across / 6.0]
    power, square = jnp.exp(smear.log_power), isotropic[-1]
    stokes = jnp.stack([*isotropic, *angle]), jnp.stack([p.k, slow])
    falling = slow * jax.nn.sigmoid(1.5 - 1.5 * frame.log_x)
    far, k = jnp.stack([*isotropic[2:5], square, *angle, power]), p.k[None]
    return {
        "pitch_emission": stokes,
        "pitch_absorption": stokes,
        "pitch_rho_Q_far": (far, 0.02 * k * smear.share[None]),
        "pitch_rho_Q": (jnp.stack([*isotropic, angle[0]]), falling[None] * _pitch.curvature(p)),
        "pitch_rho_V_far": (jnp.stack([*far, 2.0 * smear.share - 1.0]), k),
        "pitch_rho_V": (
            jnp.stack([*isotropic, *angle, power]),
            k * jax.nn.sigmoid(3.0 - 2.0 * frame.log_x)[None],
        ),
    }
