"""What the network of one electron learns from a table."""

import jax.numpy as jnp
import numpy as np

from synchrojax.core import Columns, Points, cold, to_plane
from synchrojax.families._base import Rows
from synchrojax.families._learning import oblique
from synchrojax.families.monoenergetic import kernels as physics
from synchrojax.families.monoenergetic._limits import cubic, limits

# choices: emission counts less above x = 60, where nothing is left of it, and not above 400, where
# the table holds it in few digits; rho_Q at no less than 3 % of what it falls with at low x
_FADING, _HIGHEST, _FLOOR = 60.0, 400.0, 0.03


def rows_of(table: Columns) -> Rows:
    """All rows but those at right angles, which say nothing of V."""
    number = np.flatnonzero(oblique(table["theta"]))
    row = {k: jnp.asarray(v)[number] for k, v in table.items()}
    p = physics.direction(row["s"], row["theta"])
    log_gamma = jnp.log(row["gamma"])
    e = physics.electron(p, log_gamma)
    near, far, m = cubic(e.log_x)
    known = physics.limiting(p, e, limits(near, far, m))
    features, scales = physics.inputs(p, e, near, m)
    bare = physics.kernels(p, log_gamma, known)
    x = jnp.exp(e.log_x)
    usable = (x < _HIGHEST) & (row["j_I"] > 0.0) & (row["alpha_I"] > 0.0)

    def emitted(kind: str, log_bare: Points, log_q: Points, log_v: Points) -> list[Points]:
        total = jnp.where(usable, row[f"{kind}_I"], 1.0)
        q, v = (jnp.where(usable, row[f"{kind}_{k}"] / total, 0.1) for k in "QV")
        a, b = to_plane(q, v / jnp.where(usable, 1.0, jnp.sign(p.cosine)))
        return [
            jnp.log(total) - log_bare,
            jnp.log(-a) - log_q,
            jnp.log(b / p.cosine) - log_v,
        ]

    unit_q, unit_v = cold(p.s, p.sine, p.cosine)
    gamma, fast = row["gamma"], jnp.arccosh(row["gamma"])
    momentum = jnp.sqrt((gamma - 1.0) * (gamma + 1.0))
    turn_q = row["rho_Q"] / unit_q / (2.0 * gamma - 1.0 / gamma)
    turn_v = row["rho_V"] / unit_v * gamma * momentum - fast
    target = jnp.stack(
        [
            *emitted("j", bare.log_j, known.log_j_q, known.log_j_v),
            *emitted("alpha", bare.log_alpha, known.log_alpha_q, known.log_alpha_v),
            turn_q - known.turn_q,
            turn_v - known.turn_v,
        ],
        -1,
    )
    counts = usable[:, None] & jnp.isfinite(target[:, :6])
    weight = jnp.where(counts, (1.0 / (1.0 + (x / _FADING) ** 2))[:, None], 0.0)
    fourth = jnp.exp(4.0 * near)
    falling = _FLOOR * fourth / (1.0 + fourth)
    turning = 1.0 / (jnp.abs(known.turn_q) + falling), 1.0 / (fast + known.turn_v)
    weight = jnp.concatenate([weight, jnp.stack(turning, -1)], -1)
    target = jnp.where(weight > 0.0, target, 0.0)
    return Rows(number, *(np.asarray(a) for a in (features.T, scales.T, target, weight)))
