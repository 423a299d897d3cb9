"""Random electron spectra on grids, of the shapes that codes produce."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from synchrojax.families import FAMILIES

_NODES = (32, 64, 256)
_EACH = 80  # spectra and directions on one grid: more than the integrals count as few
_HIGHEST = 1e8  # of s
# absorption counts above this share of rho_Q, a choice: the rest has fallen by about e^-100; and
# emission above m_e times that, since j / alpha of electrons is of order m_e nu^2
LOWEST = 1e-45


class Drawn(NamedTuple):
    """Spectra on one grid, each seen from a direction."""

    kind: str
    s: Float[np.ndarray, " points"]
    theta: Float[np.ndarray, " points"]
    gamma: Float[np.ndarray, " k"]
    n: Float[np.ndarray, "points k"]


def _broken(gamma: Float[np.ndarray, " k"], uniform: Callable) -> Float[np.ndarray, "points k"]:
    """Two power laws, the lower of which may rise."""
    low, high = np.log(gamma[[0, -1]])
    ratio = np.log(gamma) - uniform(low, high)
    return np.exp(-np.where(ratio < 0.0, uniform(-1.0, 3.0), uniform(2.0, 5.0)) * ratio)


def _log_parabola(
    gamma: Float[np.ndarray, " k"], uniform: Callable
) -> Float[np.ndarray, "points k"]:
    low, high = np.log(gamma[[0, -1]])
    ratio = np.log(gamma) - uniform(low, high)
    return np.exp(-uniform(1.0, 4.0) * ratio - uniform(0.05, 0.8) * ratio**2)


def _cooled(gamma: Float[np.ndarray, " k"], uniform: Callable) -> Float[np.ndarray, "points k"]:
    """A power law that synchrotron losses have ended: zero above."""
    low, high = np.log(gamma[[0, -1]])
    p, last = uniform(2.0, 3.5), np.exp(uniform(0.9 * low + 0.1 * high, high))
    return gamma**-p * np.maximum(1.0 - gamma / last, 0.0) ** (p - 2.0)


def _momenta(gamma: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    return gamma * np.sqrt((gamma - 1.0) * (gamma + 1.0))


def _thermal(gamma: Float[np.ndarray, " k"], uniform: Callable) -> Float[np.ndarray, "points k"]:
    high = np.log(gamma[-1])
    temperature = np.exp(uniform(max(np.log(0.1), high - 7.0), high - 1.0))
    return np.maximum(_momenta(gamma), 1e-3) * np.exp(-(gamma - gamma[0]) / temperature)


def _kappa(gamma: Float[np.ndarray, " k"], uniform: Callable) -> Float[np.ndarray, "points k"]:
    kappa, w = uniform(2.5, 7.0), np.exp(uniform(np.log(0.1), np.log(gamma[-1]) - 2.0))
    shape = (1.0 + (gamma - 1.0) / (kappa * w)) ** -(kappa + 1.0)
    return np.maximum(_momenta(gamma), 1e-3) * shape


SHAPES = {
    "broken power law": _broken,
    "log-parabola": _log_parabola,
    "cooled": _cooled,
    "thermal": _thermal,
    "kappa": _kappa,
}


def drawn(n: int, seed: int) -> Iterator[Drawn]:
    """``n`` random spectra and directions in the box of "tabulated", a few on each grid."""
    rng = np.random.default_rng(seed)
    domain = FAMILIES["tabulated"].domain
    for first in range(0, n, _EACH):
        count = min(_EACH, n - first)
        kind = list(SHAPES)[first // _EACH % len(SHAPES)]
        nodes = _NODES[first // _EACH % len(_NODES)]
        at_rest = kind in ("thermal", "kappa") or rng.random() < 0.5
        lowest = 1.0 if at_rest else 10.0 ** rng.uniform(0.3, 2.5)
        decades = rng.uniform(1.5, 6.0)
        gamma = lowest * np.geomspace(1.0, 10.0**decades, nodes)
        if rng.random() < 0.5:  # even steps in ln(gamma - gamma_min)
            above = np.geomspace(1e-2 * lowest, gamma[-1] - lowest, nodes - 1)
            gamma = lowest + np.concatenate([[0.0], above])

        def uniform(low: float, high: float, count: int = count) -> Float[np.ndarray, "points 1"]:
            return rng.uniform(low, high, (count, 1))

        spectra = np.broadcast_to(SHAPES[kind](gamma, uniform), (count, nodes))
        s = domain["s"][0] * (_HIGHEST / domain["s"][0]) ** rng.random(count)
        lowest_sine = np.minimum(domain["s_sin_theta"][0] / s, 1.0)
        cosine = rng.uniform(-1.0, 1.0, count) * np.sqrt(1.0 - lowest_sine**2)
        yield Drawn(kind, s, np.arccos(cosine), gamma, spectra)
