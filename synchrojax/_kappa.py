"""Kappa electrons, isotropic or times sin^k of the pitch angle, between physical and network space.

The scale is gamma_0 = sqrt(s / sin(theta)), the Lorentz factor that radiates most at s, against the width W of the
distribution. Each coefficient is its power laws on both sides of gamma_0 = W, joined by hand, times a correction of
order one. (j_Q, j_V) / j_I is a point of the unit disk; so is (alpha_Q, alpha_V) / alpha_I of the isotropic
distribution, whose df/dgamma has one sign. With k it is not bound to be, and is left free.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln

from synchrojax import _scale_free
from synchrojax._constants import CLASSICAL
from synchrojax._geometry import from_plane, sine_cosine, to_plane
from synchrojax._scale_free import FLOOR


class Point(NamedTuple):
    """A direction and a distribution; all that the coefficients depend on."""

    s: jax.Array
    sine: jax.Array
    cosine: jax.Array
    kappa: jax.Array
    w: jax.Array
    k: jax.Array | None  # none: isotropic


class _Frame(NamedTuple):
    """What baselines and features are built from."""

    log_s: jax.Array
    log_sine: jax.Array
    gamma: jax.Array  # gamma_0
    width: jax.Array  # W
    log_x: jax.Array  # ln(gamma_0 / W)
    across: jax.Array  # sin^2(theta) as electrons of Lorentz factor W smear it


def _frame(p):
    log_s, log_sine = jnp.log(p.s), jnp.log(p.sine)
    log_gamma = 0.5 * (log_s - log_sine)
    width = 2.0 * p.kappa * p.w / (p.kappa - 1.0)
    across = p.sine * p.sine + 3.0 * p.cosine * p.cosine / (1.0 + width * width)
    return _Frame(log_s, log_sine, jnp.exp(log_gamma), width, log_gamma - jnp.log(width), across)


def _baselines(p, frame):
    """ln j_I, ln alpha_I and the scale of j_V / j_I, at nu = 1 Hz and n_e = 1 cm^-3 up to a constant.

    j ~ f(gamma_0) gamma_0 far above W (a power law) and gamma_0^(-4/3) far below (single electrons at low frequency).
    """
    tail = p.kappa * p.w
    shape = (p.kappa + 1.0) * jnp.log1p((frame.gamma - 1.0) / tail)
    reach = jnp.log(frame.gamma) + jax.nn.softplus(7.0 / 3.0 * (jnp.log(tail) - jnp.log(frame.gamma)))
    norm = jnp.log(tail**3 / (p.kappa - 2.0) / p.kappa**2 + tail * jnp.sqrt(tail) / p.kappa**1.5)
    log_j = reach - shape - norm - 67.0 + (0.0 if p.k is None else p.k * frame.log_sine)
    log_alpha = log_j + jnp.log((p.kappa + 1.0) / (tail + frame.gamma - 1.0)) + 62.0
    lean = jnp.exp(-jnp.logaddexp(0.0, -frame.log_x) / 3.0 - 0.5 * (frame.log_s + frame.log_sine))
    return log_j, log_alpha, 2.0 * p.cosine * lean


# rho_Q of one ultrarelativistic electron over its high-frequency limit is m^2 h(m), m = x^(2/3) / (1 + x^(2/3)) and
# x = (gamma_0 / gamma)^2. h by AAA (Nakatsukasa et al. 2018, SIAM J. Sci. Comput. 40, A1494) from ``exact`` at s = 1e8,
# to 3e-6: a constant and, for each pair of poles, (a m + b) / (m^2 + c m + d)
_KERNEL = -0.003570652
_KERNEL_POLES = (
    (-0.747745109, 0.574379667, -1.570415172, 0.902580033),
    (1.353060063, -1.110283308, -1.602252679, 0.719252314),
    (-0.567590777, 0.559891733, -1.653307238, 0.712596896),
    (0.004788665, -0.020194585, -1.705839851, 0.739303432),
    (0.003899997, -0.003119111, -1.757851791, 0.777034164),
)
# nodes in ln((gamma - 1) / (kappa w)): the trapezoidal rule converges exponentially
_STEP = 0.35
_NODES = np.arange(-7.0, 22.01, _STEP)


def _conversion(p, frame):
    """<(2 gamma - 1 / gamma) kernel> over the distribution: rho_Q over its unit for large s sin(theta), and its size.

    Limit: Shcherbakov & Huang 2011 (MNRAS 410, 1052). sin^k as electrons of Lorentz factor gamma smear it.
    """
    like = p.kappa.dtype
    steps = jnp.asarray(_NODES, like).reshape(-1, *(1,) * p.kappa.ndim)
    grow = jnp.asarray(np.log1p(np.exp(_NODES)), like).reshape(steps.shape)
    tail = p.kappa * p.w
    cold = 1.0 / (tail * jnp.exp(steps))
    gamma = 1.0 + 1.0 / cold
    count = jnp.sqrt(1.0 + 2.0 * cold) * jnp.exp(3.0 * steps - (p.kappa + 1.0) * grow)
    weight = count * (2.0 + cold * (4.0 + cold)) * jnp.exp(steps)
    if p.k is not None:
        slow = 1.0 / gamma
        smear = 0.55 + 0.05 * p.k + (0.25 * p.k - 0.15) * (1.0 - slow)
        across = p.sine * p.sine * (1.0 - 0.3 * slow * slow) + smear * (p.cosine * slow) ** 2
        weight = weight * jnp.exp(0.5 * p.k * jnp.log(across))
    m = jax.nn.sigmoid(4.0 / 3.0 * (jnp.log(frame.gamma) - jnp.log(gamma)))
    kernel = m * m * (_KERNEL + sum((a * m + b) / ((m + c) * m + d) for a, b, c, d in _KERNEL_POLES))
    value, size = jnp.sum(weight * kernel, 0), jnp.sum(weight * jnp.abs(kernel), 0)
    per = tail / jnp.sum(count * (1.0 + cold), 0)
    if p.k is not None:  # the mean of sin^k
        per = per / jnp.exp(gammaln(1.5) + gammaln(1.0 + 0.5 * p.k) - gammaln(1.5 + 0.5 * p.k))
    return value * per, size * per


def _rotation_scales(p, frame):
    """rho_Q at high s sin(theta), the size of its corrections, its own size, and rho_V up to a factor of order one."""
    value, size = _conversion(p, frame)
    ratio = p.sine / p.s
    unit = -CLASSICAL * ratio * ratio
    scale_v = (1.0 + jnp.log1p(p.w)) / (1.0 + 10.0 * p.w * p.w)
    small = 1e-3 + jnp.exp(-(frame.log_s + frame.log_sine) * (2.0 / 3.0))
    if p.k is not None:
        small = small + 0.05 * p.k
    return unit * value, unit * size * small, unit * size, 2.0 * CLASSICAL * p.cosine / p.s * scale_v


class Family(_scale_free.Family):
    """Kappa electrons; see ``_families``."""

    WIDTHS = (32, 32)
    BLOCK = 2048  # times the nodes of the average

    def __init__(self, name, *, pitch):
        own = {"kappa": (2.5, 8.0), "w": (0.1, 200.0), **({"k": (0.0, 4.0)} if pitch else {})}
        super().__init__(name, own)
        self.pitch = pitch
        features = 9 if pitch else 7
        self.HEADS = {
            "emission": (features, 3),
            "absorption": (features, 3),
            "rho_Q": (features, 1),
            "rho_V": (features, 1),
        }

    def point(self, s, theta, kappa, w, k=None):
        return Point(s, *sine_cosine(theta), kappa, w, k)

    def _features(self, p, frame):
        rows = [
            frame.log_x / 6.0,
            jnp.tanh(0.5 * frame.log_x),
            jnp.log(frame.width) / 4.0,
            1.0 / (1.0 + frame.width),
            (p.kappa - 5.0) / 3.0,
            *_scale_free.features(p.s, p.sine),
        ]
        if self.pitch:
            rows += [0.5 * p.k - 1.0, jnp.log(frame.across) / 6.0]
        return jnp.stack(rows)

    def training_rows(self, head, table, networks):
        """Row numbers, features, nothing, targets and the weights that make errors relative."""
        table = {k: np.asarray(v) for k, v in table.items()}
        keep = np.flatnonzero(np.abs(np.cos(table["theta"])) > 1e-12)  # V carries no information at right angles
        row = {k: v[keep] for k, v in table.items()}
        p = self.point(*(row[k] for k in ("s", "theta", *self.PARAMETERS)))
        frame = _frame(p)
        if head in ("emission", "absorption"):
            log_j, log_alpha, scale_v = _baselines(p, frame)
            kind, base, disk = ("j", log_j, True) if head == "emission" else ("alpha", log_alpha, not self.pitch)
            q, v = row[f"{kind}_Q"] / row[f"{kind}_I"], row[f"{kind}_V"] / row[f"{kind}_I"]
            a, b = to_plane(q, v) if disk else (q, v)
            target = jnp.stack([jnp.log(row[f"{kind}_I"]) - base, jnp.log(-a), jnp.log(b / scale_v)])
            weight = jnp.ones_like(target)
        else:
            rotation_q, step_q, size_q, rotation_v = _rotation_scales(p, frame)
            if head == "rho_Q":
                target = ((row["rho_Q"] - rotation_q) / step_q)[None]
                weight = (jnp.abs(step_q) / jnp.maximum(jnp.abs(row["rho_Q"]), FLOOR * jnp.abs(size_q)))[None]
            else:
                target = jnp.log(row["rho_V"] / rotation_v)[None]
                weight = jnp.ones_like(target)
        return keep, self._features(p, frame).T, jnp.zeros((len(keep), 1)), target.T, weight.T

    def evaluate(self, networks, p, *, clip):
        """ln j_I, j_Q / j_I, j_V / j_I, the same of alpha, rho_Q, rho_V at nu = 1 Hz, n_e = 1 cm^-3."""
        true, p = p, self.clamp(p) if clip else p
        frame = _frame(p)
        log_j, log_alpha, scale_v = _baselines(p, frame)
        rotation_q, step_q, _, rotation_v = _rotation_scales(p, frame)
        features = self._features(p, frame)
        out = {h: networks[h](features) for h in self.HEADS}

        def stokes(head, disk):
            y = out[head]
            a, b = -jnp.exp(y[1]), scale_v * jnp.exp(y[2])
            return from_plane(a, b) if disk else (a, b)

        thin = jnp.minimum(true.sine / p.sine, 1.0)
        return (
            log_j + out["emission"][0],
            *stokes("emission", True),
            log_alpha + out["absorption"][0],
            *stokes("absorption", not self.pitch),
            (rotation_q + step_q * out["rho_Q"][0]) * thin * thin,
            rotation_v * jnp.exp(out["rho_V"][0]),
        )

    def rotation_floor(self, p):
        """The magnitude of rho_Q below which its errors are not relative any more: near its zero."""
        return FLOOR * jnp.abs(_rotation_scales(p, _frame(p))[2])

    def sample(self, u, margin):
        """Unit numbers [n, DIMENSIONS] to the box, widened by ``margin``; theta <= pi/2."""
        rows = self.sample_direction(u, margin) | {"kappa": self.stretch("kappa", u[:, 2], margin)}
        rows["w"] = 0.1 / margin * (2000.0 * margin**2) ** u[:, 3]
        if self.pitch:
            rows["k"] = self.stretch("k", u[:, 4], margin)
        return rows


KAPPA, KAPPA_PITCH = Family("kappa", pitch=False), Family("kappa_pitch", pitch=True)
