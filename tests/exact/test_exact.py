"""The exact calculator against independent integrals, limits, laws and published values."""

import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import NAMES, PATH, C, E, M, Reference, points
from scipy import integrate, special

from synchrojax import distributions, exact
from synchrojax.core import GYRO
from synchrojax.exact import _absorption, _evaluate, _phase_space
from synchrojax.families import Family

pytestmark = pytest.mark.usefixtures("x64")
RHO_Q = NAMES.index("rho_Q")


def table():
    rows = json.loads(PATH.read_text())
    inputs = {k: np.array([r[k] for r in rows]) for k in ("s", "theta", "theta_e")}
    return inputs, np.array([[r["values"][n] for n in NAMES] for r in rows])


def bars():
    return np.where(np.arange(8) == RHO_Q, 1e-6, 1e-7)


def test_reference_table():
    """30 points or more over theta_e 0.03-100, s 1-1e8, theta 0.01-1.57; rotativities: s' >= 5."""
    inputs, truth = table()
    assert len(truth) >= 30
    ours = exact.at_unit_frequency("thermal", **inputs)
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
    ours = exact.at_unit_frequency("thermal", **{k: v[low] for k, v in inputs.items()})
    assert np.max(np.abs(ours / truth[low] - 1.0)[:, 6:]) < 1.5e-3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "own"), [("powerlaw", {"p": 2.5}), ("kappa", {"kappa": 4.0, "w": 10.0})]
)
def test_estimates_below_the_cyclotron_line(name, own, x64):
    """Where few resonances are left the estimated error says that emission is not right."""
    theta = np.arcsin(np.array([1.0, 0.3, 0.03]) / 3e3)
    params = {"nu": 3e3 * GYRO * 30.0, "B": 30.0, "n_e": 1e6, "theta": theta, **own}
    _, error = exact.coefficients(name, params, error=True)
    for estimates in (error.j_I, error.alpha_I):
        assert estimates[0] < 1e-3
        assert 1e-2 < estimates[1] < 0.1
        assert estimates[2] > 0.5
    assert np.all(error.rho_V < 1e-6)


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
    c = exact.coefficients(
        "thermal", {"nu": nu, "B": b, "n_e": 3.0, "theta": theta, "theta_e": theta_e}
    )
    k0, k1, k2 = (special.kve(n, 1 / theta_e) for n in range(3))
    v = 3.0 * E**3 * b * np.cos(theta) / (np.pi * M**2 * C**2 * nu**2) * k0 / k2
    q = (
        -3.0
        * E**4
        * b**2
        * np.sin(theta) ** 2
        / (4 * np.pi**2 * M**3 * C**3 * nu**3)
        * (k1 / k2 + 6 * theta_e)
    )
    assert np.max(np.abs(np.array(c.rho_V) / v - 1)) < 1e-8
    assert np.max(np.abs(np.array(c.rho_Q) / q - 1)) < 1e-8


def power_law(gamma, mu):
    p, top = 2.5, 1000.0
    u = jnp.sqrt((gamma - 1.0) * (gamma + 1.0))
    return (p - 1) * gamma**-p / (1.0 - top ** (1 - p)) / (4 * jnp.pi * gamma * u) + 0.0 * mu


