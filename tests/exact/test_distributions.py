"""Power law, kappa and pitch-angle distributions: normalisation, limits, edges, bad input,
independent integrals.
"""

import json

import jax.numpy as jnp
import numpy as np
import pytest
from reference import NAMES
from reference_general import PATH, points, reference
from scipy import integrate, special
from scipy.special import gamma

from synchrojax import distributions, exact
from synchrojax.core import ELECTRON_CHARGE, ELECTRON_MASS, GYRO, SPEED_OF_LIGHT
from synchrojax.exact import _evaluate, _phase_space
from synchrojax.special import kinks

pytestmark = pytest.mark.usefixtures("x64")
OMIT = distributions.PowerLaw(edges="omit")  # one object: compiled once
BASE = {"nu": 230e9, "B": 30.0, "n_e": 1e3, "theta": np.pi / 3}


def test_independent_integrals():
    """SciPy's adaptive quadrature, sharp edges kept, s sin(theta) >= 25: 1e-7, 1e-6 for rho_Q."""
    rows = json.loads(PATH.read_text())
    assert [(r["name"], r["s"], r["theta"]) for r in rows] == [p[:3] for p in points()]
    for name in sorted({row["name"] for row in rows}):
        mine = [row for row in rows if row["name"] == name]
        own = {
            k: np.array([row[k] for row in mine]) for k in mine[0] if k not in ("name", "values")
        }
        truth = np.array([[row["values"][n] for n in NAMES] for row in mine])
        ours, none = exact.at_unit_frequency(name, **own), truth == 0.0
        assert np.all(np.abs(ours[none]) < 1e-200), name
        error = np.where(none, 0.0, np.abs(ours / np.where(none, 1.0, truth) - 1))
        assert np.max(np.delete(error, 6, axis=1)) < 1e-7, name
        assert np.max(error[:, 6]) < 1e-6, name


@pytest.mark.slow
def test_independent_integrals_are_reproduced():
    name, s, theta, own = points()[1]
    row = json.loads(PATH.read_text())[1]
    assert np.allclose(
        reference(name, s, theta, own), [row["values"][n] for n in NAMES], rtol=1e-9, atol=0
    )


def test_edges_of_the_power_law():
    """Values of the project's physics notes (nu = 1, n_e = 1): rho_V, rho_Q with and without the
    edges.
    """
    own = {"s": [1e4], "theta": [np.pi / 4], "p": [2.5], "gamma_min": [10.0], "gamma_max": [1e12]}
    keep = exact.at_unit_frequency("powerlaw", **own)[0]
    omit = exact.at_unit_frequency(OMIT, **own)[0]
    assert np.allclose(keep[6:], [-1.6447e-9, 1.6858e-8], rtol=5e-5)
    assert np.allclose(omit[6:], [-1.9570e-9, 5.2849e-8], rtol=5e-5)
    assert np.array_equal(keep[:3], omit[:3])
    # at gamma_min = 1 nothing is left of them
    own["gamma_min"] = [1.0]
    assert np.allclose(
        exact.at_unit_frequency("powerlaw", **own), exact.at_unit_frequency(OMIT, **own), rtol=1e-12
    )


def test_absorption_with_edges_is_positive_below_gamma_min(rng):
    """nu far below gamma_min^2 nu_c, where fits fail: alpha_I > 0 needs the lower edge."""
    n = 12
    own = {
        "p": rng.uniform(1.5, 7, n),
        "gamma_min": 10 ** rng.uniform(1, 3, n),
        "gamma_max": np.full(n, 1e12),
    }
    s, theta = np.full(n, 30.0), rng.uniform(0.3, 1.5, n)
    keep = exact.at_unit_frequency("powerlaw", s=s, theta=theta, **own)
    omit = exact.at_unit_frequency(OMIT, s=s, theta=theta, **own)
    assert np.all(keep[:, [0, 3]] > 0)
    assert np.all(omit[:, 3] > keep[:, 3])


