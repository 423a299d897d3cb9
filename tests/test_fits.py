"""Published formulas against the exact integrals, each inside the range its authors state."""

import jax
import numpy as np
import pytest

from synchrojax import _fits, distributions, exact
from synchrojax._table import RESULTS

pytestmark = pytest.mark.usefixtures("x64")

# coefficient -> (median, largest) relative error on the sample below, as measured; a slip in a formula exceeds it
MEASURED = {
    "thermal": {
        "j_I": (0.02, 0.04),
        "j_Q": (0.1, 0.2),
        "j_V": (0.25, 0.8),
        "alpha_I": (0.02, 0.04),
        "alpha_Q": (0.1, 0.2),
        "alpha_V": (0.25, 0.8),
        "rho_Q": (0.03, 0.6),  # near its zero
        "rho_V": (0.02, 0.25),
    },
    "powerlaw": {name: (0.015, 0.15) for name in RESULTS[:6]},
    "kappa": {
        "j_I": (0.1, 0.25),
        "j_Q": (0.1, 0.4),
        "j_V": (0.2, 0.4),
        "alpha_I": (0.06, 0.2),
        "alpha_Q": (0.12, 0.3),
    },
}


def points(name, rng, n=24):
    own = {"s": 10 ** rng.uniform(2.0, 5.0, n), "theta": rng.uniform(0.3, 1.4, n)}
    if name == "thermal":
        own["theta_e"] = 10 ** rng.uniform(0.5, 1.6, n)
        keep = 4.5 * own["s"] / own["theta_e"] ** 2 / np.sin(own["theta"]) < 1e3
        return {k: v[keep] for k, v in own.items()}
    if name == "powerlaw":
        return own | {"p": rng.uniform(1.5, 6.5, n), "gamma_min": np.ones(n), "gamma_max": np.full(n, 1e12)}
    return own | {"kappa": rng.uniform(2.6, 7.4, n), "w": 10 ** rng.uniform(0.5, 1.6, n)}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(_fits.FITS))
def test_against_the_integrals(name, rng):
    sample = points(name, rng)
    distribution = distributions.PowerLaw(edges="omit") if name == "powerlaw" else name
    truth = exact.hatted(distribution, **sample)
    fit = np.asarray(jax.jit(_fits.FITS[name])(*sample.values()))
    assert fit.shape == truth.shape
    for k, coefficient in enumerate(RESULTS):
        error = np.abs(fit[:, k] / truth[:, k] - 1.0)
        if coefficient not in MEASURED[name]:
            assert np.all(np.isnan(error)), coefficient
            continue
        median, largest = MEASURED[name][coefficient]
        assert np.median(error) < median, coefficient
        assert np.max(error) < largest, coefficient


@pytest.mark.parametrize("name", sorted(_fits.FITS))
def test_v_is_odd(name, rng):
    sample = points(name, rng)
    s, theta, *own = sample.values()
    one, other = (np.asarray(_fits.FITS[name](s, t, *own)) for t in (theta, np.pi - theta))
    sign = np.array([1, 1, -1, 1, 1, -1, 1, -1])
    there = np.isfinite(one)
    assert np.allclose(one[there], (other * sign)[there], rtol=1e-9, atol=0)
