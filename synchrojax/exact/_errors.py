"""How far the integrals are from the truth: estimates, and warnings of an f that is not smooth."""

import weakref
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Real

from synchrojax.core import Arrays, Reals, is_traced, warn_user
from synchrojax.distributions import Distribution
from synchrojax.exact._evaluate import FEW, SMALL_S, evaluate, ruled
from synchrojax.exact._phase_space import SPLITS, Resolution, arccosh
from synchrojax.special import kinks

_PROBES = 4  # points of a call on which a user's f is judged
_SUSPICIOUS = 1e-5  # estimated relative error from which a user's f is taken for not smooth
# for who interpolates
_TABLE = (
    "; an f that interpolates a table has a kink at each node: distributions.Tabulated takes it"
)
_SMALL_BLOCK = 8  # few points are computed as many at a time
_SEEN: weakref.WeakSet = weakref.WeakSet()  # functions f that were judged before
_WARNED: weakref.WeakSet = weakref.WeakSet()  # what users were warned of


def _module_of(x: Arrays) -> Any:
    """NumPy for concrete arrays, whose sizes are many: JAX would compile for each of them."""
    return jnp if is_traced([x]) else np


def with_rules(
    x: Float[Arrays, "points inputs"], which: Int[np.ndarray, " chosen"]
) -> Float[Arrays, "rows columns"]:
    """Every row by the standard rule, then those of ``which`` by each of the others."""
    xp, rows = _module_of(x), [x, *[x[which]] * len(SPLITS)]
    rules = [np.full((len(r), 1), float(k)) for k, r in enumerate(rows)]
    return xp.concatenate([xp.concatenate(rows), np.concatenate(rules)], -1)


def estimated_errors(
    flat: Float[Arrays, "rows 8"], n: int, which: Int[np.ndarray, " chosen"]
) -> Float[Arrays, "chosen 8"]:
    """Estimated relative errors [row of ``which``, 8]: the largest deviation by another rule."""
    xp, values = _module_of(flat), flat[:n][which]
    others = flat[n:].reshape(len(SPLITS), *values.shape)
    safe = xp.where(values == 0.0, 1.0, values)
    gap = xp.where(values == 0.0, xp.where(others == 0.0, 0.0, np.inf), xp.abs(others / safe - 1.0))
    return xp.max(gap, 0)


def judge(
    distribution: Distribution,
    x: Float[np.ndarray, "points inputs"],
    resolution: Resolution,
    error: bool,
    mode: Real[np.ndarray, " points"] | None = None,
) -> tuple[Float[np.ndarray, "points 8"], Float[np.ndarray, "points 8"] | None]:
    """Values of concrete points and, with ``error``, estimates of their relative errors.

    A user's f is looked at on the way, on up to four of the points.
    """
    own = distribution.of_user and not _warned(distribution)
    if not (error or distribution.of_user):
        return evaluate(distribution, x, resolution, mode), None
    n = len(x)
    probes = _probes(distribution, n) if own else np.zeros(0, int)
    which = np.arange(n) if error else probes
    rows: Any = with_rules(x, which)
    # few points have a program of their own: no second one for the sake of an estimate
    parts = [rows[k : k + FEW] for k in range(0, len(rows), FEW)] if n <= FEW else [rows]
    flat = np.concatenate([evaluate(ruled(distribution), part, resolution) for part in parts])
    errors: Any = estimated_errors(flat, n, which)
    if len(probes):
        _look_at(distribution, x[probes], flat[probes], errors[probes] if error else errors)
    return flat[:n], errors if error else None


def _probes(distribution: Distribution, n: int) -> Int[np.ndarray, " probes"]:
    """Up to four of n points.

    All four in the first call with an f and among many, later as fill incomplete blocks.
    """
    count, identity = _PROBES, _identity(distribution)
    if n <= FEW and identity in _SEEN:
        count = min(count, -n % _SMALL_BLOCK // len(SPLITS))
    _SEEN.add(identity)
    return np.unique(np.linspace(0, n - 1, count).astype(int))


def _warned(distribution: Distribution) -> bool:
    return distribution in _WARNED or _identity(distribution) in _WARNED


def _identity(distribution: Distribution) -> Any:
    """What f is, however often it is wrapped, if that can be remembered without being kept."""
    try:
        weakref.ref(distribution.written_as), hash(distribution.written_as)
    except TypeError:
        return distribution
    return distribution.written_as


def _look_at(
    distribution: Distribution,
    x: Float[np.ndarray, "probes inputs"],
    values: Float[np.ndarray, "probes 8"],
    errors: Float[np.ndarray, "probes 8"],
) -> None:
    """Warn, once for each f, where the estimated errors say that it is not smooth."""
    # a coefficient near its zero has no relative error: Q and V count at a thousandth of I, rho_Q
    # and rho_V of both
    size = np.abs(values)
    least = np.repeat(
        np.stack([size[:, 0], size[:, 3], np.hypot(size[:, 6], size[:, 7])], -1), (3, 3, 2), 1
    )
    counted = errors * size / np.maximum(size, np.maximum(1e-3 * least, 1e-250))
    counted[x[:, 0] * np.abs(np.sin(x[:, 1])) < SMALL_S, 6:] = (
        0.0  # less accurate there for every f
    )
    point = int(np.argmax(np.max(counted, -1)))
    worst = float(np.max(counted[point]))
    if worst <= _SUSPICIOUS:
        return
    _WARNED.add(_identity(distribution))
    own = dict(zip(distribution.parameters, x[point, 2:], strict=True))
    s, theta = x[point, :2]
    warn_user(
        f"the integrals over f have relative errors of about {worst:.1g} (nu / nu_c = {s:.4g}, "
        f"theta = {theta:.4g}"
        f"{''.join(f', {k} = {v:.6g}' for k, v in own.items())}): {_advice(distribution, own)}"
    )


def _advice(distribution: Distribution, parameters: Mapping[str, Reals]) -> str:
    """What to do about an f that is not smooth, with the places that are found."""
    lo, hi = (
        float(arccosh(jnp.asarray(b, float))) for b in distribution.gamma_bounds(**parameters)
    )
    mu = np.array([-0.9, -0.5, 0.05, 0.5, 0.9])[:, None]

    def log_f(chi: Float[np.ndarray, " points"]) -> Float[np.ndarray, "directions points"]:
        return np.asarray(
            distribution.log_shape(
                np.cosh(chi) + 0.0 * mu, mu + 0.0 * chi, 1.0 - mu**2, **parameters
            )
        )

    known = [float(b) for b in distribution.breaks(**parameters)]
    found = [
        g
        for g in np.cosh(kinks(log_f, max(lo, 0.02), hi))
        if not np.any(np.isclose(g, known, rtol=1e-3))
    ]
    names = {
        g: [repr(k) for k, v in parameters.items() if np.isclose(v, g, rtol=1e-4)] for g in found
    }
    places = ", ".join((names[g] or [f"{g:.6g}"])[0] for g in [*known, *found] if g in names)
    if not found:
        return (
            "if f has kinks or jumps in gamma, tell where, as distributions.Function(f, ..., "
            "breaks=(gamma, ...)) or "
            f"Family(..., breaks=...){_TABLE}"
        )
    besides = " besides those that it has" if known else ""
    return (
        f"f has a kink or a jump near gamma = {', '.join(f'{g:.6g}' for g in found)}; pass "
        f"breaks=({places},){besides} "
        "to distributions.Function or Family (a number, the name of a parameter or a function of "
        f"the parameters){_TABLE}"
    )
