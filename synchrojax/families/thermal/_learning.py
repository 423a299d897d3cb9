"""What the networks of thermal electrons learn from."""

import jax.numpy as jnp
import numpy as np

from synchrojax.core import Columns
from synchrojax.families._base import Cube, Rows, Sample
from synchrojax.families.thermal._physics import (
    LOWEST,
    emission_features,
    encode_rotation,
    encode_stokes,
    faraday_limits,
    log_emissivity,
    rotation_features,
    rotation_frame,
)
from synchrojax.families.thermal._point import DOMAIN, ROTATION_THETA_E, Point, point_of, x_of
from synchrojax.families.thermal._saddle import saddle


def sample(u: Cube, margin: float | int) -> Sample:
    """Map points u of the unit cube [n, 3] into the box, widened by the factor ``margin``.

    Half of them fill the box of the emission (theta_e and x limited), half that of the
    rotativities, mostly where these differ from their limits. theta is half uniform, half
    logarithmic. Returns {"s": ..., "theta": ..., "theta_e": ...} with theta <= pi/2: the other half
    is symmetric.
    """
    (s_lo, s_hi), (theta_e_lo, theta_e_hi) = DOMAIN["s"], DOMAIN["theta_e"]
    perp_lo, x_hi = DOMAIN["s_sin_theta"][0], DOMAIN["x"][1]
    emission = u[:, 0] < 0.5
    lo = np.where(emission, theta_e_lo, ROTATION_THETA_E) / margin
    theta_e = lo * (theta_e_hi * margin / lo) ** (2.0 * u[:, 0] % 1.0)

    # 15 % of them, a choice
    far = u[:, 1] > 0.85  # rotativities out to the highest s
    near_s = np.where(far, s_hi, 1e4)
    sine_lo = np.where(emission, np.sqrt(perp_lo / x_hi) / theta_e, perp_lo / near_s) / margin
    theta_lo, right = np.arcsin(sine_lo), 0.5 * np.pi
    t = 2.0 * u[:, 2] % 1.0
    theta = np.where(
        u[:, 2] < 0.5, theta_lo + (right - theta_lo) * t, theta_lo * (right / theta_lo) ** t
    )
    sine = np.sin(theta)

    low = np.maximum(perp_lo, s_lo * sine) / margin
    high = np.where(
        emission,
        x_hi * theta_e**2 * sine**2,
        near_s * sine * np.where(far, 1.0, 1.0 + theta_e**2 * sine),
    )
    high = np.maximum(np.minimum(high, s_hi * sine) * margin, low)
    t = np.where(emission, u[:, 1], np.where(far, (u[:, 1] - 0.85) / 0.15, u[:, 1] / 0.85))
    s = low * (high / low) ** t / sine
    return {"s": s, "theta": theta, "theta_e": theta_e}


def training_rows(head: str, table: Columns) -> Rows:
    """What a head learns; ``extra``: cos and sin of the ripple.

    V carries no information at right angles; rho_V counts more near B.
    """
    p = point_of(*(np.asarray(table[name]) for name in ("s", "theta", "theta_e")))
    use = np.abs(p.cosine) > 1e-12
    if head == "emission":
        use &= (p.theta_e > DOMAIN["theta_e"][0] / 1.25) & (x_of(p) < 1.25 * DOMAIN["x"][1])
        use &= np.asarray(table["j_I"]) > 0.0
    keep = np.flatnonzero(use)
    p, row = Point(*(v[keep] for v in p)), {k: np.asarray(v)[keep] for k, v in table.items()}
    wave = saddle(p)
    ripple = jnp.stack([wave.ripple_cos, wave.ripple_sin]).T
    if head == "emission":
        base = log_emissivity(p, wave.exponent)
        polarization = row["j_Q"] / row["j_I"], row["j_V"] / row["j_I"]
        target = encode_stokes(np.log(row["j_I"]), *polarization, base, p.cosine, wave.sinh)
        features = jnp.stack(emission_features(p), -1)
        return Rows(keep, features, ripple, target.T, np.ones(target.T.shape))
    limit_q, limit_v = faraday_limits(p)
    ratio_q, ratio_v = row["rho_Q"] / limit_q, row["rho_V"] / limit_v
    target = encode_rotation(ratio_q, ratio_v, p)
    low, scale_q, scale_v = rotation_frame(p)
    if head == "rho_Q":
        # near its zero it counts relative to 2 % of its low-frequency law
        g = ratio_q / low
        target, weight = target[:1], scale_q * (g + LOWEST) / jnp.maximum(jnp.abs(g), 0.02)
    else:
        # d/d theta is 1 / sin(theta) times the derivative with the logarithm that the network sees
        near_b = jnp.maximum(1.0, 0.02 / jnp.maximum(p.sine, 1e-4))
        target, weight = target[1:], scale_v / jnp.abs(ratio_v) * near_b
    return Rows(keep, jnp.stack(rotation_features(p), -1), ripple, target.T, weight[:, None])
