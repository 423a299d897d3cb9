"""Distributions as they are given, by name, class or function, and their pitch-angle forms."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
from jax.scipy.special import gammaln

from synchrojax.core import Reals, Truths
from synchrojax.distributions._base import Distribution, require_names
from synchrojax.distributions._function import Function
from synchrojax.distributions._packaged import Kappa, Monoenergetic, PowerLaw, Thermal
from synchrojax.distributions._tabulated import Spectra, Tabulated


class PitchAngle(Distribution):
    """An isotropic distribution times sin^k of the pitch angle: (1 - mu^2)^(k / 2), normalised.

    The factor is divided by 2F1(1/2, -k/2; 3/2; 1) = Gamma(3/2) Gamma(1 + k/2) / Gamma(3/2 + k/2).
    k > -1.
    """

    extended = True

    def __init__(self, base: Any) -> None:
        self.base = get_distribution(base)
        if isinstance(self.base, PitchAngle):
            raise ValueError(
                "the base of a PitchAngle distribution is isotropic, not another PitchAngle"
            )
        self.parameters = (*self.base.parameters, "k")
        self.edges = self.base.edges

    @property
    def defaults(self) -> Mapping[str, float]:
        return self.base.defaults

    @property
    def of_user(self) -> bool:
        return self.base.of_user

    @property
    def written_as(self) -> Any:
        return self.base.written_as

    def log_shape(
        self, gamma: Reals, mu: Reals, across: Reals, *, k: Reals, **parameters: Reals
    ) -> Reals:
        angular = 0.5 * k * jnp.log(jnp.maximum(across, 1e-300))
        return self.base.log_shape(gamma, mu, across, **parameters) + angular

    def log_norm(self, *, k: Reals, **parameters: Reals) -> Reals:
        factor = gammaln(1.5) + gammaln(1.0 + 0.5 * k) - gammaln(1.5 + 0.5 * k)
        return self.base.log_norm(**parameters) + factor

    def gamma_bounds(self, *, k: Reals, **parameters: Reals) -> tuple[Reals, Reals]:
        return self.base.gamma_bounds(**parameters)

    def harmonics_matter(self, s: Reals, sine: Reals, *, k: Reals, **parameters: Reals) -> Truths:
        return self.base.harmonics_matter(s, sine, **parameters)

    def canonical(self, *, k: Reals, **parameters: Reals) -> dict[str, Reals]:
        return {**self.base.canonical(**parameters), "k": k}

    def jumps(self, *, k: Reals, **parameters: Reals) -> tuple[tuple[Reals, float], ...]:
        return self.base.jumps(**parameters)

    def breaks(self, *, k: Reals, **parameters: Reals) -> tuple[Any, ...]:
        return self.base.breaks(**parameters)

    def check(self, *, k: Reals, **parameters: Reals) -> None:
        self.base.check(**parameters)

    def violated(self, *, k: Reals, **parameters: Reals) -> Mapping[str, Truths]:
        return {**self.base.violated(**parameters), "k > -1": k <= -1.0}


def get_distribution(distribution: Any) -> Distribution:
    """A ``Distribution`` from a name, a class, an instance or a function f(gamma, mu)."""
    if isinstance(distribution, str):
        if distribution not in _NAMES:
            raise ValueError(
                f"unknown distribution {distribution!r}; available: {', '.join(sorted(_NAMES))}"
            )
        return _NAMES[distribution]
    if isinstance(distribution, Distribution):
        if distribution.of_user:
            require_names(distribution.parameters)
        return distribution
    if isinstance(getattr(distribution, "distribution", None), str):
        raise ValueError(
            f"{distribution!r} is a model: give the name of its distribution, "
            f"{distribution.distribution!r}"
        )
    if not callable(distribution):
        raise ValueError(
            f"a distribution is a name ({', '.join(sorted(_NAMES))}), one of "
            "synchrojax.distributions or a function "
            f"f(gamma, mu), not {type(distribution).__name__}"
        )
    return _wrap(distribution)


@functools.lru_cache(maxsize=32)
def _wrap(distribution: Callable) -> Distribution:
    """One object per class or function, so that compiled code is found again."""
    if distribution is Tabulated:
        return _NAMES["tabulated"]
    if isinstance(distribution, type) and issubclass(distribution, Distribution):
        return distribution()
    return Function(distribution)


# what ``get_distribution`` knows by name
_NAMES = {
    "thermal": Thermal(),
    "powerlaw": PowerLaw(),
    "kappa": Kappa(),
    "powerlaw_pitch": PitchAngle(PowerLaw()),
    "kappa_pitch": PitchAngle(Kappa()),
    "monoenergetic": Monoenergetic(),
    "tabulated": Spectra(),
}
