"""Kappa electrons, isotropic or times sin^k of the pitch angle, between physical and network space.

The scale is gamma_0 = sqrt(s / sin(theta)), the Lorentz factor that radiates most at s, against the width W of the
distribution. Each coefficient is its power laws on both sides of gamma_0 = W, joined by hand, times a correction of
order one. (j_Q, j_V) / j_I is a point of the unit disk; so is (alpha_Q, alpha_V) / alpha_I of the isotropic
distribution, whose df/dgamma has one sign. With k it is not bound to be, and is left free.

Anisotropy is learned as what it changes (``_pitch``): the isotropic networks are the packaged ones.
"""

from types import MappingProxyType
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from synchrojax.core import CLASSICAL, from_plane, sine_cosine, to_plane
from synchrojax.families import _pitch, _scale_free
from synchrojax.families._scale_free import FLOOR


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


def _frame(p):
    log_s, log_sine = jnp.log(p.s), jnp.log(p.sine)
    log_gamma = 0.5 * (log_s - log_sine)
    width = 2.0 * p.kappa * p.w / (p.kappa - 1.0)
    return _Frame(log_s, log_sine, jnp.exp(log_gamma), width, log_gamma - jnp.log(width))


def _baselines(p, frame):
    """ln j_I, ln alpha_I and the scale of j_V / j_I, at nu = 1 Hz and n_e = 1 cm^-3 up to a constant.

    j ~ f(gamma_0) gamma_0 far above W (a power law) and gamma_0^(-4/3) far below (single electrons at low frequency).
    """
    tail = p.kappa * p.w
    shape = (p.kappa + 1.0) * jnp.log1p((frame.gamma - 1.0) / tail)
    reach = jnp.log(frame.gamma) + jax.nn.softplus(7.0 / 3.0 * (jnp.log(tail) - jnp.log(frame.gamma)))
    norm = jnp.log(tail**3 / (p.kappa - 2.0) / p.kappa**2 + tail * jnp.sqrt(tail) / p.kappa**1.5)
    log_j = reach - shape - norm - 67.0
    log_alpha = log_j + jnp.log((p.kappa + 1.0) / (tail + frame.gamma - 1.0)) + 62.0
    lean = jnp.exp(-jnp.logaddexp(0.0, -frame.log_x) / 3.0 - 0.5 * (frame.log_s + frame.log_sine))
    return log_j, log_alpha, 2.0 * p.cosine * lean


# nodes in ln((gamma - 1) / (kappa w)): the trapezoidal rule converges exponentially
_STEP = 0.35
_NODES = np.arange(-7.0, 22.01, _STEP)


def _conversion(p, frame):
    """<(2 gamma - 1 / gamma) kernel> over the distribution: rho_Q over its unit for large s sin(theta), and its size.

    Limit: Shcherbakov & Huang 2011 (MNRAS 410, 1052). With sin^k as each electron smears it.
    """
    like = p.kappa.dtype
    steps = jnp.asarray(_NODES, like).reshape(-1, *(1,) * p.kappa.ndim)
    grow = jnp.asarray(np.log1p(np.exp(_NODES)), like).reshape(steps.shape)
    tail = p.kappa * p.w
    cold = 1.0 / (tail * jnp.exp(steps))
    gamma = 1.0 + 1.0 / cold
    count = jnp.sqrt(1.0 + 2.0 * cold) * jnp.exp(3.0 * steps - (p.kappa + 1.0) * grow)
    weight = count * (2.0 + cold * (4.0 + cold)) * jnp.exp(steps)
    log_x = 2.0 * (jnp.log(frame.gamma) - jnp.log(gamma))
    kernel = _scale_free.conversion_kernel(log_x)
    if p.k is not None:
        kernel = kernel + _pitch.off_cone(p, gamma, log_x)
        weight = weight * jnp.exp(p.k * frame.log_sine - _pitch.log_mean(p.k))
    value, size = jnp.sum(weight * kernel, 0), jnp.sum(weight * jnp.abs(kernel), 0)
    per = tail / jnp.sum(count * (1.0 + cold), 0)
    return value * per, size * per


def _rotation_v_ratio(p):
    """rho_V with anisotropy over that without, far above resonance, by quadrature."""
    nodes = np.arange(-18.0, 22.01, _STEP)  # along B slow electrons count more

    def one(p):
        gamma = 1.0 + p.kappa * p.w * jnp.exp(nodes)
        shape = jnp.exp(nodes - (p.kappa + 1.0) * np.log1p(np.exp(nodes)))
        weight = shape * jnp.arcsinh(jnp.sqrt(0.5 * (gamma - 1.0)))
        return jnp.sum(weight * _pitch.rotation_v_ratio(p, gamma)) / jnp.sum(weight) / jnp.exp(_pitch.log_mean(p.k))

    return jax.lax.map(one, jax.tree.map(jnp.asarray, p), batch_size=64)


