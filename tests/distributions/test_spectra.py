"""Electron spectra on a grid: harmonics, and the same written as an f that interpolates."""

import jax.numpy as jnp
import numpy as np
import pytest

from synchrojax import exact
from synchrojax.distributions import Function, Spectra, Tabulated

pytestmark = pytest.mark.usefixtures("x64")
GYRO_HZ = 2799248.98


def test_harmonics_of_slow_electrons():
    """Their sum is that of the same power law, from the cyclotron lines on."""
    gamma = np.array([1.0, 10.0, 1e3, 1e5])
    s, theta = np.array([6.0, 20.0, 28.0]), np.array([1.4, 0.5, 1.5707])
    params = {"nu": GYRO_HZ * s, "B": 1.0, "n_e": 1.0, "theta": theta}
    found = np.array(exact.coefficients(Tabulated(gamma, gamma**-2.5), params))
    ends = {"p": 2.5, "gamma_min": 1.0, "gamma_max": 1e5}
    wanted = np.array(exact.coefficients("powerlaw", {**params, **ends}))
    np.testing.assert_allclose(found, wanted, rtol=1e-8)


@pytest.mark.filterwarnings("ignore:f integrates to")
def test_an_f_that_interpolates():
    """With its nodes as breaks it is what ``Tabulated`` is."""
    gamma = np.array([2.0, 4.0, 30.0, 300.0, 1e4])
    n = gamma**-2.2 * np.array([1.0, 2.0, 0.5, 2.0, 0.2])
    log_norm = float(Spectra().log_norm(gamma=jnp.asarray(gamma), N=jnp.asarray(n)))

    def f(at, mu):
        log_n = jnp.interp(jnp.log(at), np.log(gamma), np.log(n))
        per_shell = jnp.exp(log_n - log_norm) / (at * jnp.sqrt(at * at - 1.0))
        return jnp.where((at >= 2.0) & (at <= 1e4), per_shell, 0.0) + 0.0 * mu

    written = Function(f, gamma_min=1.5, gamma_max=2e4, breaks=tuple(gamma))
    s, theta = np.array([40.0, 300.0, 1e5]), np.array([0.9, 0.5, 1.3])
    params = {"nu": GYRO_HZ * s, "B": 1.0, "n_e": 1.0, "theta": theta}
    found = np.array(exact.coefficients(written, params))
    wanted = np.array(exact.coefficients(Tabulated(gamma, n), params))
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
