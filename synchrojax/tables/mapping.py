"""Mappings of one column between its physical values and what a network sees.

A physical value p is transformed to t, and t is normalised: n = (t - x_mean) / x_std. Names as in
neurosynchro (Williams 2018), whose seven mappings are all here; ``asinh`` is for values of both
signs over many decades.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from types import ModuleType
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from synchrojax.core import Reals

LN10 = float(np.log(10.0))
BOUNDS = {"empirical": None, "theta": (0.0, 0.5 * np.pi)}
NORMALIZATIONS = ("gaussian", "unit_interval")
OUT_OF_SAMPLE = ("ignore", "clip", "nan")
LOCKED = ("x_mean", "x_std", "phys_min", "phys_max", "norm_min", "norm_max")
_SLACK = 1e-6  # of an input: a table's numbers are rounded
_NEAR_ZERO = 0.1  # quantile of the magnitudes below which asinh is linear


class Kind(NamedTuple):
    """One transformation, both ways, and where it is defined, also in words.

    ``forward(p, scale, xp)`` and ``inverse(t, scale, xp)``.
    """

    forward: Callable
    inverse: Callable
    valid: Callable
    domain: str


def _sigmoid(t: Reals, _: float | None, xp: ModuleType) -> Reals:
    return jax.nn.sigmoid(t) if xp is jnp else 0.5 * (1.0 + np.tanh(0.5 * t))


# the inverse of abs_log gives the magnitude, that of sign the sign: a pair of results restores the
# value
KINDS = {
    "direct": Kind(lambda p, a, xp: p, lambda t, a, xp: t, lambda p: np.isfinite(p), "finite"),
    "log": Kind(
        lambda p, a, xp: xp.log10(p), lambda t, a, xp: xp.exp(LN10 * t), lambda p: p > 0.0, "> 0"
    ),
    "abs_log": Kind(
        lambda p, a, xp: xp.log10(xp.abs(p)),
        lambda t, a, xp: xp.exp(LN10 * t),
        lambda p: p != 0.0,
        "not 0",
    ),
    "neg_log": Kind(
        lambda p, a, xp: xp.log10(-p), lambda t, a, xp: -xp.exp(LN10 * t), lambda p: p < 0.0, "< 0"
    ),
    "logit": Kind(
        lambda p, a, xp: xp.log(p) - xp.log1p(-p),
        _sigmoid,
        lambda p: (p > 0.0) & (p < 1.0),
        "between 0 and 1",
    ),
    "ninth_root": Kind(
        lambda p, a, xp: xp.cbrt(xp.cbrt(p)),
        lambda t, a, xp: t**9,
        lambda p: np.isfinite(p),
        "finite",
    ),
    "sign": Kind(
        lambda p, a, xp: xp.sign(p), lambda t, a, xp: xp.sign(t), lambda p: p != 0.0, "not 0"
    ),
    "asinh": Kind(
        lambda p, a, xp: xp.arcsinh(p / a),
        lambda t, a, xp: a * xp.sinh(t),
        lambda p: np.isfinite(p),
        "finite",
    ),
}
LOSSY = {"abs_log": "the sign", "sign": "the magnitude"}


@dataclass(frozen=True)
class Mapping:
    """How one column goes to a network and back; the numbers are stored by ``locked``."""

    name: str
    maptype: str
    phys_bounds_mode: str = "empirical"
    normalization_mode: str = "gaussian"
    out_of_sample: str = "ignore"
    scale: float | None = None  # of asinh: values below it are near zero
    x_mean: float | None = None
    x_std: float | None = None
    phys_min: float | None = None
    phys_max: float | None = None
    norm_min: float | None = None
    norm_max: float | None = None

    @property
    def is_locked(self) -> bool:
        """True once all its numbers are there."""
        asinh = self.maptype == "asinh"
        return (
            self.maptype != "auto"
            and None not in [getattr(self, k) for k in LOCKED] + [self.scale] * asinh
        )

    @property
    def _kind(self) -> Kind:
        return KINDS[self.maptype]

    def valid(self, p: Float[np.ndarray, "..."]) -> Bool[np.ndarray, "..."]:
        """Where the transformation is defined (NumPy)."""
        return np.isfinite(p) & self._kind.valid(p)

    @property
    def domain(self) -> str:
        """Where the transformation is defined, in words."""
        return self._kind.domain

    def transform(self, p: Reals, xp: ModuleType = jnp) -> Reals:
        """t of p."""
        return self._kind.forward(p, self.scale, xp)

    def restore(self, t: Reals, xp: ModuleType = jnp) -> Reals:
        """Inverse of ``transform``: the magnitude for abs_log, the sign for sign."""
        return self._kind.inverse(t, self.scale, xp)

    def normalize(self, p: Reals, xp: ModuleType = jnp) -> Reals:
        """n of p, with no policy applied."""
        return (self.transform(p, xp) - cast(float, self.x_mean)) / cast(float, self.x_std)

    def transformed(self, n: Reals) -> Reals:
        """t of n."""
        return n * cast(float, self.x_std) + cast(float, self.x_mean)

    def held(self, p: Reals) -> tuple[Reals, Any]:
        """(input p under ``out_of_sample``, where it has to give NaN)."""
        if self.out_of_sample == "clip":
            p = jnp.clip(p, self.phys_min, self.phys_max)
        low, high = cast(float, self.phys_min), cast(float, self.phys_max)  # locked by now
        width = _SLACK * max(abs(low), abs(high))
        outside = ~((p >= low - width) & (p <= high + width))
        return p, outside & (self.out_of_sample == "nan")

    def to_network(self, p: Reals) -> Reals:
        """n of an input p under ``out_of_sample``; JAX, differentiable."""
        p, bad = self.held(p)
        return jnp.where(bad, jnp.nan, self.normalize(p))

    def from_network(self, n: Reals) -> Reals:
        """t of an output n under ``out_of_sample``; JAX, differentiable."""
        if self.out_of_sample == "clip":
            n = jnp.clip(n, self.norm_min, self.norm_max)
        t = self.transformed(n)
        if self.out_of_sample == "nan":
            low, high = cast(float, self.norm_min), cast(float, self.norm_max)
            t = jnp.where((n >= low) & (n <= high), t, jnp.nan)
        return t

    def locked(self, samples: Float[np.ndarray, " samples"]) -> tuple["Mapping", int]:
        """(the mapping with its numbers from ``samples``, how many samples it cannot take).

        ``auto`` becomes log, neg_log or asinh, whichever the signs allow. Raises ValueError if
        fewer than three samples are left or if they are all the same (with unit_interval they may
        be: a sign that never changes).
        """
        mapping = self
        finite = samples[np.isfinite(samples)]
        if self.maptype == "auto":
            signs = (np.all(finite > 0.0), np.all(finite < 0.0))
            mapping = replace(
                mapping, maptype="log" if signs[0] else "neg_log" if signs[1] else "asinh"
            )
        if mapping.maptype == "asinh" and mapping.scale is None:
            size = np.abs(finite[finite != 0.0])
            mapping = replace(
                mapping, scale=float(np.quantile(size, _NEAR_ZERO)) if len(size) else 1.0
            )
        used = samples[mapping.valid(samples)]
        rejected = len(samples) - len(used)
        if len(used) < 3:
            raise ValueError(
                f"{self.name}: {len(used)} of {len(samples)} samples suit maptype "
                f"{mapping.maptype!r} "
                f"({mapping.domain}); it needs at least 3"
            )
        low, high = float(np.min(used)), float(np.max(used))
        t = mapping.transform(used, np)
        if mapping.normalization_mode == "gaussian":
            # a mean is rounded
            mean, deviation = (float(np.mean(t)), float(np.std(t)) if np.ptp(t) > 0.0 else 0.0)
        else:
            mean, deviation = float(np.min(t)), float(np.ptp(t))
        if deviation == 0.0 and mapping.normalization_mode == "unit_interval":
            deviation = 1.0
        if deviation == 0.0:
            raise ValueError(
                f"{self.name}: all samples are {low:g}: a constant column teaches nothing; leave "
                "it out"
            )
        n = (t - mean) / deviation
        low, high = BOUNDS[mapping.phys_bounds_mode] or (low, high)
        mapping = replace(mapping, x_mean=mean, x_std=deviation, phys_min=low, phys_max=high)
        return replace(mapping, norm_min=float(np.min(n)), norm_max=float(np.max(n))), rejected


MAPPING_KEYS = tuple(f.name for f in fields(Mapping))