def _log_rotation_v(p, frame, cone):
    """ln of what anisotropy makes of rho_V: the logarithm over angles that it gains (``_pitch.rotation_v``)."""
    fixed, spread = _pitch.rotation_v(p, cone + 1.0 / (1.0 + frame.width * frame.width))
    return jnp.log(fixed + spread / (1.0 + jnp.log1p(frame.width))) - _pitch.log_mean(p.k)


def _rotation_scales(p, frame):
    """rho_Q at high s sin(theta), the size of its corrections, its own size, and rho_V up to a factor of order one."""
    value, size = _conversion(p, frame)
    ratio = p.sine / p.s
    unit = -CLASSICAL * ratio * ratio
    scale_v = (1.0 + jnp.log1p(p.w)) / (1.0 + 10.0 * p.w * p.w)
    small = 1e-3 + jnp.exp(-(frame.log_s + frame.log_sine) * (2.0 / 3.0))
    return unit * value, unit * size * small, unit * size, 2.0 * CLASSICAL * p.cosine / p.s * scale_v


_HEADS = "emission", "absorption", "rho_Q", "rho_V"


class Family(_scale_free.Family):
    """Kappa electrons; see ``_families``."""

    WIDTHS = (32, 32)
    REACH = MappingProxyType({"kappa": (2.01, 16.0), "w": (1e-2, 2e3), "k": (-0.2, 4.2)})

    def __init__(self, name, *, pitch):
        own = {"kappa": (2.5, 8.0), "w": (0.1, 200.0), **(_pitch.BOX if pitch else {})}
        super().__init__(name, own)
        self.pitch = pitch
        self.BLOCK = 4096 if pitch else 2048  # times the nodes of the average
        self.HEADS = dict(zip(_HEADS, ((7, 3), (7, 3), (7, 1), (7, 1)), strict=True))
        if pitch:
            self.BASE = "kappa"
            self.HEADS |= {"pitch_emission": (9, 4), "pitch_absorption": (9, 4)}
            self.HEADS |= {"pitch_rho_Q_far": (7, 1), "pitch_rho_Q": (8, 2)}
            self.HEADS |= {"pitch_rho_V_far": (8, 1), "pitch_rho_V": (10, 1)}
            self.HEAD_WIDTHS = dict.fromkeys(("pitch_emission", "pitch_absorption", "pitch_rho_Q_far"), (24, 24))

    def __reduce__(self):
        return self.NAME.upper()  # one object each, under that name below

    def combine(self, head, output, extra):
        """What anisotropy adds: parts that stay and parts that fall as 1 / s'."""
        if head in ("pitch_emission", "pitch_absorption"):
            k, slow = extra
            return jnp.stack([slow * output[0], slow * output[1], k * output[2] + slow * output[3]])
        return jnp.sum(extra * output, 0, keepdims=True) if head.startswith("pitch") else output

    def point(self, s, theta, kappa, w, k=None):
        return Point(s, *sine_cosine(theta), kappa, w, k)

    def _features(self, p, frame):
        return [
            frame.log_x / 6.0,
            jnp.tanh(0.5 * frame.log_x),
            jnp.log(frame.width) / 4.0,
            1.0 / (1.0 + frame.width),
            (p.kappa - 5.0) / 3.0,
            *_scale_free.features(p.s, p.sine),
        ]

    def _pitch_inputs(self, p, frame):
        """head -> (features, what ``combine`` takes) for the networks of anisotropy."""
        smear, slow = _pitch.smear(p, frame.width), p.k / (p.s * p.sine)
        isotropic, angle = self._features(p, frame), [0.5 * p.k - 1.0, smear.log_across / 6.0]
        power, square = jnp.exp(smear.log_power), isotropic[-1]
        stokes = jnp.stack([*isotropic, *angle]), jnp.stack([p.k, slow])
        falling = slow * jax.nn.sigmoid(1.5 - 1.5 * frame.log_x)
        far, k = jnp.stack([*isotropic[2:5], square, *angle, power]), p.k[None]
        return {
            "pitch_emission": stokes,
            "pitch_absorption": stokes,
            "pitch_rho_Q_far": (far, 0.02 * k * smear.share),
            "pitch_rho_Q": (jnp.stack([*isotropic, angle[0]]), falling * _pitch.curvature(p)),
            "pitch_rho_V_far": (jnp.stack([*far, 2.0 * smear.share - 1.0]), k),
            "pitch_rho_V": (jnp.stack([*isotropic, *angle, power]), k * jax.nn.sigmoid(3.0 - 2.0 * frame.log_x)),
        }

    def training_rows(self, head, table, networks):
        """Row numbers, features, what ``combine`` takes, targets and the weights that make errors relative."""
        table = {k: np.asarray(v) for k, v in table.items()}
        keep = np.flatnonzero(_scale_free.oblique(table["theta"]))
        row = {k: v[keep] for k, v in table.items()}
        p = self.point(*(row[k] for k in ("s", "theta", *self.PARAMETERS)))
        frame = _frame(p)
        features, extra = jnp.stack(self._features(p, frame)), jnp.zeros((1, len(keep)))
        if head.startswith("pitch"):
            isotropic = networks[head.removeprefix("pitch_").removesuffix("_far")](features)
            target, weight = self._anisotropy(head, row, p, frame, isotropic)
            inputs = self._pitch_inputs(p, frame)
            features, extra = inputs[head]
            if head in ("pitch_rho_Q", "pitch_rho_V"):
                far, scale = inputs[f"{head}_far"]
                target = target - scale * networks[f"{head}_far"](far)
        elif head in ("emission", "absorption"):
            log_j, log_alpha, scale_v = _baselines(p, frame)
            kind, base = ("j", log_j) if head == "emission" else ("alpha", log_alpha)
            a, b = to_plane(row[f"{kind}_Q"] / row[f"{kind}_I"], row[f"{kind}_V"] / row[f"{kind}_I"])
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
        use = np.ones(len(keep), bool)
        if head == "pitch_rho_Q_far":
            use &= np.asarray(jnp.abs(inputs["pitch_rho_Q"][1][0]) < _pitch.FAR)
        elif head == "pitch_rho_V":
            use &= np.asarray(frame.log_x < 0.5 * np.log(1e4))
        columns = features, extra, target, weight
        return keep[use], *(np.asarray(v)[:, use].T for v in columns)

    def _anisotropy(self, head, row, p, frame, isotropic):
        """Targets and weights of a network of anisotropy, given the isotropic network's output."""
        scales = _rotation_scales(p, frame)
        if head in ("pitch_emission", "pitch_absorption"):
            baselines, kind = _baselines(p, frame), "j" if head == "pitch_emission" else "alpha"
            q, v = row[f"{kind}_Q"] / row[f"{kind}_I"], row[f"{kind}_V"] / row[f"{kind}_I"]
            base = baselines[kind == "alpha"] + p.k * frame.log_sine - _pitch.log_mean(p.k)
            a, b = _plane(isotropic, baselines[2])
            a, b, q, v = (a, b, *to_plane(q, v)) if kind == "j" else (*from_plane(a, b), q, v)
            target = jnp.stack([jnp.log(row[f"{kind}_I"]) - base - isotropic[0], jnp.log(q / a), jnp.log(v / b)])
            return target, jnp.ones_like(target)
        weight = _pitch.angle_weight(p.sine)
        if head == "pitch_rho_V_far":
            change = jnp.log(_rotation_v_ratio(p)) - _log_rotation_v(p, frame, 0.0)
            return change[None], weight[None]
        if head == "pitch_rho_V":
            change = jnp.log(row["rho_V"] / scales[3]) - _log_rotation_v(p, frame, p.sine / p.s)
            return change[None] - isotropic, weight[None]
        scale = scales[2]
        known = scales[0] + scales[1] * isotropic[0]
        weight = jnp.abs(scale) / jnp.maximum(jnp.abs(row["rho_Q"]), _pitch.FLOOR * jnp.abs(scale))
        return ((row["rho_Q"] - known) / scale)[None], weight[None]

    def evaluate(self, networks, p, *, clip):
        """ln j_I, j_Q / j_I, j_V / j_I, the same of alpha, rho_Q, rho_V at nu = 1 Hz, n_e = 1 cm^-3."""
        true, p = p, self.clamp(p) if clip else self.within_reach(p)
        frame = _frame(p)
        log_j, log_alpha, scale_v = _baselines(p, frame)
        rotation_q, step_q, size_q, rotation_v = _rotation_scales(p, frame)
        features = jnp.stack(self._features(p, frame))
        emission, absorption, rho_q, rho_v = (networks[h](features) for h in _HEADS)
        log_j, log_alpha = log_j + emission[0], log_alpha + absorption[0]
        j, alpha = _plane(emission, scale_v), from_plane(*_plane(absorption, scale_v))
        rho_q, rho_v = rotation_q + step_q * rho_q[0], rotation_v * jnp.exp(rho_v[0])
        if self.pitch:
            inputs = self._pitch_inputs(p, frame)
            emission, absorption, far_q, near_q, far_v, near_v = (
                self.combine(h, networks[h](x), extra) for h, (x, extra) in inputs.items()
            )
            log_mean, log_fixed = _pitch.log_mean(p.k), p.k * frame.log_sine
            log_v = _log_rotation_v(p, frame, p.sine / p.s)
            log_j, log_alpha = (v + log_fixed - log_mean for v in (log_j + emission[0], log_alpha + absorption[0]))
            j = tuple(value * jnp.exp(change) for value, change in zip(j, emission[1:], strict=True))
            alpha = tuple(value * jnp.exp(change) for value, change in zip(alpha, absorption[1:], strict=True))
            rho_q, rho_v = rho_q + size_q * (far_q + near_q)[0], rho_v * jnp.exp(log_v + (far_v + near_v)[0])
        thin = jnp.minimum(true.sine / p.sine, 1.0)
        return log_j, *from_plane(*j), log_alpha, *alpha, rho_q * thin * thin, rho_v

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


def _plane(output, scale_v):
    """Where the polarization lies in the plane (``from_plane``)."""
    return -jnp.exp(output[1]), scale_v * jnp.exp(output[2])


KAPPA, KAPPA_PITCH = Family("kappa", pitch=False), Family("kappa_pitch", pitch=True)
