"""The exact calculator against independent integrals, limits, laws and published values."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import NAMES, PATH, C, E, M, Reference, points
from scipy import integrate, special

from synchrojax import distributions, exact
from synchrojax._constants import GYRO

pytestmark = pytest.mark.usefixtures("x64")
RHO_Q = NAMES.index("rho_Q")


def table():
    rows = json.loads(PATH.read_text())
    inputs = {k: np.array([r[k] for r in rows]) for k in ("s", "theta", "theta_e")}
    return inputs, np.array([[r["values"][n] for n in NAMES] for r in rows])


def bars():
    return np.where(np.arange(8) == RHO_Q, 1e-6, 1e-7)


def test_reference_table():
    """At least 30 points over theta_e 0.03-100, s 1-1e8, theta 0.01-1.57; rotativities from s' = 5."""
    inputs, truth = table()
    assert len(truth) >= 30
    ours = exact.hatted("thermal", **inputs)
    counted = np.abs(truth) > 1e-250
    error = np.abs(ours / np.where(counted, truth, 1.0) - 1.0)
    counted[inputs["s"] * np.sin(inputs["theta"]) < 5.0, 6:] = False
    assert counted.sum() > 200
    assert np.all(error[counted] < np.broadcast_to(bars(), error.shape)[counted])


def test_rotativities_below_the_cyclotron_line_overlap():
    """What is reached for s' < 5, where the principal value over harmonics dominates the error."""
    inputs, truth = table()
    low = inputs["s"] * np.sin(inputs["theta"]) < 5.0
    assert low.sum() >= 3
    ours = exact.hatted("thermal", **{k: v[low] for k, v in inputs.items()})
    assert np.max(np.abs(ours / truth[low] - 1.0)[:, 6:]) < 1.5e-3


@pytest.mark.slow
@pytest.mark.parametrize("index", [4, 25])
def test_reference_table_is_reproduced(index):
    s, theta, theta_e, harmonic = points()[index]
    truth = table()[1][index]
    again = Reference(s, theta, theta_e).all(harmonic)
    assert np.max(np.abs(again / truth - 1.0)) < 1e-8


@pytest.mark.slow
def test_whole_reference_table_is_reproduced():
    truth = table()[1]
    for row, (s, theta, theta_e, harmonic) in zip(truth, points(), strict=True):
        assert np.allclose(Reference(s, theta, theta_e).all(harmonic), row, rtol=1e-8, atol=0)


def test_high_frequency_limits():
    """Shcherbakov 2008, eqs. 33-36: cold to hot plasma, K_n at 1/theta_e."""
    theta_e = np.array([1e-3, 0.03, 1.0, 30.0])
    theta, b = 0.8, 2.0
    s = np.maximum(1e6, 1e7 * theta_e**2)
    nu = s * GYRO * b
    c = exact.coefficients("thermal", {"nu": nu, "B": b, "n_e": 3.0, "theta": theta, "theta_e": theta_e})
    k0, k1, k2 = (special.kve(n, 1 / theta_e) for n in range(3))
    v = 3.0 * E**3 * b * np.cos(theta) / (np.pi * M**2 * C**2 * nu**2) * k0 / k2
    q = -3.0 * E**4 * b**2 * np.sin(theta) ** 2 / (4 * np.pi**2 * M**3 * C**3 * nu**3) * (k1 / k2 + 6 * theta_e)
    assert np.max(np.abs(np.array(c.rho_V) / v - 1)) < 1e-8
    assert np.max(np.abs(np.array(c.rho_Q) / q - 1)) < 1e-8


def power_law(gamma, mu):
    p, top = 2.5, 1000.0
    u = jnp.sqrt((gamma - 1.0) * (gamma + 1.0))
    return (p - 1) * gamma**-p / (1.0 - top ** (1 - p)) / (4 * jnp.pi * gamma * u) + 0.0 * mu


