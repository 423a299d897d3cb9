"""Electrons on a grid: against the exact integrals, laws, derivatives, bad input."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import synchrojax
from synchrojax import exact
from synchrojax.core import GYRO, quick_jit
from synchrojax.distributions import Tabulated
from synchrojax.validate import report_lines, summary, validate

GAMMA = np.array([1.0, 2.5, 30.0, 200.0, 3e3, 1e5])
N = GAMMA**-2.3 * np.array([0.5, 2.0, 1.0, 3.0, 1.0, 0.2])
POINT = {"nu": 230e9, "B": 30.0, "theta": 1.0}
GIVEN = {**POINT, "gamma": GAMMA, "N": N}


@pytest.fixture(scope="module")
def model():
    return synchrojax.load("tabulated")


def directions(n, seed):
    rng = np.random.default_rng(seed)
    s = 10.0 ** rng.uniform(1.0, 8.0, n)
    theta = np.arccos(rng.uniform(-1.0, 1.0, n) * np.sqrt(1.0 - (5.0 / np.maximum(s, 5.01)) ** 2))
    return {"nu": GYRO * s * 3.0, "B": 3.0, "theta": theta}


# The truth ------------------------------------------------------------------------------------


def test_a_power_law_has_any_number_of_nodes(x64):
    """So have its sharp ends, and empty cells beside them."""
    gamma = np.array([2.0, 3.0, 10.0, 700.0, 1e4, 3e4])
    full = np.array([0.0, 1.0, 1.0, 1.0, 1.0, 0.0]) * 7.0 * gamma**-2.5
    params = {**directions(6, 0), "n_e": 2.0}
    found = exact.coefficients(Tabulated(gamma, full), params)
    ends = {"p": 2.5, "gamma_min": 3.0, "gamma_max": 1e4}
    wanted = exact.coefficients("powerlaw", {**params, **ends})
    np.testing.assert_allclose(np.array(found), np.array(wanted), rtol=1e-8)


def test_rows_of_n_go_with_points(x64):
    rows = np.stack([N, N * GAMMA])
    params = {**POINT, "n_e": 1.0, "nu": np.array([[1e11], [3e11], [1e12]])}
    together = np.array(exact.coefficients("tabulated", {**params, "gamma": GAMMA, "N": rows}))
    assert together.shape == (8, 3, 2)
    for k in range(2):
        one = exact.coefficients(Tabulated(GAMMA, rows[k]), params)
        np.testing.assert_allclose(together[:, :, k], np.array(one)[:, :, 0], rtol=1e-12)


def test_network_against_exact(model, x64):
    params = {**directions(12, 1), "n_e": 1.0}
    wanted = np.array(exact.coefficients(Tabulated(GAMMA, N), params))
    found = np.array(model.coefficients({**params, "gamma": GAMMA, "N": N}))
    error = np.abs(found / wanted - 1.0)
    assert np.median(error) < 3e-4
    assert np.max(error) < 5e-3


@pytest.mark.slow
def test_bars_on_2000_random_spectra(model, x64):
    result = summary(validate(model, n=2000, seed=4711))
    print(*report_lines(result), sep="\n")
    for row in result["value"].values():
        assert row["median"] < 3e-4
        assert row["p99"] < 5e-3
        assert row["max"] < 5e-2


@pytest.mark.parametrize("name", ["powerlaw", "kappa", "thermal"])
def test_the_packaged_models_on_a_fine_grid(model, name, x64):
    gamma = np.geomspace(1.0 if name != "powerlaw" else 20.0, 3e5, 512)
    momenta = gamma * np.sqrt((gamma - 1.0) * (gamma + 1.0))
    own, n = {
        "powerlaw": ({"p": 2.7, "gamma_min": 20.0, "gamma_max": 3e5}, gamma**-2.7),
        "kappa": ({"kappa": 4.0, "w": 5.0}, momenta * (1.0 + (gamma - 1.0) / 20.0) ** -5.0),
        "thermal": ({"theta_e": 8.0}, momenta * np.exp(-np.minimum((gamma - 1.0) / 8.0, 600.0))),
    }[name]
    params = {"nu": GYRO * np.geomspace(30.0, 1e5, 40), "B": 1.0, "n_e": 1.0, "theta": 0.9}
    wanted = np.array(synchrojax.load(name).coefficients({**params, **own}))
    found = np.array(model.coefficients({**params, "gamma": gamma, "N": n}))
    scale = np.abs(wanted)
    scale[6] = np.maximum(scale[6], 0.03 * np.max(scale[6] * params["nu"] ** 3) / params["nu"] ** 3)
    error = np.abs(found - wanted) / scale
    assert np.median(error) < 3e-4
    assert np.max(error) < 1e-2


# Laws -----------------------------------------------------------------------------------------


def test_density(model, x64):
    """Without n_e, N is in cm^-3; all coefficients are proportional to it."""
    c = np.array(model.coefficients(GIVEN))
    np.testing.assert_allclose(np.array(model.coefficients({**GIVEN, "N": 7.3 * N})), 7.3 * c)
    lengths, slopes = np.log(GAMMA[1:] / GAMMA[:-1]), np.diff(np.log(N)) / np.diff(np.log(GAMMA))
    total = np.sum(N[:-1] * GAMMA[:-1] * np.expm1((slopes + 1.0) * lengths) / (slopes + 1.0))
    normed = np.array(model.coefficients({**GIVEN, "n_e": 5.0}))
    np.testing.assert_allclose(normed, c * 5.0 / total, rtol=1e-10)


def test_separate_populations_add_up(model, x64):
    gamma = np.array([2.0, 5.0, 6.0, 40.0, 50.0, 1e3])
    low, high = np.array([1, 1, 0, 0, 0, 0.0]), np.array([0, 0, 0, 0, 2, 1.0])
    parts = [
        np.array(model.coefficients({**POINT, "nu": 1e10, "gamma": gamma, "N": n}))
        for n in (low, high, low + high)
    ]
    np.testing.assert_allclose(parts[0] + parts[1], parts[2], rtol=1e-6)


def test_narrow_spectra(model):
    """Electrons of one energy, in float32: the width of the interval does not matter."""
    width = np.array([3e-7, 1e-5, 1e-3, 1e-2])
    found = [
        np.array(
            quick_jit(model.coefficients)(
                {
                    **{k: np.float32(v) for k, v in POINT.items()},
                    "n_e": np.float32(1e3),
                    "gamma": (200.0 * np.array([1.0, 1.0 + w])).astype(np.float32),
                    "N": np.ones(2, np.float32),
                }
            )
        )
        for w in width
    ]
    assert np.max(np.abs(np.stack(found) / found[-1] - 1.0)) < 2e-2


def test_physical_everywhere(model, precision):
    """Positive totals, polarization below them, V odd about a right angle."""
    params = {k: jnp.asarray(v, precision) for k, v in directions(500, 3).items()}
    rows = np.random.default_rng(4).choice([0.0, 1.0, 3.0, 100.0], (500, 6))
    rows[:, 1:3] = np.maximum(rows[:, 1:3], 0.5)
    given = {**params, "gamma": GAMMA.astype(precision), "N": (rows * N).astype(precision)}
    call = quick_jit(model.coefficients)
    c, mirrored = (
        np.array(call({**given, "theta": t})) for t in (given["theta"], np.pi - given["theta"])
    )
    assert np.all(np.isfinite(c))
    for k in (0, 3):
        assert np.all(c[k] >= 0.0)
        assert np.all(np.hypot(c[k + 1], c[k + 2]) <= c[k])
    signs = np.array([1, 1, -1, 1, 1, -1, 1, -1])[:, None]
    size = np.abs(c) + 1e-3 * np.abs(c[[0, 0, 0, 3, 3, 3, 6, 7]])
    apart = np.abs(mirrored * signs - c) / np.where(size > 0.0, size, 1.0)
    assert np.median(apart) < 1e-5
    assert np.quantile(apart, 0.95) < 1e-2


def test_float32_agrees(model, x64):
    params = {**directions(300, 5), "n_e": 1e3}
    wanted = np.array(model.coefficients({**params, "gamma": GAMMA, "N": N}))
    single = {k: np.asarray(v, np.float32) for k, v in params.items()}
    given = {**single, "gamma": GAMMA.astype(np.float32), "N": N.astype(np.float32)}
    found = np.array(model.coefficients(given))
    assert found.dtype == np.float32
    held = np.abs(wanted) > 1e-36
    error = np.abs(found / np.where(held, wanted, 1.0) - 1.0)[held]
    assert np.median(error) < 2e-6
    assert np.quantile(error, 0.99) < 2e-4


# Derivatives ----------------------------------------------------------------------------------


def test_derivatives_are_those_of_the_call(model, x64):
    """Forward, backward and by differences, for every input."""
    rng = np.random.default_rng(6)
    above = np.where(GAMMA > 1.0, GAMMA, 1.4)
    given = {k: jnp.asarray(v) for k, v in {**GIVEN, "gamma": above, "n_e": 1e3}.items()}
    step = {k: rng.uniform(0.3, 1.0, np.shape(v)) * v for k, v in given.items()}

    def call(shift):
        moved = {k: v + shift * step[k] for k, v in given.items()}
        return jnp.stack(model.coefficients(moved))

    jitted = jax.jit(call)
    forward = np.array(jax.jit(jax.jacfwd(call))(0.0))
    h = 1e-4
    by_difference = (np.array(jitted(h)) - np.array(jitted(-h))) / (2.0 * h)
    np.testing.assert_allclose(forward, by_difference, rtol=1e-4)
    weights = 1.0 / np.abs(np.array(jitted(0.0)))

    def total(params):
        return jnp.sum(weights * jnp.stack(model.coefficients(params)))

    backward = jax.jit(jax.grad(total))(given)
    along = sum(float(jnp.sum(backward[k] * step[k])) for k in given)
    assert along == pytest.approx(float(np.sum(weights * forward)), rel=1e-9)


def test_slope_with_the_lowest_gamma(model, x64):
    """Electrons too slow to be seen do not count in emission, but do in rho."""
    gamma = np.geomspace(1.0, 1e4, 16)

    def call(lowest):
        at = jnp.asarray(gamma).at[0].set(lowest)
        return jnp.stack(model.coefficients({**POINT, "gamma": at, "N": gamma**-2.5}))

    for lowest in (1.0001, 1.2):
        slope = jax.jit(jax.jacfwd(call))(lowest)
        ends = [call(lowest + sign * 1e-6) for sign in (-1.0, 1.0)]
        wanted = (ends[1] - ends[0]) / 2e-6
        np.testing.assert_allclose(slope / call(1.0), wanted / call(1.0), rtol=5e-3, atol=1e-6)


def test_second_derivatives_in_float32_whatever_the_top(model):
    def log_j(theta, gamma):
        params = {"nu": 2.3e11, "B": 30.0, "n_e": 1e6, "theta": theta, "gamma": gamma}
        return model.log_coefficients({**params, "N": gamma**-2.5}).log_j

    derivatives = [jax.jit(d) for d in (jax.grad(log_j), jax.grad(jax.grad(log_j)))]
    for top in (1e4, 1e8, 1e12):
        both = [float(d(1.2, jnp.geomspace(10.0, top, 24))) for d in derivatives]
        assert both == pytest.approx([0.6795, -2.0122], rel=1e-3)


# Input ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [1e-300, 1e-45, 1e45, 1e300])
def test_any_unit_of_n(model, factor):
    wanted = np.array(model.coefficients({**GIVEN, "n_e": 1e3}))
    found = np.array(model.coefficients({**GIVEN, "N": factor * N, "n_e": 1e3}))
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_spectra_that_leave_float32(model):
    """Rising ones, and an X-ray knot whose uppermost N float32 does not hold, as in float64."""
    rising, knot = np.geomspace(1.0, 1e4, 64), np.geomspace(1e2, 1e9, 64)
    cases = [
        {**POINT, "gamma": rising, "N": rising**10, "n_e": 1e6},
        {"nu": 2.4e18, "B": 1e-5, "theta": 1.0, "gamma": knot, "N": 1e-8 * knot**-3.5},
    ]
    for params in cases:
        found = model.log_coefficients(params)
        with jax.enable_x64(True):
            wanted = model.log_coefficients(params)
        np.testing.assert_allclose(np.array(found), np.array(wanted), rtol=1e-4, atol=1e-4)
    none = model.log_coefficients({**GIVEN, "N": 1e-45 * N})
    assert np.all(np.isfinite(np.array(none)))  # few electrons are not none
    assert int(model.flags({**GIVEN, "N": 1e-45 * N})) == 1 << len(model.domain)


def test_along_the_field(model, x64):
    """Finite and physical down to the field itself, where it is flagged."""
    gamma = np.geomspace(1.0, 1e4, 17)
    electrons = {"gamma": gamma, "N": gamma**-2.5, "n_e": 1e6}
    theta = np.array([0.0, 1e-30, 1e-10, 1e-5, 1e-3, np.pi - 1e-5, np.pi])
    c = model.coefficients({**POINT, "theta": theta, **electrons})
    assert np.all(np.isfinite(np.array(c)))
    assert np.all(np.hypot(c.j_Q, c.j_V) < c.j_I)
    assert c.rho_Q[0] == 0.0
    np.testing.assert_allclose(c.rho_V[-1], -c.rho_V[0], rtol=1e-9)
    assert np.all(np.asarray(model.flags({**POINT, "theta": theta, **electrons})) & 4)
    # s sin(theta) = 3, 1 and 0.5
    near = {**POINT, "theta": np.array([1e-3, 3.7e-4, 1.8e-4]), **electrons}
    truth = np.array([2.619425e-23, 8.979116e-24, 5.727616e-24])  # exact.coefficients there
    ratio = np.asarray(model.coefficients(near).j_I) / truth
    assert np.all(np.abs(np.log(ratio)) < np.log(3.0))
    slope = jax.grad(lambda t: model.coefficients({**POINT, "theta": t, **electrons}).rho_V)(0.0)
    assert np.isfinite(slope)


def test_quantities(model):
    u = pytest.importorskip("astropy.units")
    wanted = np.array(model.coefficients(GIVEN))
    found = model.coefficients({**GIVEN, "N": 1e6 * N * u.m**-3})
    np.testing.assert_allclose(np.array(found), wanted, rtol=1e-6)
    with pytest.raises(ValueError, match=r"N.* is in m and takes cm\^-3"):
        model.coefficients({**GIVEN, "N": N * u.m})
    shared = {**GIVEN, "n_e": 1.0 * u.m**-3, "N": N * u.m}  # only its shape counts
    assert np.all(np.isfinite(np.array(model.coefficients(shared))))
    assert Tabulated(GAMMA, N * u.cm**-3) is not None


def test_a_jitted_function_in_both_precisions(model):
    call = jax.jit(lambda nu: model.coefficients({**GIVEN, "nu": nu}).j_I)
    single = call(1e11)
    with jax.enable_x64(True):
        assert float(call(1e11)) == pytest.approx(float(single), rel=1e-4)


BAD = [
    ({"gamma": GAMMA[::-1]}, "gamma must increase: 100000 is followed by 3000"),
    ({"gamma": 0.5 * GAMMA}, "gamma starts at 0.5: Lorentz factors are 1 or more"),
    (
        {"gamma": [2.0], "N": [1.0]},
        r"gamma is one row of 2 to 512 Lorentz factors, got shape \(1,\)",
    ),
    ({"gamma": np.ones((2, 6))}, r"gamma is one row .*got shape \(2, 6\)"),
    ({"gamma": np.arange(1.0, 514.0), "N": np.ones(513)}, r"2 to 512 .* got shape \(513,\)"),
    ({"gamma": np.where(GAMMA > 1e4, np.inf, GAMMA)}, "gamma holds inf"),
    ({"N": -N}, r"N holds -0.5 \(at \[0\]\): expected finite numbers >= 0"),
    ({"N": N * np.nan}, "N holds nan"),
    ({"N": N[:-1]}, r"N has one value for each Lorentz factor .* got shape \(5,\) for 6"),
    ({"N": np.ones((3, 6)), "nu": np.ones(2)}, r"N of shape \(3, 6\) does not broadcast"),
]


@pytest.mark.parametrize(("wrong", "message"), BAD)
def test_bad_input_is_named(model, wrong, message):
    with pytest.raises(ValueError, match=message):
        model.coefficients({**GIVEN, **wrong})
    with jax.enable_x64(True), pytest.raises(ValueError, match=message):
        exact.coefficients("tabulated", {**GIVEN, "n_e": 1.0, **wrong})


def test_missing_and_unknown_names(model):
    with pytest.raises(
        ValueError, match=r"missing N; the model takes .*gamma \[dimensionless, Lor"
    ):
        model.coefficients({k: v for k, v in GIVEN.items() if k != "N"})
    with pytest.raises(ValueError, match="unknown theta_e"):
        model.coefficients({**GIVEN, "theta_e": 1.0})


def test_under_jit_bad_points_are_nan(model):
    call = quick_jit(model.coefficients)
    rows = np.stack([N, -N, 0.0 * N, N * np.nan])
    c = np.array(call({k: jnp.asarray(v) for k, v in {**GIVEN, "N": rows}.items()}))
    assert np.all(np.isfinite(c[:, 0]))
    assert np.all(c[:, 2] == 0.0)
    assert np.all(np.isnan(c[:, [1, 3]]))
    falling = {k: jnp.asarray(v) for k, v in {**GIVEN, "N": rows, "gamma": GAMMA[::-1]}.items()}
    assert np.all(np.isnan(np.array(call(falling))))


def test_nothing_to_see(model, x64):
    """No field, no electrons: zeros, with finite slopes. None that n_e could be shared by: NaN."""
    for empty in ({"B": 0.0}, {"n_e": 0.0}, {"N": 0.0 * N}):
        assert np.all(np.array(model.coefficients({**GIVEN, **empty})) == 0.0)

    def intensity(b, n):
        return model.coefficients({**GIVEN, "B": b, "N": n}).j_I

    slopes = jax.grad(intensity, (0, 1))(0.0, jnp.zeros(6))
    assert all(bool(jnp.all(jnp.isfinite(v))) for v in slopes)
    shared = model.coefficients({**GIVEN, "N": 0.0 * N, "n_e": 1.0})
    assert np.all(np.isnan(np.array(shared)))


def test_shapes(model):
    rows = np.stack([N, 2.0 * N])
    c = model.coefficients({**GIVEN, "nu": np.full((5, 1), 1e11), "N": rows})
    assert c.j_I.shape == (5, 2)
    np.testing.assert_allclose(c.j_I[:, 1], 2.0 * c.j_I[:, 0], rtol=1e-5)
    assert model.coefficients({**GIVEN, "N": np.ones((0, 6))}).j_I.shape == (0,)
    assert model.coefficients(GIVEN).j_I.shape == ()
    mapped = jax.vmap(lambda n: model.coefficients({**GIVEN, "N": n}).j_I)(jnp.asarray(rows))
    np.testing.assert_allclose(mapped, [mapped[0], 2.0 * mapped[0]], rtol=1e-5)
    assert mapped[0] == pytest.approx(float(model.coefficients(GIVEN).j_I), rel=1e-5)


def test_flags(model):
    assert int(model.flags(GIVEN)) == 0
    low = int(model.flags({**GIVEN, "nu": 1e8}))
    assert low == sum(1 << list(model.domain).index(k) for k in ("s", "s_sin_theta"))
    rows = np.stack([N, np.where(N > 0.0, N, 1.0)])
    assert model.flags({**GIVEN, "N": rows}).shape == (2,)


def test_models_are_values(model):
    again = pickle.loads(pickle.dumps(model))
    assert again == model == copy.deepcopy(model)
    assert hash(again) == hash(model)