def test_additive_in_gamma():
    """Two halves weighted by their electrons make the whole: all eight are linear in f."""
    p, cut = 2.8, 40.0
    share = 1.0 - cut ** (1 - p)
    low, high, both = (
        np.array(exact.coefficients("powerlaw", {**BASE, "p": p, **bounds}))
        for bounds in ({"gamma_max": cut}, {"gamma_min": cut}, {})
    )
    assert np.max(np.abs((share * low + (1 - share) * high) / both - 1)) < 1e-7


def test_infinite_gamma_max_and_defaults():
    given = exact.coefficients(
        "powerlaw", {**BASE, "p": 2.5, "gamma_min": 1.0, "gamma_max": np.inf}
    )
    assert np.array_equal(
        np.array(given), np.array(exact.coefficients("powerlaw", {**BASE, "p": 2.5}))
    )
    assert np.all(np.isfinite(np.array(given)))


def test_closed_formulas_from_radio_to_gamma_rays():
    """An infinite power law far above gamma_min, Rybicki & Lightman 1979, eqs. 6.36 and 6.53."""
    p, b, sine = 2.5, 1e-5, np.sin(1.0)
    s = np.geomspace(1e7, 1e17, 11)
    nu, e, mc = GYRO * b * s, ELECTRON_CHARGE, ELECTRON_MASS * SPEED_OF_LIGHT
    for gamma_min in (1.0, 30.0):
        number = (p - 1.0) * gamma_min ** (p - 1.0)
        power = np.sqrt(3.0) * e**3 * number * b * sine / (2.0 * np.pi * mc * SPEED_OF_LIGHT)
        power *= gamma(p / 4.0 + 19.0 / 12.0) * gamma(p / 4.0 - 1.0 / 12.0) / (p + 1.0)
        power *= (2.0 * np.pi * nu * mc / (3.0 * e * b * sine)) ** (-(p - 1.0) / 2.0)
        taken = np.sqrt(3.0) * e**3 / (8.0 * np.pi * ELECTRON_MASS) * number
        taken *= (3.0 * e / (2.0 * np.pi * ELECTRON_MASS**3 * SPEED_OF_LIGHT**5)) ** (p / 2.0)
        taken *= (mc * SPEED_OF_LIGHT) ** (p - 1.0) * (b * sine) ** ((p + 2.0) / 2.0)
        taken *= gamma((3.0 * p + 2.0) / 12.0) * gamma((3.0 * p + 22.0) / 12.0)
        taken *= nu ** (-(p + 4.0) / 2.0)
        params = {"nu": nu, "B": b, "n_e": 1.0, "theta": 1.0, "p": p, "gamma_min": gamma_min}
        c = exact.coefficients("powerlaw", params)
        np.testing.assert_allclose(c.j_I, 0.5 * power, rtol=1e-6)
        np.testing.assert_allclose(c.alpha_I, taken, rtol=1e-6)
        np.testing.assert_allclose(c.j_Q / c.j_I, -(p + 1.0) / (p + 7.0 / 3.0), rtol=1e-6)


def test_a_hard_power_law_that_ends():
    """p <= 1 can be normalised where gamma_max is finite."""
    ends = {"gamma_min": 5.0, "gamma_max": 1e4}
    hard, harder = (
        np.array(exact.coefficients("powerlaw", {**BASE, **ends, "p": p})) for p in (1.0, 0.5)
    )
    near = np.array(exact.coefficients("powerlaw", {**BASE, **ends, "p": 1.0 + 1e-7}))
    np.testing.assert_allclose(hard, near, rtol=1e-5)
    # more electrons where less is emitted at this frequency
    assert 0.0 < harder[0] < hard[0]
    with pytest.raises(ValueError, match="a finite gamma_max or p > 1 does not hold for p = 1"):
        exact.coefficients("powerlaw", {**BASE, "gamma_min": 5.0, "p": 1.0})


def test_no_anisotropy_is_the_isotropic_path():
    own = {"s": [300.0, 2e5], "theta": [0.4, 1.2], "kappa": [3.5, 6.0], "w": [10.0, 0.5]}
    plain = exact.at_unit_frequency("kappa", **own)
    pitch = exact.at_unit_frequency("kappa_pitch", **own, k=[0.0, 0.0])
    assert np.max(np.abs(pitch / plain - 1)) < 1e-12