KAPPA_NORM = integrate.quad(
    lambda g: 4 * np.pi * g * np.sqrt(g * g - 1) * (1 + (g - 1) / 35.0) ** -4.5, 1, np.inf, epsrel=1e-10
)[0]


def kappa(gamma, mu):
    return (1.0 + (gamma - 1.0) / 35.0) ** -4.5 / KAPPA_NORM + 0.0 * mu


PUBLISHED = {
    "thermal": (
        1.29871898683e-22,
        -9.87577471434e-23,
        2.7138066784e-24,
        1.34753662893e-19,
        -1.02469959257e-19,
        2.81581615428e-21,
    ),
    "power law": (
        2.03654269253e-24,
        -1.47432480277e-24,
        3.86129355636e-26,
        1.90164946304e-21,
        -1.46655689386e-21,
        4.27534148958e-23,
    ),
    "kappa": (
        2.78933923611e-22,
        -1.7966105582e-22,
        3.84237974681e-24,
        1.03817164764e-19,
        -7.09134633078e-20,
        1.66592280833e-21,
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_values(name):
    """Symphony's test point (Pandya et al. 2016); its own integration error is up to 1.4e-3."""
    params = {"nu": 230e9, "B": 30.0, "n_e": 1.0, "theta": np.pi / 3}
    chosen = {"thermal": "thermal", "power law": distributions.Function(power_law, gamma_max=1000.0), "kappa": kappa}[
        name
    ]
    if name == "thermal":
        params["theta_e"] = 10.0
    ours = np.array(exact.coefficients(chosen, params))[:6]
    assert np.max(np.abs(ours / np.array(PUBLISHED[name]) - 1)) < 2e-3


def test_kirchhoff():
    rng = np.random.default_rng(3)
    theta_e, theta, s = 10 ** rng.uniform(-1.5, 2, 20), rng.uniform(0.02, 3.1, 20), 10 ** rng.uniform(0.5, 4, 20)
    hats = exact.hatted("thermal", s=s, theta=theta, theta_e=theta_e)
    use = np.abs(hats[:, :3]) > 1e-250
    ratio = hats[:, :3] / hats[:, 3:6] / (2 * M * theta_e)[:, None]
    assert use.sum() > 30
    assert np.max(np.abs(ratio[use] - 1)) < 1e-10


def test_user_function_is_the_thermal_one():
    def maxwell(gamma, mu, theta_e):
        thermal = distributions.Thermal()
        return jnp.exp(thermal.log_shape(gamma, mu, 1.0 - mu**2, theta_e=theta_e) - thermal.log_norm(theta_e=theta_e))

    params = {"nu": [3e9, 1e11], "B": 10.0, "n_e": 2.0, "theta": 0.7, "theta_e": 3.0}
    ours = np.array(exact.coefficients(distributions.Function(maxwell, gamma_max=3000.0), params))
    truth = np.array(exact.coefficients("thermal", params))
    assert np.max(np.abs(ours / truth - 1)) < 1e-8


ANISOTROPIC_NORM = integrate.quad(
    lambda g: 4 * np.pi * g * np.sqrt(g * g - 1) * np.exp(-(g - 1) / 3.0), 1, 200, epsrel=1e-10
)[0]


def test_anisotropic_function_obeys_symmetry():
    """f even in mu: I and Q even, V odd in cos(theta); and it differs from the isotropic case."""

    def pitch(gamma, mu):
        return 1.5 * (1 - mu**2) * jnp.exp(-(gamma - 1) / 3.0) / ANISOTROPIC_NORM

    base = {"nu": 1e11, "B": 30.0, "n_e": 1.0}
    there = np.array(exact.coefficients(pitch, {**base, "theta": 0.9}))
    back = np.array(exact.coefficients(pitch, {**base, "theta": np.pi - 0.9}))
    signs = np.array([1, 1, -1, 1, 1, -1, 1, -1])
    assert np.max(np.abs(there / back * signs - 1)) < 1e-9


def test_sum_and_integral_agree_where_the_rule_switches():
    """Harmonics one by one and averaged, on the border of ``harmonics_matter``."""
    thermal = distributions.Thermal()
    theta_e, theta = (a.ravel() for a in np.meshgrid([0.03, 0.1, 0.3, 1.0, 3.0, 10.0], [0.1, 0.3, 1.0, 1.5]))
    border = np.full(theta.size, 100.0)
    for _ in range(40):  # the largest s' summed one by one
        summed = np.asarray(thermal.harmonics_matter(border / np.sin(theta), np.sin(theta), theta_e=theta_e))
        border = np.where(summed, border, np.maximum(border * 0.92, 5.0))
    use = (border > 5.0) & (border / np.sin(theta) < 110.0)
    assert use.sum() >= 18
    s = border[use] / np.sin(theta[use])
    both = [
        np.concatenate(
            [
                np.asarray(exact._block(thermal, mode, exact.Resolution(), 1)(np.array([row])))
                for row in zip(s, theta[use], theta_e[use], strict=True)
            ]
        )
        for mode in (0, 1)
    ]
    error = np.abs(both[0] / both[1] - 1)
    assert np.max(error[:, [0, 1, 2, 3, 4, 5, 7]]) < 2e-7  # 1.1e-7 at theta_e = 0.1
    assert np.max(error[:, 6]) < 1e-6


def test_shapes_zeros_and_nan():
    params = {
        "nu": np.array([[1e9], [-1.0]]),
        "B": np.array([1.0, 0.0, -1.0]),
        "n_e": 1.0,
        "theta": 1.0,
        "theta_e": 5.0,
    }
    c = exact.coefficients("thermal", params)
    assert all(v.shape == (2, 3) for v in c)
    values = np.array(c)
    assert np.all(np.isfinite(values[:, 0, 0]))
    assert np.all(values[:, 0, 1] == 0.0)
    assert np.all(np.isnan(values[:, 1]))
    assert np.all(np.isnan(values[:, 0, 2]))
    assert np.array(exact.coefficients("thermal", {**params, "nu": np.zeros((0, 1))})).shape == (8, 0, 3)


def test_traced_gives_the_same(point):
    eager = exact.coefficients("thermal", point)
    traced = jax.jit(lambda t: exact.coefficients("thermal", {**point, "theta_e": t}))(10.0)
    assert np.allclose(np.array(traced), np.array(eager), rtol=1e-9, atol=0.0)


@pytest.mark.slow  # compiles for minutes
def test_traced_differentiates(point):
    def log_j(theta_e):
        return jnp.log(exact.coefficients("thermal", {**point, "theta_e": theta_e}).j_I)

    slope = jax.jit(jax.grad(log_j))(10.0)
    step = 1e-3
    assert abs((float(log_j(10 + step)) - float(log_j(10 - step))) / (2 * step) / float(slope) - 1) < 1e-6


def test_messages(point):
    with pytest.raises(ValueError, match=r"missing theta_e.*takes nu \[Hz"):
        exact.coefficients("thermal", {k: v for k, v in point.items() if k != "theta_e"})
    with pytest.raises(ValueError, match="unknown distribution 'maxwell'; available: kappa, kappa_pitch"):
        exact.coefficients("maxwell", point)
    with jax.enable_x64(False), pytest.raises(RuntimeError, match="jax_enable_x64"):
        exact.coefficients("thermal", point)


@pytest.mark.benchmark(group="exact")
def test_speed(benchmark):
    """Points per second for all eight over the box, all cores: 512 / time; 500 is the bar."""
    from synchrojax.generate import draw

    sample = draw("thermal", 512, seed=5, margin=1.0)
    exact.hatted("thermal", **sample)
    result = benchmark.pedantic(lambda: exact.hatted("thermal", **sample), rounds=3)
    assert np.all(np.isfinite(result))
    benchmark.extra_info["points_per_second"] = 512 / benchmark.stats.stats.min
