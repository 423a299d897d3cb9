"""Power laws: the parts of their cumulative coefficients."""

import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

import synchrojax
from synchrojax import exact
from synchrojax.core import GYRO
from synchrojax.families.powerlaw import _cumulative

pytestmark = pytest.mark.usefixtures("x64")


def test_derivatives_of_the_limit_of_conversion():
    """The series in ln x and p and its derivatives of first and second order."""
    z, q = jnp.asarray([-0.99, -0.3, 0.1, 0.8]), jnp.asarray([-0.9, 0.2, 0.5, 0.95])
    table = _cumulative._SERIES["conversion"]
    found = _cumulative._series("conversion", 0, 0, z, q)
    assert np.allclose(found, np.polynomial.chebyshev.chebval2d(z, q, table), rtol=1e-12)
    check_grads(
        lambda z, q: _cumulative._series("conversion", 0, 0, z, q),
        (z, q),
        order=2,
        rtol=1e-4,
        atol=1e-4,
    )


def far_up(name, n, seed, lowest):
    """params of ``n`` points with s up to 1e16 whose emission gamma_max has not cut off."""
    rng = np.random.default_rng(seed)
    s, theta = 10.0 ** rng.uniform(lowest, 16.0, n), np.arccos(rng.uniform(-1.0, 1.0, n))
    gamma_0 = np.sqrt(s / np.sin(theta))
    params = {"nu": GYRO * 1e-5 * s, "B": 1e-5, "n_e": 1e-3, "theta": theta}
    params |= {"p": rng.uniform(1.5, 7.0, n), "gamma_min": 10.0 ** rng.uniform(0.0, 3.0, n)}
    top = np.minimum(gamma_0 * 10.0 ** rng.uniform(-0.1, 3.0, n), 1e12)
    params["gamma_max"] = np.where(rng.random(n) < 0.5, np.inf, top)
    return params | ({"k": rng.uniform(0.0, 4.0, n)} if name.endswith("pitch") else {})


def check_far_up(name, n, seed):
    model, params = synchrojax.load(name), far_up(name, n, seed, 8.0)
    wanted = np.array(exact.coefficients(name, params))
    error = np.abs(np.array(model.coefficients(params)) / wanted - 1.0)
    print(name, *np.quantile(error, [0.5, 0.99, 1.0], axis=1), sep="\n")
    assert np.all(np.median(error, axis=1) < 3e-4)
    assert np.max(error) < 3e-3
    assert not np.any(np.asarray(model.flags(params)))


def test_microgauss_fields_and_x_rays():
    """s = nu / nu_c from 1e8 to 1e16."""
    check_far_up("powerlaw", 12, 0)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["powerlaw", "powerlaw_pitch"])
def test_bars_far_up(name):
    check_far_up(name, 1000, 1)


# nu, B, theta, p, gamma_min -> j_I and alpha_I over n_e, by the closed formulas of Rybicki &
# Lightman 1979 (eqs. 6.36, 6.53), as ``exact`` gives them
MEASURED = [
    (1e12, 1e-5, 1.0, 3.0, 100.0),
    (1e12, 1e-5, 1.0, 5.0, 100.0),
    (2.4e18, 1e-5, 1.0, 2.5, 1.0),
    (1e9, 1e-6, 0.4, 2.2, 10.0),
]


@pytest.mark.parametrize(("nu", "b", "theta", "p", "gamma_min"), MEASURED)
def test_measured_cases(nu, b, theta, p, gamma_min):
    params = {"nu": nu, "B": b, "n_e": 1.0, "theta": theta, "p": p, "gamma_min": gamma_min}
    wanted = np.array(exact.coefficients("powerlaw", params))
    found = np.array(synchrojax.load("powerlaw").coefficients(params))
    np.testing.assert_allclose(found, wanted, rtol=1e-3)
