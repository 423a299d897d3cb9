"""What the networks of thermal electrons learn from."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from synchrojax.core import Arrays, Columns
from synchrojax.families._base import Cube, Rows, Sample
from synchrojax.families._box import LOWEST_SUMMED
from synchrojax.families._harmonics import mean_and_added, share_near_fundamental, with_harmonics
from synchrojax.families._learning import log_ratios, oblique
from synchrojax.families.thermal._physics import (
    emission_features,
    faraday_limits,
    harmonics_of,
    log_emissivity,
    rotation_features,
    rotation_frame,
    rotation_q,
)
from synchrojax.families.thermal._point import (
    DOMAIN,
    ROTATION_THETA_E,
    Point,
    lowest_perp,
    point_of,
    x_of,
)
from synchrojax.families.thermal._saddle import saddle


def sample(u: Cube, margin: float | int, s_lo: float, perp: float) -> Sample:
    """Map points u of the unit cube [n, 3] into the box, widened by the factor ``margin``.

    Half of them fill the box of the emission (theta_e and x limited), half that of the
    rotativities, mostly where these differ from their limits. theta is half uniform, half
    logarithmic; there are more points at low s, from ``s_lo`` and s sin(theta) = ``perp`` on.
    Returns {"s": ..., "theta": ..., "theta_e": ...} with theta <= pi/2: the other half is
    symmetric.
    """
    (theta_e_lo, theta_e_hi), x_hi = DOMAIN["theta_e"], DOMAIN["x"][1]
    emission = u[:, 0] < 0.5
    lo = np.where(emission, theta_e_lo, ROTATION_THETA_E) / margin
    theta_e = lo * (theta_e_hi * margin / lo) ** (2.0 * u[:, 0] % 1.0)

    # 15 % of them, a choice
    far = u[:, 1] > 0.85  # rotativities out to where nothing but their limits is left
    near_s = np.where(far, 1e8, 1e4)
    cold = np.maximum(np.asarray(lowest_perp(theta_e)), perp)
    lowest = np.where(emission, perp, cold) / margin
    sine_lo = np.where(emission, np.sqrt(lowest / x_hi) / theta_e, lowest / near_s) / margin
    theta_lo, right = np.arcsin(sine_lo), 0.5 * np.pi
    t = 2.0 * u[:, 2] % 1.0
    theta = np.where(
        u[:, 2] < 0.5, theta_lo + (right - theta_lo) * t, theta_lo * (right / theta_lo) ** t
    )
    sine = np.sin(theta)

    low = np.maximum(lowest, s_lo / margin * sine)
    high = np.where(
        emission,
        x_hi * theta_e**2 * sine**2,
        near_s * sine * np.where(far, 1.0, 1.0 + theta_e**2 * sine),
    )
    high = np.maximum(np.minimum(high, DOMAIN["s"][1] * sine) * margin, low)
    t = np.where(emission, u[:, 1], np.where(far, (u[:, 1] - 0.85) / 0.15, u[:, 1] / 0.85))
    s = low * (high / low) ** (t**1.5) / sine
    return {"s": s, "theta": theta, "theta_e": theta_e}


def training_rows(head: str, table: Columns) -> Rows:
    """What a head learns; ``extra``: what single harmonics leave, and what ``combine`` takes more.

    V carries no information at right angles; rho_V counts more near B.
    """
    p = point_of(*(np.asarray(table[name]) for name in ("s", "theta", "theta_e")))
    use = oblique(table["theta"]) & np.asarray(p.s * p.sine > LOWEST_SUMMED)
    if head == "emission":
        use &= (p.theta_e > DOMAIN["theta_e"][0] / 1.25) & (x_of(p) < 1.25 * DOMAIN["x"][1])
        use &= np.asarray(table["j_I"]) > 0.0
    else:  # harmonics of cold electrons are too narrow to learn
        use &= np.asarray(p.s * p.sine > 0.98 * lowest_perp(p.theta_e))
    keep = np.flatnonzero(use)
    p, row = Point(*(v[keep] for v in p)), {k: np.asarray(v)[keep] for k, v in table.items()}
    s_perp, waves = p.s * p.sine, harmonics_of(p)
    share: Any = share_near_fundamental(s_perp, 1e-3)
    if head == "emission":
        # a choice: with more of the rows near the fundamental it gets worse elsewhere
        share = share_near_fundamental(s_perp, 5e-4, waves.emission)
        peak = saddle(p)
        turn = p.cosine * peak.sinh
        base = log_emissivity(p, peak.exponent) + waves.emission[0]
        ratios = -row["j_Q"] / row["j_I"], row["j_V"] / row["j_I"] / turn
        target: Any = jnp.stack([np.log(row["j_I"]) - base, *map(jnp.log, ratios)])
        extra, features = [*waves.emission, turn], emission_features(p)
        weight: Any = share * np.ones(target.shape)
    else:
        limit_q, limit_v = faraday_limits(p)
        low, scale_q, scale_v = rotation_frame(p)
        extra, features = [*waves.rotation], rotation_features(p)
        if head == "rho_Q":
            extra = [*extra, scale_q]
            target = row["rho_Q"] / limit_q / low
            # near its zero it counts relative to 2 % of its low-frequency law
            weight = share / jnp.maximum(jnp.abs(target), 0.02)
        else:
            ratio = row["rho_V"] / limit_v
            target = (ratio - 1.0) / scale_v
            # d/d theta is 1 / sin(theta) times the derivative with the logarithm that is seen
            near_b = jnp.maximum(1.0, 0.02 / jnp.maximum(p.sine, 1e-4))
            weight = share * scale_v / jnp.abs(ratio) * near_b
        target, weight = target[None], weight[None]
    return Rows(keep, jnp.stack(features, -1), jnp.stack(extra, -1), target.T, weight.T)


def combined(
    head: str, output: Float[Arrays, "outputs *points"], extra: Float[Arrays, "extra *points"]
) -> Float[Arrays, "targets *points"]:
    """What the output of a head is compared with in ``training_rows``."""
    if head == "rho_V":
        return with_harmonics(output, extra)
    parts, last = extra[:-1], extra[-1]
    if head == "emission":
        return log_ratios(with_harmonics(output, parts), last)
    return rotation_q(*mean_and_added(output, parts), last)[None]