KAPPA_NORM = integrate.quad(
    lambda g: 4 * np.pi * g * np.sqrt(g * g - 1) * (1 + (g - 1) / 35.0) ** -4.5,
    1,
    np.inf,
    epsrel=1e-10,
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
    chosen = {
        "thermal": "thermal",
        "power law": distributions.Function(power_law, gamma_max=1000.0),
        "kappa": kappa,
    }[name]
    if name == "thermal":
        params["theta_e"] = 10.0
    ours = np.array(exact.coefficients(chosen, params))[:6]
    assert np.max(np.abs(ours / np.array(PUBLISHED[name]) - 1)) < 2e-3


def test_kirchhoff():
    rng = np.random.default_rng(3)
    theta_e, theta, s = (
        10 ** rng.uniform(-1.5, 2, 20),
        rng.uniform(0.02, 3.1, 20),
        10 ** rng.uniform(0.5, 4, 20),
    )
    hats = exact.at_unit_frequency("thermal", s=s, theta=theta, theta_e=theta_e)
    use = np.abs(hats[:, :3]) > 1e-250
    ratio = hats[:, :3] / hats[:, 3:6] / (2 * M * theta_e)[:, None]
    assert use.sum() > 30
    assert np.max(np.abs(ratio[use] - 1)) < 1e-10


def test_user_function_is_the_thermal_one():
    def maxwell(gamma, mu, theta_e):
        thermal = distributions.Thermal()
        return jnp.exp(
            thermal.log_shape(gamma, mu, 1.0 - mu**2, theta_e=theta_e)
            - thermal.log_norm(theta_e=theta_e)
        )

    params = {"nu": [3e9, 1e11], "B": 10.0, "n_e": 2.0, "theta": 0.7, "theta_e": 3.0}
    ours, estimate = map(
        np.array,
        exact.coefficients(distributions.Function(maxwell, gamma_max=3000.0), params, error=True),
    )
    truth = np.array(exact.coefficients("thermal", params))
    assert np.max(np.abs(ours / truth - 1)) < 1e-8
    assert np.max(estimate) < 1e-6


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


def bent(gamma, mu, g_b, ratio, tilt):
    """N ~ gamma^-2 below g_b, ratio times its continuation by gamma^-3.5 above, times 1 + tilt
    mu^2; normalised.
    """
    n = jnp.where(gamma < g_b, gamma**-2.0, ratio * g_b**1.5 * gamma**-3.5) / electrons(
        g_b, ratio, tilt
    )
    return n * (1 + tilt * mu**2) / (4 * jnp.pi * gamma * jnp.sqrt((gamma - 1) * (gamma + 1)))


def electrons(g_b, ratio, tilt):
    return (1 - 1 / g_b + ratio / (2.5 * g_b)) * (1 + tilt / 3)


BENT = distributions.Function(bent, breaks=("g_b",))  # one object each: compiled once
PLAIN = distributions.Function(bent)
FAR = 230e9 / (GYRO * 30.0)  # s of the published point


def pieces(s, theta, g_b, ratio, tilt):
    """The same from packaged power laws, whose sharp edges are kept: mu^2 = 1 - (1 - mu^2)."""
    total = np.zeros((len(s), 8))
    for share, p, low, high in (
        (1 - 1 / g_b, 2.0, 1.0, g_b),
        (ratio / (2.5 * g_b), 3.5, g_b, 1e12),
    ):
        values = np.broadcast_arrays(s, theta, p, low, high)
        own = dict(zip(("s", "theta", "p", "gamma_min", "gamma_max"), values, strict=True))
        level = exact.at_unit_frequency("powerlaw", **own)
        bowl = exact.at_unit_frequency("powerlaw_pitch", **own, k=np.full(len(s), 2.0)) / 1.5
        total += share[:, None] * (level + tilt[:, None] * (level - bowl))
    return total / electrons(g_b, ratio, tilt)[:, None]


def test_breaks_make_the_sum_of_the_pieces():
    """A kink, jumps up and down, and a kink of an anisotropic f: emission and absorption 1e-7,
    rotativities 1e-6.
    """
    own = {
        "s": np.full(4, FAR),
        "theta": np.array([1.0, 1.0, 0.7, 1.4]),
        "g_b": np.array([100.0, 100.0, 60.0, 30.0]),
        "ratio": np.array([1.0, 0.2, 3.0, 1.0]),
        "tilt": np.array([0.0, 0.0, 0.0, 0.7]),
    }
    error = np.abs(exact.at_unit_frequency(BENT, **own) / pieces(**own) - 1)
    assert np.max(error[:, :6]) < 1e-7
    assert np.max(error[:, 6:]) < 1e-6


def test_a_break_where_harmonics_are_summed():
    """Emission, one harmonic after another by SciPy: f ends with a jump inside the slices."""
    s, theta, top = 8.0, 1.0, 3.0
    sine, cosine = np.sin(theta), np.cos(theta)

    def kernel(u, n):
        g = n / (s * sine)
        gamma = (g + cosine * u) / sine
        across = np.sqrt(g * g - 1 - u * u)
        z = s * sine * across
        f = gamma**-3.0 / np.sqrt(gamma**2 - 1) / (4 * np.pi) / float(electrons(top, 0.0, 0.0))
        first, second = (u * special.jv(n, z)) ** 2, (across * special.jvp(n, z)) ** 2
        return f * np.array([first + second, first - second])

    total = np.zeros(2)
    for n in range(int(s * sine) + 1, int(s * (top + cosine * np.sqrt(top**2 - 1))) + 1):
        g = n / (s * sine)
        widest = np.sqrt(g * g - 1)
        right = min(widest, (top * sine - g) / cosine)
        if right > -widest:
            total += integrate.quad_vec(lambda u, n=n: kernel(u, n), -widest, right, epsrel=1e-10)[
                0
            ]
    truth = 4 * np.pi**2 * E**2 / C * s / (s * sine) * total
    ours = exact.at_unit_frequency(BENT, s=[s], theta=[theta], g_b=[top], ratio=[0.0], tilt=[0.0])[
        0
    ]
    assert np.max(np.abs(ours[:2] / truth - 1)) < 1e-8


@pytest.mark.slow  # compiles for minutes
def test_pieces_where_harmonics_are_summed():
    """All eight at a kink, s = 8, against two functions that end there; close to right angles by
    many harmonics.
    """
    own = {"s": [8.0], "theta": [1.0], "g_b": [3.0], "ratio": [1.0], "tilt": [0.7]}
    below = distributions.Function(
        lambda gamma, mu, g_b, ratio, tilt: bent(gamma, mu, g_b, ratio, tilt), gamma_max=3.0
    )
    above = distributions.Function(
        lambda gamma, mu, g_b, ratio, tilt: bent(gamma, mu, g_b, ratio, tilt), gamma_min=3.0
    )
    error = np.abs(
        exact.at_unit_frequency(BENT, **own)
        / (exact.at_unit_frequency(below, **own) + exact.at_unit_frequency(above, **own))
        - 1
    )
    assert np.max(error[0, :6]) < 1e-7
    assert np.max(error[0, 6:]) < 1e-6
    own = {
        "s": [40.0, 60.0],
        "theta": [1.5707, 1.56],
        "g_b": [6.0, 10.0],
        "ratio": [1.0, 1.0],
        "tilt": [0.0, 0.5],
    }
    many = _phase_space.resolution_of(BENT)._replace(harmonics=3000)
    assert (
        np.max(
            np.abs(
                exact.at_unit_frequency(BENT, **own)
                / exact.at_unit_frequency(BENT, resolution=many, **own)
                - 1
            )[:, :6]
        )
        < 1e-6
    )


@pytest.mark.slow  # compiles for a minute
def test_derivative_with_a_break_that_moves():
    """Forward mode against differences: emission, absorption."""

    def sums(g_b):
        parameters = {"g_b": g_b, "ratio": 1.0, "tilt": 0.3}
        here = _phase_space.integrand_of(BENT, parameters, FAR, 1.0, None)
        frozen = _phase_space.integrand_of(BENT, jax.lax.stop_gradient(parameters), FAR, 1.0, None)
        total, top = _absorption.continuous_sums(
            here, frozen, _phase_space.resolution_of(BENT), False
        )
        return (total + _absorption.absorption_jumps(here, frozen, top, 48, False)) * jnp.exp(top)

    def both(g_b):
        return jax.jvp(sums, (g_b,), (1.0,))

    both = jax.jit(both)
    g, h = 100.0, 0.1
    (far_left, left, right, far_right) = (np.asarray(both(g + k * h)[0]) for k in (-2, -1, 1, 2))
    differences = (8 * (right - left) - (far_right - far_left)) / (12 * h)
    assert np.max(np.abs(np.asarray(both(g)[1]) / differences - 1)) < 1e-6


@pytest.mark.slow  # compiles for minutes
def test_traced_breaks():
    """All eight: a break that is traced, with values and derivatives of the one that is a
    parameter.
    """
    own = {"nu": 230e9, "B": 30.0, "n_e": 1.0, "theta": 1.0}

    def traced(g_b):
        f = distributions.Function(
            lambda gamma, mu: bent(gamma, mu, g_b, 1.0, 0.3), breaks=(g_b, 3.0, 0.5, g_b, 1e15)
        )
        return jnp.stack(exact.coefficients(f, own))

    def named(g_b):
        return np.array(exact.coefficients(BENT, {**own, "g_b": g_b, "ratio": 1.0, "tilt": 0.3}))

    value, slope = jax.jit(lambda g: jax.jvp(traced, (g,), (1.0,)))(100.0)
    assert np.max(np.abs(value / named(100.0) - 1)) < 1e-9
    differences = (
        named(np.array([99.8, 99.9, 100.1, 100.2])) @ np.array([1.0, -8.0, 8.0, -1.0]) / 1.2
    )
    assert np.max(np.abs(slope / differences - 1)) < 1e-5


@pytest.mark.slow  # compiles for a minute
def test_a_steep_slope_tends_to_the_jump():
    """The delta function of a jump that ``breaks`` names is the limit of a slope that steepens;
    second order in it.
    """

    def steep(gamma, mu, width):
        up = 0.5 * (1 + jnp.tanh((gamma / 100.0 - 1) / width))
        n = (gamma**-2.0 * (1 - up) + up * 0.2e3 * gamma**-3.5) / electrons(100.0, 0.2, 0.0)
        return n / (4 * jnp.pi * gamma * jnp.sqrt((gamma - 1) * (gamma + 1)))

    def around(width):
        return [100.0 * (1 + k * width) for k in (-10, -3, 0, 3, 10)]

    smooth = distributions.Function(steep, breaks=around)
    sharp = exact.at_unit_frequency(
        BENT, s=[FAR], theta=[1.0], g_b=[100.0], ratio=[0.2], tilt=[0.0]
    )
    near = (
        exact.at_unit_frequency(smooth, s=[FAR] * 2, theta=[1.0] * 2, width=[1e-2, 1e-3]) / sharp
        - 1
    )
    assert np.max(np.abs(near[1])) < 1e-5
    assert np.all(np.abs(near[1]) < 0.05 * np.abs(near[0]) + 1e-8)


def test_estimated_errors_and_the_warning():
    """Without its break f is judged by up to four points, once; the estimate is about the true
    error.
    """
    params = {
        "nu": 230e9,
        "B": 30.0,
        "n_e": 1.0,
        "theta": [0.6, 1.0, 1.4],
        "g_b": 100.0,
        "ratio": 1.0,
        "tilt": 0.0,
    }
    truth, small = exact.coefficients(BENT, params, error=True)
    assert np.max(np.array(small)) < 1e-6
    with pytest.warns(
        UserWarning, match=r"a kink or a jump near gamma = 100; pass breaks=\('g_b',\) to"
    ) as seen:
        value, estimate = exact.coefficients(PLAIN, params, error=True)
    assert len(seen) == 1
    assert seen[0].filename == __file__
    exact.coefficients(PLAIN, params)  # warned of already
    error = np.abs(np.array(value) / np.array(truth) - 1)
    assert np.max(error[3]) > 1e-3
    assert np.mean(np.array(estimate) > 0.5 * error) > 0.8
    assert np.mean(np.array(estimate) < 5.0 * error) > 0.8
    nothing = exact.coefficients(BENT, {**params, "n_e": [0.0, -1.0, 1.0]}, error=True)[1]
    assert np.array_equal(np.array(nothing)[:, 0], np.zeros(8))
    assert np.all(np.isnan(np.array(nothing)[:, 1]))


def test_sum_and_integral_agree_where_the_rule_switches():
    """Harmonics one by one and averaged, on the border of ``harmonics_matter``."""
    thermal = distributions.Thermal()
    theta_e, theta = (
        a.ravel() for a in np.meshgrid([0.03, 0.1, 0.3, 1.0, 3.0, 10.0], [0.1, 0.3, 1.0, 1.5])
    )
    border = np.full(theta.size, 100.0)
    for _ in range(40):  # the largest s' summed one by one
        summed = np.asarray(
            thermal.harmonics_matter(border / np.sin(theta), np.sin(theta), theta_e=theta_e)
        )
        border = np.where(summed, border, np.maximum(border * 0.92, 5.0))
    use = (border > 5.0) & (border / np.sin(theta) < 110.0)
    assert use.sum() >= 18
    s = border[use] / np.sin(theta[use])
    both = [
        np.concatenate(
            [
                np.asarray(
                    _evaluate._block(thermal, mode, exact.Resolution(), 1)(np.array([row]), 1)
                )
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
    assert np.array(exact.coefficients("thermal", {**params, "nu": np.zeros((0, 1))})).shape == (
        8,
        0,
        3,
    )


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
    assert (
        abs((float(log_j(10 + step)) - float(log_j(10 - step))) / (2 * step) / float(slope) - 1)
        < 1e-6
    )


def test_ends_of_a_power_law_that_nearly_meet():
    """Electrons of one energy, to second order in the width."""
    params = {"nu": 230e9, "B": 30.0, "n_e": 1.0, "theta": 1.0, "p": 3.0, "gamma_min": 30.0}
    width = np.array([1e-14, 1e-12, 1e-8, 0.9e-5, 1.1e-5, 1e-4])
    c = np.array(exact.coefficients("powerlaw", {**params, "gamma_max": 30.0 * (1.0 + width)}))
    change = np.abs(c / c[:, :1] - 1)
    assert np.max(change[:, :3]) < 1e-7  # what half the width itself makes
    assert np.max(change) < 2e-3


@pytest.mark.slow  # compiles for minutes
def test_derivatives_with_the_ends_of_a_power_law():
    """All eight, forward mode against differences: the limits of the integrals move."""
    base = {"nu": 230e9, "B": 30.0, "n_e": 1.0, "theta": 1.0, "p": 2.5}
    ends, names = np.array([30.0, 100.0]), ("gamma_min", "gamma_max")

    def stacked(*ends):
        return jnp.stack(
            exact.coefficients("powerlaw", {**base, **dict(zip(names, ends, strict=True))})
        )

    slope = jax.jit(lambda ends, change: jax.jvp(lambda e: stacked(*e), (ends,), (change,))[1])
    for along in np.diag(1e-4 * ends):
        far_left, left, right, far_right = np.asarray(
            stacked(*(ends[:, None] + along[:, None] * [-2, -1, 1, 2]))
        ).T
        differences = (8 * (right - left) - (far_right - far_left)) / 12
        assert np.max(np.abs(np.asarray(slope(ends, along)) / differences - 1)) < 1e-6


def test_messages(point):
    with pytest.raises(ValueError, match=r"missing theta_e.*takes nu \[Hz"):
        exact.coefficients("thermal", {k: v for k, v in point.items() if k != "theta_e"})
    with pytest.raises(
        ValueError, match="unknown distribution 'maxwell'; available: kappa, kappa_pitch"
    ):
        exact.coefficients("maxwell", point)
    with jax.enable_x64(False), pytest.raises(RuntimeError, match="jax_enable_x64"):
        exact.coefficients("thermal", point)


@pytest.mark.benchmark(group="exact")
def test_speed(benchmark):
    """Points per second for all eight over the box, all cores: 512 / time; 500 is the bar."""
    from synchrojax.generate import draw

    sample = draw("thermal", 512, seed=5, margin=1.0)
    exact.at_unit_frequency("thermal", **sample)
    result = benchmark.pedantic(lambda: exact.at_unit_frequency("thermal", **sample), rounds=3)
    assert np.all(np.isfinite(result))
    benchmark.extra_info["points_per_second"] = 512 / benchmark.stats.stats.min


def numpy_f(gamma, mu):
    return np.exp(-gamma) / 40.0


def branching_f(gamma, mu):
    return gamma**-5.0 if gamma > 3.0 else gamma**-4.0


def math_f(gamma, mu):
    return math.exp(-gamma)


@pytest.mark.filterwarnings("ignore:f integrates to")
@pytest.mark.parametrize("f", [numpy_f, branching_f, math_f])
def test_an_f_that_is_not_written_in_jax(f):
    params = {"nu": 230e9, "B": 30.0, "n_e": 1e6, "theta": 1.0}
    message = "it must be written with jax.numpy instead of numpy or math, and with jnp.where"
    calls = [lambda: exact.coefficients(f, params), lambda: exact.at_unit_frequency(f, [9.0], [1])]
    calls += [lambda: Family("mine", f, {}), distributions.Function(f).norm]
    for call in (*calls, lambda: jax.jit(lambda p: exact.coefficients(f, p))(params)):
        with pytest.raises(ValueError, match=message) as refused:
            call()
        assert str(refused.value).count(message) == 1
        assert isinstance(refused.value.__cause__, TypeError | ValueError)


def test_other_errors_of_an_f_stay_what_they_are():
    def failing(gamma, mu):
        raise TypeError("mine")

    with pytest.raises(TypeError, match=r"^mine$"):
        exact.coefficients(failing, {"nu": 230e9, "B": 30.0, "n_e": 1e6, "theta": 1.0})


@pytest.mark.parametrize(
    ("name", "own", "message"),
    [
        ("thermal", {"theta_e": -1.0}, "theta_e > 0 does not hold for theta_e = -1; the distr"),
        ("thermal", {"theta_e": [1, 2, -3]}, r"for theta_e = -3 at the point \[2\]; the distr"),
        (
            "powerlaw",
            {"p": 2.0, "gamma_min": 5.0, "gamma_max": 3.0},
            "gamma_max > gamma_min does not hold for gamma_min = 5, gamma_max = 3; the distr",
        ),
    ],
)
def test_parameters_outside_of_what_a_distribution_allows(name, own, message):
    with pytest.raises(ValueError, match=message):
        exact.coefficients(name, {"nu": 230e9, "B": 30.0, "n_e": 1e6, "theta": 1.0, **own})
