"""How a factor sin^k of the pitch angle is smeared: the closed forms against the integrals they
were fitted to.
"""

import runpy
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad

from synchrojax.families import _pitch, _single_electron

pytestmark = pytest.mark.usefixtures("x64")


@pytest.fixture(scope="module")
def integrals(request):
    return SimpleNamespace(
        **runpy.run_path(request.config.rootpath / "data" / "make_pitch_smear.py")
    )


def point(theta, k, s=1e3):
    theta, k, s = jnp.broadcast_arrays(*(jnp.asarray(v, float) for v in (theta, k, s)))
    return SimpleNamespace(s=s, sine=jnp.sin(theta), cosine=jnp.cos(theta), k=k)


def test_cone_of_one_electron(integrals):
    x = 10.0 ** np.linspace(-6.0, 4.0, 31)
    truth = np.array([integrals.cone(one) for one in x]) / integrals.cone(1e8)
    assert np.max(np.abs(_single_electron.conversion_cone(np.log(x)) / truth - 1)) < 2e-3


def test_kernel_of_one_electron(request, monkeypatch):
    """Both the constants in use and those that the script makes."""
    data = request.config.rootpath / "data"
    monkeypatch.syspath_prepend(str(data))
    script = SimpleNamespace(**runpy.run_path(data / "make_conversion_kernel.py"))
    x, m, h = script.grid(1e5, 201)
    assert np.max(np.abs(_single_electron.conversion_kernel(np.log(x)) / m**2 - h)) < 4.5e-6
    constant, poles, fitted = script.fit(m, h)
    assert np.max(np.abs(fitted(m) - h)) < 6e-6
    pairs = [tuple(row) for row in poles.tolist()]
    assert np.allclose(constant + _single_electron._poles(pairs, m), fitted(m), rtol=1e-9)


@pytest.mark.parametrize("k", [0.3, 1.5, 2.0, 3.7])
def test_smeared_power(integrals, k):
    for gamma in (1.05, 2.0, 30.0, 1e3):
        theta = np.arctan(np.array([1e-2, 0.3, 1.0, 3.0, 30.0]) / gamma)
        truth = np.array([np.log(integrals.smeared(gamma, t, k)) for t in theta]) - k * np.log(
            np.sin(theta)
        )
        ours = np.asarray(_pitch.log_smeared(point(theta, k), jnp.full((1, 5), gamma))[0])
        assert np.max(np.abs(ours - truth)) < 0.02 + 0.01 * k


def test_off_cone_is_the_smear_at_high_frequency_and_its_bend_below():
    p, gamma, log_x = point(0.7, 2.0), jnp.asarray([1e3, 1e5]), jnp.full(2, np.log(1e4))
    high = np.prod(_pitch.off_cone(p, gamma, log_x), 0)
    assert np.allclose(high, np.expm1(_pitch.log_smeared(p, gamma)), rtol=1e-3)
    # linear in the mean square angle: c / gamma^2
    for x in (1e-3, 0.1, 1.0, 3.0):
        ratio = np.prod(_pitch.off_cone(p, gamma, jnp.full(2, np.log(x))), 0) / high
        # twice the error of the fit
        assert np.allclose(ratio, _single_electron.conversion_cone(np.log(x)), rtol=4e-2)


def test_nothing_is_smeared_without_anisotropy():
    p = point([1e-3, 0.5, 1.5], 0.0)
    _, change = _pitch.off_cone(p, jnp.full((1, 3), 3.0), jnp.zeros((1, 3)))
    assert np.allclose(change, 0.0, atol=1e-15)
    assert np.allclose(_pitch.second_order(p, jnp.zeros(3)), 0.0, atol=1e-15)
    fixed, spread = _pitch.rotation_v(p, jnp.full(3, 0.1))
    assert np.allclose(fixed, 1.0)
    assert np.allclose(spread, 0.0, atol=1e-12)


@pytest.mark.parametrize("k", [-0.1, 0.0, 0.5, 2.0, 4.0])
def test_rotation_of_one_electron(k):
    """Against a plain integral over mu, and against the isotropic arccosh(gamma)."""
    for gamma, theta in ((1.2, 0.3), (3.0, 1.2), (20.0, 0.1)):
        u, sine, cosine = np.sqrt(gamma**2 - 1), np.sin(theta), np.cos(theta)

        def each(mu, gamma=gamma, u=u, sine=sine, cosine=cosine):
            across, g = (u * mu - cosine * gamma) / sine, (gamma - cosine * u * mu) / sine
            return -((1 - mu * mu) ** (0.5 * k)) * across * g / (1 + across**2) ** 1.5

        plain = quad(
            each,
            -1.0,
            1.0,
            points=[cosine, cosine - sine / gamma],
            limit=400,
            epsabs=1e-12,
            epsrel=1e-9,
        )[0]
        ratio = _pitch.rotation_v_ratio(point(theta, k), jnp.asarray([gamma]))[0]
        assert np.isclose(ratio, plain * u / (2.0 * sine * cosine * np.arccosh(gamma)), rtol=2e-5)
