"""What the networks of kappa electrons learn from a table."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from synchrojax.core import Arrays, Columns, cold, from_plane, to_plane
from synchrojax.families import _pitch
from synchrojax.families._base import Networks, Rows
from synchrojax.families._box import LOWEST_SUMMED
from synchrojax.families._harmonics import share_near_fundamental
from synchrojax.families._learning import FLOOR, log_ratios, oblique
from synchrojax.families.kappa import _anisotropy
from synchrojax.families.kappa import _physics as physics


def read(
    table: Columns, point: Callable
) -> tuple[Int[np.ndarray, " rows"], dict[str, np.ndarray], physics.Point, physics.Frame]:
    """(numbers of the rows used, their columns, points and frames).

    Rotativities are over those of cold plasma. ``point``: (s, theta, own) -> ``Point``.
    """
    table = {k: np.asarray(v) for k, v in table.items()}
    far = table["s"] * np.sin(table["theta"]) > LOWEST_SUMMED
    keep = np.flatnonzero(oblique(table["theta"]) & far)
    row = {k: v[keep] for k, v in table.items()}
    p = point(row["s"], row["theta"], row)
    for name, unit in zip(("rho_Q", "rho_V"), cold(p.s, p.sine, p.cosine), strict=True):
        row[name] = row[name] / np.asarray(unit)
    return keep, row, p, physics.frame_of(p)


def _rows(
    keep: Int[np.ndarray, " rows"],
    use: Bool[np.ndarray, " rows"],
    features: Float[Arrays, "features rows"],
    extra: Float[Arrays, "extra rows"],
    target: Float[Arrays, "targets rows"],
    weight: Float[Arrays, "targets rows"],
) -> Rows:
    return Rows(keep[use], *(np.asarray(v)[:, use].T for v in (features, extra, target, weight)))


def isotropic_rows(
    head: str, keep: Int[np.ndarray, " rows"], row: Columns, p: physics.Point, frame: physics.Frame
) -> Rows:
    """``Rows`` of a network of the isotropic distribution."""
    extra = [*physics.harmonics_of(p).of(head)]
    if head in ("emission", "absorption"):
        log_j, log_alpha, turn = physics.baselines(p, frame)
        kind, base = ("j", log_j) if head == "emission" else ("alpha", log_alpha)
        i, q, v = (row[f"{kind}_{stokes}"] for stokes in "IQV")
        target: Any = jnp.stack([jnp.log(i) - base, jnp.log(-q / i), jnp.log(v / i / turn)])
        weight: Any = jnp.ones_like(target)
        extra = [*extra, turn]
    else:
        scales = physics.rotation_scales(p, frame)
        if head == "rho_Q":
            known = scales.conversion
            target = ((row["rho_Q"] - known.value) / scales.step)[None]
            least = FLOOR * known.uncancelled
            weight = (scales.step / jnp.maximum(jnp.abs(row["rho_Q"]), least))[None]
        else:
            target = (row["rho_V"] / scales.rho_v)[None]
            weight = 1.0 / jnp.abs(target)
    weight = np.asarray(weight) * share_near_fundamental(p.s * p.sine, 1e-3)
    features, every = jnp.stack(physics.features(p, frame)), np.ones(len(keep), bool)
    return _rows(keep, every, features, jnp.stack(extra), target, weight)


def isotropic_combined(
    head: str, output: Float[Arrays, "outputs *points"], extra: Float[Arrays, "extra *points"]
) -> Float[Arrays, "targets *points"]:
    """What the output of a network is compared with in ``isotropic_rows``."""
    if head in ("emission", "absorption"):
        return log_ratios(physics.joined(head, output, extra[:-1]), extra[-1])
    return physics.joined(head, output, extra)


def _rotation_v_ratio(p: physics.Point) -> Float[Array, " rows"]:
    """rho_V with anisotropy over that without, far above resonance, by quadrature."""
    nodes = np.arange(-18.0, 22.01, physics.STEP)  # along B slow electrons count more

    def one(p: physics.Point) -> Float[Array, ""]:
        gamma: Any = 1.0 + p.kappa * p.w * jnp.exp(nodes)
        shape = jnp.exp(nodes - (p.kappa + 1.0) * np.log1p(np.exp(nodes)))
        weight = shape * jnp.arcsinh(jnp.sqrt(0.5 * (gamma - 1.0)))
        return (
            jnp.sum(weight * _pitch.rotation_v_ratio(p, gamma))
            / jnp.sum(weight)
            / jnp.exp(_pitch.log_mean(p.k))
        )

    return jax.lax.map(one, jax.tree.map(jnp.asarray, p), batch_size=64)


def anisotropic_rows(
    head: str,
    keep: Int[np.ndarray, " rows"],
    row: Columns,
    p: physics.Point,
    frame: physics.Frame,
    networks: Networks,
) -> Rows:
    """``Rows`` of a network of anisotropy: what it changes."""
    features = jnp.stack(physics.features(p, frame))
    name = head.removeprefix("pitch_").removesuffix("_far")
    waves = physics.harmonics_of(p).of(name)
    isotropic = physics.joined(name, networks[name](features), waves)
    target, weight = _change(head, row, p, frame, isotropic)
    inputs, use = _anisotropy.inputs(p, frame, features), np.ones(len(keep), bool)
    if head in ("pitch_rho_Q", "pitch_rho_V"):
        far, scale = inputs[f"{head}_far"]
        target = target - scale * networks[f"{head}_far"](far)
    if head == "pitch_rho_Q_far":
        use &= np.asarray(jnp.abs(inputs["pitch_rho_Q"][1][0]) < _pitch.FAR)
    elif head == "pitch_rho_V":
        # gamma_0 = 100 W: what is multiplied is 2e-3 there
        use &= np.asarray(frame.log_x < 0.5 * np.log(1e4))
    features, extra = inputs[head]
    return _rows(keep, use, features, extra, target, weight)


def _change(
    head: str,
    row: Columns,
    p: physics.Point,
    frame: physics.Frame,
    isotropic: Float[Array, "outputs rows"],
) -> tuple[Float[Arrays, "targets rows"], Float[Arrays, "targets rows"]]:
    """Targets and weights of a network of anisotropy, given the isotropic network's output."""
    scales = physics.rotation_scales(p, frame)
    if head in ("pitch_emission", "pitch_absorption"):
        baselines, kind = physics.baselines(p, frame), "j" if head == "pitch_emission" else "alpha"
        disk = row[f"{kind}_Q"] / row[f"{kind}_I"], row[f"{kind}_V"] / row[f"{kind}_I"]
        base = baselines[kind == "alpha"] + p.k * frame.log_sine - _pitch.log_mean(p.k)
        plane = physics.plane(isotropic, baselines[2])
        (a, b), (q, v) = (plane, to_plane(*disk)) if kind == "j" else (from_plane(*plane), disk)
        target = jnp.stack(
            [jnp.log(row[f"{kind}_I"]) - base - isotropic[0], jnp.log(q / a), jnp.log(v / b)]
        )
        return target, jnp.ones_like(target)
    weight: Any = _pitch.angle_weight(p.sine)
    if head == "pitch_rho_V_far":
        change: Any = jnp.log(_rotation_v_ratio(p)) - _anisotropy.log_rotation_v(p, frame, 0.0)
        return change[None], weight[None]
    if head == "pitch_rho_V":
        change = jnp.log(row["rho_V"] / scales.rho_v) - _anisotropy.log_rotation_v(
            p, frame, p.sine / p.s
        )
        return change[None] - jnp.log(isotropic), weight[None]
    value, size, uncancelled = scales.conversion
    known = value + scales.step * isotropic[0]
    weight = size / jnp.maximum(jnp.abs(row["rho_Q"]), _pitch.FLOOR * uncancelled)
    return ((row["rho_Q"] - known) / size)[None], weight[None]