def test_kappa_tends_to_thermal():
    """f_kappa / f_thermal - 1 is of order 1 / kappa."""
    own = {"s": [200.0], "theta": [1.0]}
    thermal = exact.at_unit_frequency("thermal", theta_e=[3.0], **own)[0]
    gaps = [
        np.abs(exact.at_unit_frequency("kappa", kappa=[k], w=[3.0], **own)[0] / thermal - 1)
        for k in (1e4, 1e5)
    ]
    assert np.max(gaps[0]) < 0.05
    assert np.allclose(gaps[0] / gaps[1], 10.0, rtol=0.02)


@pytest.mark.slow  # compiles for a minute
def test_sum_and_integral_agree():
    """Where the rule switches from harmonics to the integral, at s sin(theta) = 15."""
    theta = np.array([0.4, 1.3])
    for name, own in (("powerlaw", [2.5, 1.0, 1e3]), ("kappa", [4.0, 1.0])):
        d = distributions.get_distribution(name)
        for t in theta:
            row = np.tile([15.0 / np.sin(t), t, *own], (8, 1))  # the size that others compile, too
            both = [
                np.asarray(_evaluate._block(d, mode, _phase_space.resolution_of(d), 1)(row, 8))[0]
                for mode in (0, 1)
            ]
            error = np.abs(both[0] / both[1] - 1)
            assert np.max(error[3:]) < 1e-7, (name, t)
            assert np.max(error[:3]) < 1e-6, (name, t)


@pytest.mark.parametrize(
    ("name", "own", "condition"),
    [
        ("powerlaw", {"p": 1.0}, "p > 1"),
        ("powerlaw", {"p": 2.0, "gamma_min": 0.5}, "gamma_min >= 1"),
        ("powerlaw", {"p": 2.0, "gamma_min": 20.0, "gamma_max": 10.0}, "gamma_max > gamma_min"),
        ("kappa", {"kappa": 2.0, "w": 1.0}, "kappa > 2"),
        ("kappa", {"kappa": 3.0, "w": 0.0}, "w > 0"),
        ("kappa_pitch", {"kappa": 3.0, "w": 1.0, "k": -1.0}, "k > -1"),
        ("thermal", {"theta_e": -1.0}, "theta_e > 0"),
    ],
)
def test_bad_parameters(name, own, condition):
    with pytest.raises(ValueError, match=f"{condition} does not hold"):
        exact.coefficients(name, {**BASE, **own})


def test_kinks_are_found():
    def f(x):
        return np.stack(
            [
                np.abs(np.sin(x - 1.0)) ** 3 - 4 * x,
                np.where(x < 2.5, 0.0, x - 2.5 + (x > 6.0)) + np.cosh(x),
            ]
        )

    assert np.allclose(kinks(f, 0.1, 9.0), [2.5, 6.0], atol=1e-6)
    assert len(kinks(lambda x: np.sinh(x)[None], 0.02, 20.0)) == 0


def test_anisotropy_holds_along_b():
    """sin^k where 1 - mu^2 rounds: with s sin(theta) fixed coefficients go as powers of theta."""
    theta = np.array([1e-4, 1e-5, 1e-6, 1e-7])
    own = {"kappa": np.full(4, 4.0), "w": np.full(4, 30.0), "k": np.full(4, 2.0)}
    h = exact.at_unit_frequency("kappa_pitch", s=30.0 / np.sin(theta), theta=theta, **own)
    powers = np.diff(np.log(np.abs(h)), axis=0) / np.log(0.1)
    expected = np.array([6, 6, 6, 7, 7, 7, 4, 1])
    assert np.allclose(powers[-1], expected, rtol=1e-4)


