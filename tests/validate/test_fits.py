"""Published formulas against the exact integrals, each inside the range its authors state."""

import jax
import numpy as np
import pytest

import synchrojax
from synchrojax import distributions, exact
from synchrojax.tables.table_files import RESULTS
from synchrojax.validate import _fits, summary, validate

pytestmark = pytest.mark.usefixtures("x64")

# coefficient -> (median, largest) relative error on the sample below, as measured; a slip in a
# formula exceeds it
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
ROTATIVITIES = {
    "powerlaw": {"rho_Q": (0.05, 0.2), "rho_V": (0.06, 0.1)},
    "kappa": {"rho_Q": (0.07, 0.3), "rho_V": (0.03, 0.06)},
}
POWERLAW_LIMIT = ("j_I", "j_Q", "alpha_I", "rho_Q")  # these formulas are exact in their limit


def points(name, rng, n=48):
    own = {"s": 10 ** rng.uniform(2.0, 5.0, n), "theta": rng.uniform(0.3, 1.4, n)}
    if name == "thermal":
        own["theta_e"] = 10 ** rng.uniform(0.5, 1.6, n)
        keep = 4.5 * own["s"] / own["theta_e"] ** 2 / np.sin(own["theta"]) < 1e3
        return {k: v[keep] for k, v in own.items()}
    if name == "powerlaw":
        return own | {
            "p": rng.uniform(1.5, 6.5, n),
            "gamma_min": np.ones(n),
            "gamma_max": np.full(n, 1e12),
        }
    return own | {"kappa": rng.uniform(2.6, 7.4, n), "w": 10 ** rng.uniform(0.5, 1.6, n)}


def hold(measured, fit, truth):
    for coefficient, (median, largest) in measured.items():
        k = RESULTS.index(coefficient)
        error = np.abs(fit[:, k] / truth[:, k] - 1.0)
        assert np.median(error) < median, coefficient
        assert np.max(error) < largest, coefficient


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(_fits.FITS))
def test_against_the_integrals(name, rng):
    sample = points(name, rng)
    distribution = distributions.PowerLaw(edges="omit") if name == "powerlaw" else name
    truth = exact.at_unit_frequency(distribution, **sample)
    fit = np.stack(jax.jit(_fits.FITS[name].formula)(*sample.values()), -1)
    assert fit.shape == truth.shape
    hold(MEASURED[name], fit, truth)
    assert np.all(np.isnan(fit[:, RESULTS.index("alpha_V")])) == (name == "kappa")


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(ROTATIVITIES))
def test_rotativities_against_the_integrals(name, rng):
    """Power laws: rho_V without the edges of the distribution, rho_Q with them."""
    n = 48
    theta = rng.uniform(0.3, 1.4, n)
    if name == "powerlaw":
        own = {
            "p": rng.uniform(2.0, 6.5, n),
            "gamma_min": 10 ** rng.uniform(0.7, 1.5, n),
            "gamma_max": np.full(n, 1e12),
        }
        sample = {
            "s": own["gamma_min"] ** 2 * 10 ** rng.uniform(1.5, 4.0, n),
            "theta": theta,
            **own,
        }
        truth = exact.at_unit_frequency(name, **sample)
        truth[:, 7] = exact.at_unit_frequency(distributions.PowerLaw(edges="omit"), **sample)[:, 7]
    else:
        own = {"kappa": rng.uniform(3.5, 5.0, n), "w": 10 ** rng.uniform(0.0, 1.6, n)}
        x = 10 ** rng.uniform(0.0, 2.3, n)  # rho_Q has a zero near 0.1
        sample = {"s": x * (own["w"] * own["kappa"]) ** 2 * np.sin(theta), "theta": theta, **own}
        truth = exact.at_unit_frequency(name, **sample)
    fit = np.stack(jax.jit(_fits.FITS[name].formula)(*sample.values()), -1)
    hold(ROTATIVITIES[name], fit, truth)


def test_kappa_rotativities_are_known_between_their_values():
    at = np.array([3.4, 3.5, 3.75, 4.0, 5.0, 5.1])
    fit = np.stack(_fits.kappa(np.full(6, 1e4), np.full(6, 1.0), at, np.full(6, 10.0)), -1)[:, 6:]
    assert np.array_equal(np.isfinite(fit), [[False] * 2, *[[True] * 2] * 4, [False] * 2])
    assert np.allclose(fit[2], 0.5 * (fit[1] + fit[3]), rtol=1e-12)


def test_kappa_rho_q_falls_short_of_its_limit():
    """2 <gamma> = 6 kappa w / (kappa - 3) for large w: the formula has two fifths of it to five
    sixths.
    """
    kappa, w = np.array([3.5, 5.0]), np.full(2, 1e3)
    share = np.asarray(_fits._kappa_rotativities(np.full(2, 1e12), kappa, w)[0]) / (
        6.0 * kappa * w / (kappa - 3.0)
    )
    assert np.allclose(share, [2 / 5, 5 / 6], rtol=0.02)


@pytest.mark.parametrize("name", sorted(_fits.FITS))
def test_v_is_odd(name, rng):
    sample = points(name, rng)
    s, theta, *own = sample.values()
    formula = _fits.FITS[name].formula
    one, other = (np.stack(formula(s, t, *own), -1) for t in (theta, np.pi - theta))
    sign = np.array([1, 1, -1, 1, 1, -1, 1, -1])
    there = np.isfinite(one)
    assert np.allclose(one[there], (other * sign)[there], rtol=1e-9, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(_fits.FITS))
def test_validation_shows_them_beside_the_network(name):
    tables = summary(validate(synchrojax.load(name), n=1000, slopes=False), fits=True)
    fit, ours = tables["published fit, its range"], tables["network, range of the fit"]
    for coefficient in RESULTS:
        assert fit[coefficient]["points"] == ours[coefficient]["points"]
        # there is none of alpha_V, and of the rotativities for four values of kappa alone
        if name == "kappa" and coefficient in ("alpha_V", "rho_Q", "rho_V"):
            assert fit[coefficient]["points"] == 0
            continue
        assert (
            20
            < fit[coefficient]["points"]
            < tables["published fit, all points"][coefficient]["points"]
        )
        if coefficient not in (POWERLAW_LIMIT if name == "powerlaw" else ()):
            assert fit[coefficient]["median"] > 10.0 * ours[coefficient]["median"]
