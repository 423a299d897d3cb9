"""Network space: what networks learn from a table, so that invariants cannot break.

Two choices, told apart by the names of their results. ``synchrojax``: (j_Q, j_V) / j_I as a point
of the plane that covers the open unit disk, its V over cos(theta), the same for absorption, and the
rotativities over those of cold plasma; all of them may have either sign. ``neurosynchro`` (Williams
2018): degrees of polarization and the share of V in them, with j_Q, alpha_Q < 0 < j_V, alpha_V,
rho_V below a right angle built in, and the sign of rho_Q apart.
"""

from collections.abc import Iterable, Mapping
from types import ModuleType

import numpy as np
from jaxtyping import Bool, Float

from synchrojax.core import Columns, Points, cold, from_plane, to_plane
from synchrojax.tables.table_files import RESULTS

SPACES = {
    "synchrojax": (
        *("j_I", "j_Q_plane", "j_V_plane"),
        *("alpha_I", "alpha_Q_plane", "alpha_V_plane"),
        *("rho_Q_cold", "rho_V_cold"),
    ),
    "neurosynchro": (
        *("j_I", "alpha_I", "rho_Q", "rho_V", "j_frac_pol", "alpha_frac_pol"),
        *("j_V_share", "alpha_V_share", "rho_Q_sign"),
    ),
}
# from a table's convention to that of physics
RHO_Q_SIGN = {"synchrojax": 1.0, "neurosynchro": -1.0}
CONVENTIONS = tuple(RHO_Q_SIGN)
_RIGHT = 1e-12  # |cos(theta)| below which V carries no information


def space_of(results: Iterable[str]) -> str | None:
    """The space that a set of result names belongs to, or None; rho_Q_sign may be missing."""
    for space, names in SPACES.items():
        if set(results) in (set(names), set(names) - {"rho_Q_sign"}):
            return space
    return None


def fold(theta: Points, xp: ModuleType = np) -> tuple[Points, Points]:
    """(theta in 0..pi/2, sign of the V coefficients): all of the angle for an f even in mu."""
    theta = xp.abs(xp.mod(theta + np.pi, 2.0 * np.pi) - np.pi)
    mirrored = theta > 0.5 * np.pi
    return xp.where(mirrored, np.pi - theta, theta), xp.where(mirrored, -1.0, 1.0)


def reasons(columns: Columns, space: str) -> dict[str, Bool[np.ndarray, " rows"]]:
    """Why rows of the eight coefficients cannot be learned, in order: {reason: mask}.

    ``columns``: those of the inputs, too.
    """
    c = {k: columns[k] for k in RESULTS}
    with np.errstate(all="ignore"):
        found = {"not finite": ~np.all([np.isfinite(v) for v in columns.values()], axis=0)}
        for kind in ("j", "alpha"):
            found[f"{kind}_I <= 0"] = ~(c[f"{kind}_I"] > 0.0)
        for kind, name in (("j", "emission"), ("alpha", "absorption")):
            found[f"polarized {name} above total"] = ~(
                np.hypot(c[f"{kind}_Q"], c[f"{kind}_V"]) < c[f"{kind}_I"]
            )
        found["s <= 0"] = ~(columns["s"] > 0.0)
        if space == "neurosynchro":
            sign = fold(columns["theta"])[1]
            for name, wanted in (
                ("j_Q", -1),
                ("alpha_Q", -1),
                ("j_V", sign),
                ("alpha_V", sign),
                ("rho_V", sign),
            ):
                found[f"{name} of the other sign"] = ~(wanted * c[name] > 0.0)
            found["rho_Q = 0"] = c["rho_Q"] == 0.0
        else:
            found["theta at 0 or at a right angle"] = (
                np.abs(np.sin(2.0 * columns["theta"])) < _RIGHT
            )
    return found


def to_network(
    columns: Columns, space: str, convention: str
) -> dict[str, Float[np.ndarray, " rows"]]:
    """{result: array} in network space of valid rows (NumPy).

    ``convention``: of rho_Q in the table.
    """
    c = columns
    theta, sign = (np.asarray(v) for v in fold(c["theta"]))
    if space == "neurosynchro":
        j_p, alpha_p = np.hypot(c["j_Q"], c["j_V"]), np.hypot(c["alpha_Q"], c["alpha_V"])
        return {
            "j_I": c["j_I"],
            "alpha_I": c["alpha_I"],
            "rho_Q": c["rho_Q"],
            "rho_V": sign * c["rho_V"],
            "j_frac_pol": j_p / c["j_I"],
            "alpha_frac_pol": alpha_p / c["alpha_I"],
            "j_V_share": sign * c["j_V"] / j_p,
            "alpha_V_share": sign * c["alpha_V"] / alpha_p,
            "rho_Q_sign": np.sign(c["rho_Q"]),
        }
    cosine = np.cos(theta)
    unit_q, unit_v = (np.asarray(v) for v in cold(c["s"], np.sin(theta), cosine))
    out: dict = {}
    for kind in ("j", "alpha"):
        q, v = to_plane(c[f"{kind}_Q"] / c[f"{kind}_I"], sign * c[f"{kind}_V"] / c[f"{kind}_I"])
        out |= {
            f"{kind}_I": c[f"{kind}_I"],
            f"{kind}_Q_plane": np.asarray(q),
            f"{kind}_V_plane": np.asarray(v) / cosine,
        }
    out |= {
        "rho_Q_cold": RHO_Q_SIGN[convention] * c["rho_Q"] / unit_q,
        "rho_V_cold": sign * c["rho_V"] / unit_v,
    }
    return {k: out[k] for k in SPACES[space]}


def from_network(
    values: Mapping[str, Points],
    space: str,
    convention: str,
    s: Points,
    sine: Points,
    cosine: Points,
    xp: ModuleType,
) -> tuple[Points, Points, Points, Points, Points, Points]:
    """(j_Q / j_I, j_V / j_I, alpha_Q / alpha_I, alpha_V / alpha_I, rho_Q, rho_V).

    They are in the signs of physics, for any angle. ``values``: {result: array} of network space
    without j_I and alpha_I; ``xp``: numpy or jax.numpy. rho_Q_sign multiplies rho_Q where it is
    there, as in neurosynchro.
    """
    v = values
    if space == "neurosynchro":
        sign = xp.where(cosine < 0.0, -1.0, 1.0)
        out = []
        for kind in ("j", "alpha"):
            share, degree = xp.clip(v[f"{kind}_V_share"], -1.0, 1.0), v[f"{kind}_frac_pol"]
            # the root's slope is infinite at 1
            rest = xp.where(xp.abs(share) < 1.0, (1.0 - share) * (1.0 + share), 1.0)
            out += [
                -xp.where(xp.abs(share) < 1.0, xp.sqrt(rest), 0.0) * degree,
                sign * share * degree,
            ]
        return (
            *out,
            RHO_Q_SIGN[convention] * v["rho_Q"] * v.get("rho_Q_sign", 1.0),
            sign * v["rho_V"],
        )
    unit_q, unit_v = cold(s, sine, cosine)
    out = []
    for kind in ("j", "alpha"):
        out += from_plane(v[f"{kind}_Q_plane"], v[f"{kind}_V_plane"] * cosine)
    return *out, unit_q * v["rho_Q_cold"], unit_v * v["rho_V_cold"]