def test_harmonics_along_b_far_above_the_cyclotron_frequency():
    """j of kappa electrons at s = 3e5, s sin(theta) = 2.9, one harmonic after another by SciPy."""
    s, s_perp, kappa, w = 3e5, 2.9, 4.0, 3.0
    theta = np.arcsin(s_perp / s)

    def kernel(v, n, g):
        u, z = np.sinh(v), s_perp * np.sqrt(np.maximum(g * g - np.cosh(v) ** 2, 0.0))
        energy = (g + np.cos(theta) * u) / np.sin(theta)
        f = np.cosh(v) * (1.0 + (energy - 1.0) / (kappa * w)) ** -(kappa + 1.0)
        first, second = (u * special.jv(n, z)) ** 2, (z / s_perp * special.jvp(n, z)) ** 2
        return f * np.array([first + second, first - second])

    total = np.zeros(2)
    for n in range(3, 160):
        end = np.arccosh(n / s_perp)
        total += integrate.quad_vec(lambda v, n=n: kernel(v, n, n / s_perp), -end, end)[0]
    own = {"kappa": [kappa], "w": [w]}
    norm = np.exp(distributions.Kappa().log_norm(kappa=np.array([kappa]), w=np.array([w])))
    truth = 4.0 * np.pi**2 * ELECTRON_CHARGE**2 / SPEED_OF_LIGHT * s / s_perp * total / norm
    ours = exact.at_unit_frequency("kappa", s=[s], theta=[theta], **own)[0, :2]
    # harmonics from 160 on are left out; the integral in place of the sum moves j_Q by 1.4e-3
    assert np.allclose(ours, truth, rtol=1e-4)
    users = distributions.Function(lambda gamma, mu: jnp.exp(-gamma))
    assert users.harmonics_matter(s, np.sin(theta))


def test_nothing_jumps_along_b():
    """rho_Q of kappa electrons at s sin(theta) = 2.2 is smooth in s."""
    s = 1e4 * np.linspace(0.8, 1.25, 10)
    own = {"kappa": np.full(10, 3.3), "w": np.full(10, 100.0)}
    h = exact.at_unit_frequency("kappa", s=s, theta=np.arcsin(2.2 / s), **own)
    logs = np.log(-h[:, 6])
    assert np.max(np.abs(np.diff(logs, 3))) < 2e-3


def test_emission_is_positive_where_gamma_max_cuts_it_off(rng):
    """s far above gamma_max^2, low s sin(theta): a difference of sum and integral is noise."""
    n = 16
    theta = 10 ** rng.uniform(-4, -2, n)
    own = {"p": rng.uniform(1.5, 7, n), "gamma_min": np.ones(n), "gamma_max": np.full(n, 200.0)}
    h = exact.at_unit_frequency(
        "powerlaw", s=rng.uniform(5.0, 15.0, n) / np.sin(theta), theta=theta, **own
    )
    assert np.all(h[:, [0, 3]] >= 0.0)
    assert np.all(np.hypot(h[:, 1], h[:, 2]) <= h[:, 0] * (1.0 + 1e-9))


@pytest.mark.benchmark(group="exact")
@pytest.mark.parametrize("name", ["powerlaw", "kappa", "powerlaw_pitch", "kappa_pitch"])
def test_speed(benchmark, name, rng):
    """Points per second for all eight, all cores, over the box of the issue; 100 is the bar."""
    n = 256
    theta = np.arccos(rng.uniform(0, 1, n))
    own = {"s": np.maximum(10 ** rng.uniform(1, 8, n), 5 / np.sin(theta)), "theta": theta}
    if name.startswith("power"):
        own |= {"p": rng.uniform(1.5, 7, n), "gamma_min": 10 ** rng.uniform(0, 3, n) * np.ones(n)}
        own["gamma_max"] = own["gamma_min"] * 10 ** rng.uniform(1, 9, n)
    else:
        own |= {"kappa": rng.uniform(2.5, 8, n), "w": 10 ** rng.uniform(-1, 2.3, n)}
    if name.endswith("pitch"):
        own["k"] = rng.uniform(0, 4, n)
    exact.at_unit_frequency(name, **own)
    result = benchmark.pedantic(lambda: exact.at_unit_frequency(name, **own), rounds=3)
    assert np.all(np.isfinite(result))
    benchmark.extra_info["points_per_second"] = n / benchmark.stats.stats.min
