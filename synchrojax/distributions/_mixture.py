"""Several populations of electrons in one."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from synchrojax.core import Arrays, Numbers, Reals, Truths, is_traced, real
from synchrojax.distributions._base import Distribution
from synchrojax.distributions._names import get_distribution
from synchrojax.distributions._tabulated import Spectra


class Mixture(Distribution):
    """Populations that share the electrons: [(distribution, weight), ...].

    Each ``distribution`` is what ``exact.coefficients`` takes, each ``weight`` >= 0 its share of
    the electrons, in any unit: shares are weights over their sum. The coefficients are the sums
    of those of the parts. A parameter that several parts have is one for each of them:
    ``theta_e_1`` and ``theta_e_2`` for a mixture of two thermal distributions, numbered as the
    parts are. Raises ValueError for anything else.
    """

    def __init__(self, parts: Any) -> None:
        self.parts, self.weights = _checked_parts(parts)
        count = Counter(n for part in self.parts for n in part.parameters)
        # of each part: {its own name of a parameter: the mixture's}
        self.names = tuple(
            {n: f"{n}_{k}" if count[n] > 1 else n for n in part.parameters}
            for k, part in enumerate(self.parts, 1)
        )
        self.parameters = tuple(n for names in self.names for n in names.values())
        self.defaults = {
            names[n]: value
            for part, names in zip(self.parts, self.names, strict=True)
            for n, value in part.defaults.items()
        }

    @property
    def of_user(self) -> bool:
        return any(part.of_user for part in self.parts)

    def __repr__(self) -> str:
        return f"Mixture({', '.join(map(repr, self.parts))})"

    def shares(self) -> Float[Arrays, " parts"]:
        """Of each part in the number of electrons."""
        xp = jnp if is_traced(self.weights) else np
        weights = xp.stack([xp.asarray(w) for w in self.weights])
        return weights / xp.sum(weights)

    def own(self, part: int, given: Mapping[str, Any]) -> dict[str, Any]:
        """Those of ``given`` that are one part's, under its own names."""
        return {n: given[name] for n, name in self.names[part].items() if name in given}

    def canonical(self, **parameters: Reals) -> dict[str, Reals]:
        return {
            self.names[k][n]: value
            for k, part in enumerate(self.parts)
            for n, value in part.canonical(**self.own(k, parameters)).items()
        }

    def violated(self, **parameters: Reals) -> Mapping[str, Truths]:
        return {
            f"{condition} (part {k + 1})": broken
            for k, part in enumerate(self.parts)
            for condition, broken in part.violated(**self.own(k, parameters)).items()
        }

    def check(self, **parameters: Reals) -> None:
        for k, part in enumerate(self.parts):
            part.check(**self.own(k, parameters))

    def _of_parts(self, *_: Any, **__: Any) -> NoReturn:
        raise ValueError(
            "a Mixture is evaluated part by part: give it to exact.coefficients, or use its parts; "
            "for pitch angles write Mixture([(PitchAngle(f), weight), ...])"
        )

    log_shape = log_norm = gamma_bounds = harmonics_matter = _of_parts


def _checked_parts(parts: Any) -> tuple[tuple[Distribution, ...], tuple[Numbers, ...]]:
    """Distributions and weights. Raises ValueError."""
    if not isinstance(parts, Sequence) or isinstance(parts, str) or not len(parts):
        raise ValueError(f"a Mixture is a list [(distribution, weight), ...], got {parts!r}")
    found, weights = [], []
    for k, part in enumerate(parts, 1):
        if not isinstance(part, Sequence) or isinstance(part, str) or len(part) != 2:
            raise ValueError(f"part {k} of a Mixture is (distribution, weight), got {part!r}")
        distribution, weight = get_distribution(part[0]), real(part[1], f"weight of part {k}")
        if isinstance(distribution, Mixture):
            raise ValueError(f"part {k} of a Mixture is a Mixture: list its parts instead")
        if isinstance(distribution, Spectra):
            raise ValueError(
                f"part {k} of a Mixture: electrons on a grid are distributions.Tabulated(gamma, N)"
            )
        if np.ndim(weight):
            raise ValueError(f"weight of part {k} is one number, got shape {np.shape(weight)}")
        if not is_traced([weight]) and not (np.isfinite(weight) and weight >= 0.0):
            raise ValueError(f"weight of part {k} is {float(weight):g}: expected a number >= 0")
        found.append(distribution)
        weights.append(weight)
    if not is_traced(weights) and not sum(map(float, weights)) > 0.0:
        raise ValueError("the weights of a Mixture are all zero")
    return tuple(found), tuple(weights)
