"""What a factor sin^k of the pitch angle changes for kappa electrons (``families._pitch``)."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from synchrojax.core import Arrays, Reals, reciprocal, stacked
from synchrojax.families import _pitch
from synchrojax.families._base import Inputs
from synchrojax.families.kappa import _physics as physics


def log_rotation_v(p: physics.Point, frame: physics.Frame, cone: Reals) -> Float[Array, "*points"]:
    """ln of what sin^k makes of rho_V: the logarithm over angles (``_pitch.rotation_v``)."""
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


def inputs(
    p: physics.Point, frame: physics.Frame, isotropic: Float[Array, "features *points"]
) -> dict[str, Inputs]:
    """head -> (features, what ``combine`` takes) for the networks of anisotropy.

    ``isotropic``: ``features`` as an array.
    """
    # choices of scale: 0.02, since ``_pitch.log_smeared`` is right to 2 %, and where and how fast
    # what is learned of rho_Q and rho_V vanishes far above resonance, gamma_0 > e W and e^1.5 W
    smear, slow = _pitch.smear(p, frame.width), p.k * reciprocal(p.s * p.sine)
    angle = [0.5 * p.k - 1.0, smear.log_across / 6.0]
    added = stacked([*angle, jnp.exp(smear.log_power), 2.0 * smear.share - 1.0])
    stokes = jnp.concatenate([isotropic, added[:2]]), jnp.stack([p.k, slow])
    falling = slow * jax.nn.sigmoid(1.5 - 1.5 * frame.log_x)
    far, k = jnp.concatenate([isotropic[2:5], isotropic[-1:], added[:3]]), p.k[None]
    return {
        "pitch_emission": stokes,
        "pitch_absorption": stokes,
        "pitch_rho_Q_far": (far, 0.02 * k * smear.share[None]),
        "pitch_rho_Q": (
            jnp.concatenate([isotropic, added[:1]]),
            falling[None] * _pitch.curvature(p),
        ),
        "pitch_rho_V_far": (jnp.concatenate([far, added[3:]]), k),
        "pitch_rho_V": (
            jnp.concatenate([isotropic, added[:3]]),
            k * jax.nn.sigmoid(3.0 - 2.0 * frame.log_x)[None],
        ),
    }
