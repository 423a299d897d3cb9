"""What observed spectra say of a source: residuals, and the likelihood of its labels."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import log_ndtr
from jaxtyping import Array, Bool, Float

from synchrojax.core import Arrays, Numbers, own_settings
from synchrojax.spectra._data import StokesSpectrum
from synchrojax.spectra._sources import Source
from synchrojax.spectra._space import Place, Space, rows_at


class Channels(NamedTuple):
    """Spectra of several problems, first axis, or of one without it; weights of 0 are unused."""

    nu: Float[Arrays, "*problems nu"]
    values: Float[Arrays, "*problems 4 nu"]
    weights: Float[Arrays, "*problems 4 nu"]  # 1 / error
    upper: Bool[Arrays, "*problems nu"]  # where I is an upper limit


class Problem(NamedTuple):
    """Everything that one fit is given, or several along a first axis."""

    channels: Channels
    place: Place


def channels_of(spectra: Sequence[StokesSpectrum]) -> Channels:
    """Several spectra side by side; short ones repeat their last frequency, with weight 0."""
    longest = max(len(s.nu) for s in spectra)
    nu, upper = np.zeros((len(spectra), longest)), np.zeros((len(spectra), longest), bool)
    values, weights = np.zeros((2, len(spectra), 4, longest))
    for k, spectrum in enumerate(spectra):
        n = len(spectrum.nu)
        nu[k, :n], nu[k, n:], upper[k, :n] = spectrum.nu, spectrum.nu[-1], spectrum.upper
        values[k, :, :n], weights[k, :, :n] = spectrum.table()
    return Channels(nu, values, weights, upper)


def deviations(
    light: Sequence[Numbers], channels: Channels, limits: bool
) -> Float[Array, "*problems 4 nu"]:
    """Residuals in units of the errors, whose squares add up to chi2.

    Of an upper limit L with the error s: sqrt(-2 ln Phi((L - I) / s)), after the probability that
    noise hides what the model says.
    """
    stacked = jnp.stack([jnp.asarray(v) for v in light], axis=-2)
    # values that nothing uses may be anything
    used = channels.weights > 0.0
    apart = jnp.where(used, stacked - channels.values, 0.0) * channels.weights
    if not limits:
        return apart
    upper = channels.upper & used[..., 0, :]
    twice = -2.0 * log_ndtr(jnp.where(upper, -apart[..., 0, :], 0.0))
    # the root has no slope at 0, where the limit says nothing
    says = upper & (twice > 1e-20)
    hidden = jnp.where(says, jnp.sqrt(jnp.where(says, twice, 1.0)), 0.0)
    total = jnp.where(upper, hidden, apart[..., 0, :])
    return jnp.concatenate([total[..., None, :], apart[..., 1:, :]], axis=-2)


@dataclass(frozen=True)
class Residuals:
    """Residuals of one problem at a point of the unit cube: those of the data, then the priors'."""

    space: Space
    limits: bool
    priors: bool

    def __call__(self, u: Float[Arrays, " labels"], problem: Problem) -> Float[Array, " residuals"]:
        return self.of(light_of(self.space, u, problem.place, problem.channels.nu), u, problem)

    def width(self, problem: Problem) -> int:
        """How many there are, for one problem or each of several."""
        priors = len(self.space.names) if self.priors else 0
        return 4 * problem.channels.nu.shape[-1] + priors

    def of(
        self, light: Sequence[Numbers], u: Float[Arrays, " labels"], problem: Problem
    ) -> Float[Array, " residuals"]:
        """Those of the light that there is at that point."""
        found = deviations(light, problem.channels, self.limits).reshape(-1)
        if not self.priors:
            return found
        return jnp.concatenate([found, self.space.penalties(u, problem.place)])


def light_of(
    space: Space, u: Float[Arrays, " labels"], place: Place, nu: Float[Arrays, " nu"]
) -> list[Float[Array, " nu"]]:
    """Stokes I, Q, U, V [Jy] at one point of the cube."""
    values = space.labels(u, place)
    found = space.source.function({n: as_label(n, v) for n, v in values.items()}, nu)
    return [jnp.broadcast_to(v, nu.shape) for v in found]


def as_label(name: str, value: Arrays) -> Arrays:
    """A label of one source as its function takes it, with an axis for the frequencies."""
    return value if name == "gamma" else value[None]


def _beside(row: np.ndarray, light: Array) -> Array:
    """In the dtype of the light unless it is a mask, with an axis for each of its batch."""
    row = row if row.dtype == bool else row.astype(light.dtype)
    return jnp.asarray(row.reshape((1,) * (light.ndim - 1) + row.shape))


def log_likelihood(source: Source, data: StokesSpectrum) -> Callable[[Mapping[str, Any]], Array]:
    """ln of the probability density of ``data`` as a pure function of a mapping of labels.

    Independent normal errors, sum of -((model - data) / error)^2 / 2 - ln(error sqrt(2 pi)), and
    ln Phi((limit - model) / error) for upper limits. Labels are numbers or arrays that broadcast,
    [...]; the result is [...]. It works under jit, vmap and grad, as numpyro (``factor``) and
    blackjax want it, and takes labels that are not physical: there it is -inf.
    """
    channels = rows_at(channels_of([data]), 0)
    detected = (channels.weights > 0.0) & ~(channels.upper & (np.arange(4) == 0)[:, None])
    constant = np.sum(np.log(channels.weights[detected] / np.sqrt(2.0 * np.pi)))
    limits = bool(np.any(data.upper))

    @own_settings
    def function(params: Mapping[str, Any]) -> Array:
        light = source.stokes(params, data.nu)
        own = Channels(*(_beside(v, light.I) for v in channels))
        chi2 = jnp.sum(deviations(light, own, limits) ** 2, axis=(-2, -1))
        return jnp.where(jnp.isnan(chi2), -jnp.inf, constant - 0.5 * chi2)

    return function
