"""High frequency, nu / nu_c from 1e8 on: microgauss fields, X-rays, and above the boxes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import synchrojax
from synchrojax import exact
from synchrojax.core import GYRO

# model -> the largest error of any coefficient
HIGHEST = {
    "powerlaw": 3e-3,
    "powerlaw_pitch": 3e-3,
    "kappa": 5e-3,
    "kappa_pitch": 2e-2,
}


def far_up(name, n, seed):
    """params of ``n`` points with s to 1e17 that no gamma_max has cut off."""
    rng = np.random.default_rng(seed)
    s, theta = 10.0 ** rng.uniform(8.0, 17.0, n), np.arccos(rng.uniform(-1.0, 1.0, n))
    gamma_0 = np.sqrt(s / np.sin(theta))
    params = {"nu": GYRO * 1e-5 * s, "B": 1e-5, "n_e": 1e-3, "theta": theta}
    if name.startswith("kappa"):
        params |= {"kappa": rng.uniform(2.5, 8.0, n), "w": 0.1 * 2000.0 ** rng.random(n)}
    else:
        params |= {"p": rng.uniform(1.5, 7.0, n), "gamma_min": 10.0 ** rng.uniform(0.0, 3.0, n)}
        top = np.minimum(gamma_0 * 10.0 ** rng.uniform(-0.1, 3.0, n), 1e12)
        params["gamma_max"] = np.where(rng.random(n) < 0.5, np.inf, top)
    return params | ({"k": rng.uniform(0.0, 4.0, n)} if name.endswith("pitch") else {})


def check_far_up(name, n, seed):
    model, params = synchrojax.load(name), far_up(name, n, seed)
    wanted = np.array(exact.coefficients(name, params))
    error = np.abs(np.array(model.coefficients(params)) / wanted - 1.0)
    print(name, *np.quantile(error, [0.5, 0.99, 1.0], axis=1), sep="\n")
    assert np.all(np.median(error, axis=1) < 3e-4)
    assert np.all(np.quantile(error, 0.99, axis=1) < 3e-3)
    assert np.max(error) < HIGHEST[name]
    assert not np.any(np.asarray(model.flags(params)))


@pytest.mark.parametrize("name", ["powerlaw", "kappa"])
def test_microgauss_fields_and_x_rays(name, x64):
    check_far_up(name, 12, 0)


@pytest.mark.slow
@pytest.mark.parametrize("name", HIGHEST)
def test_bars_far_up(name, x64):
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
def test_measured_cases(nu, b, theta, p, gamma_min, x64):
    params = {"nu": nu, "B": b, "n_e": 1.0, "theta": theta, "p": p, "gamma_min": gamma_min}
    wanted = np.array(exact.coefficients("powerlaw", params))
    found = np.array(synchrojax.load("powerlaw").coefficients(params))
    np.testing.assert_allclose(found, wanted, rtol=1e-3)


@pytest.mark.parametrize(
    ("name", "own", "policy"),
    [
        ("powerlaw", {"p": 2.6}, "clip"),
        ("powerlaw_pitch", {"p": 2.6, "k": 1.0}, "clip"),
        ("kappa", {"kappa": 3.6, "w": 10.0}, "extrapolate"),
        ("kappa_pitch", {"kappa": 3.6, "w": 10.0, "k": 1.0}, "clip"),
    ],
)
def test_power_laws_go_on_above_the_boxes(name, own, policy):
    """j ~ nu^(-(p - 1) / 2), alpha ~ nu^(-(p + 4) / 2), V / I ~ nu^(-1/2), cold plasma for rho."""
    model, index = synchrojax.load(name, out_of_domain=policy), 2.6
    nu = GYRO * 10.0 ** jnp.linspace(15.0, 20.0, 6)
    params = {"nu": nu, "B": 1.0, "n_e": 1.0, "theta": 1.0, **own}
    c = model.log_coefficients(params)
    assert np.array_equal(np.asarray(model.flags(params)) & 1, [0, 0, 0, 1, 1, 1])
    for log, power in ((c.log_j, -(index - 1.0) / 2.0), (c.log_alpha, -(index + 4.0) / 2.0)):
        assert np.allclose(jnp.diff(log) / np.log(10.0), power, atol=2e-3)
    for ratio in (c.v_j, c.v_alpha):
        assert np.allclose(jnp.diff(jnp.log(ratio)) / np.log(10.0), -0.5, atol=5e-3)
    for ratio in (c.q_j, c.q_alpha):
        assert np.allclose(ratio, ratio[0], rtol=2e-3)
    for log, power in ((c.log_rho_Q, -3.0), (c.log_rho_V, -2.0)):
        assert np.allclose(jnp.diff(log)[-3:] / np.log(10.0), power, atol=2e-3)
    slope = jax.grad(lambda nu: model.log_coefficients({**params, "nu": nu}).log_j[-1])(nu)
    assert np.isclose(slope[-1] * nu[-1], -(index - 1.0) / 2.0, rtol=1e-3)
