"""The shipped networks beside the thermal one: accuracy, invariants, limits, bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import synchrojax
from synchrojax import exact
from synchrojax.core import GYRO, quick_jit
from synchrojax.families import FAMILIES
from synchrojax.generate import draw
from synchrojax.validate import report_lines, summary, validate

# electrons on a grid: test_tabulated.py
SCALAR = [name for name, family in FAMILIES.items() if not family.spectral]
NAMES = [name for name in SCALAR if name != "thermal"]
POINTS = {
    "powerlaw": {"p": 2.5, "gamma_min": 3.0, "gamma_max": 1e4},
    "powerlaw_pitch": {"p": 2.5, "gamma_min": 3.0, "gamma_max": 1e4, "k": 1.5},
    "kappa": {"kappa": 3.5, "w": 10.0},
    "kappa_pitch": {"kappa": 3.5, "w": 10.0, "k": 1.5},
}
BASE = {"nu": 230e9, "B": 30.0, "n_e": 1e3, "theta": 1.0}


@pytest.fixture(scope="module", params=NAMES)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def shipped(name):
    return synchrojax.load(name)


def box(name, n, seed, dtype=float):
    points = draw(name, n, seed=seed, margin=1.0)
    s = points.pop("s")
    params = {"nu": GYRO * s, **points}
    return {k: jnp.asarray(v, dtype) for k, v in params.items()} | {
        "B": jnp.asarray(1.0),
        "n_e": jnp.asarray(1.0),
    }


@pytest.mark.slow
def test_bars_on_5000_fresh_points(name, shipped, x64):
    result = summary(validate(shipped, n=5000, seed=4711))
    # the README's figures: pytest -s, or synchrojax validate --seed 4711
    print(name, *report_lines(result), sep="\n")
    for title, rows in result.items():
        median, p99 = (3e-4, 3e-3) if title == "value" else (3e-3, 5e-2)
        for coefficient, row in rows.items():
            assert row["median"] < median, (title, coefficient)
            assert row["p99"] < p99, (title, coefficient)
            if title == "value":
                assert row["max"] < 3e-2, coefficient


def test_physical_everywhere(name, shipped, precision):
    """Positive total, polarization below it, V odd and Q even about a right angle, in both
    precisions.
    """
    params = box(name, 4096, 3, precision)
    c = shipped.coefficients(params)
    mirror = shipped.coefficients({**params, "theta": np.pi - params["theta"]})
    assert all(v.dtype == precision for v in c)
    assert np.all(np.isfinite(np.array(c)))
    assert np.all(c.j_I >= 0.0)
    assert np.all(c.alpha_I >= 0.0)
    bright = np.asarray(c.j_I) > 1e-36
    degree = np.hypot(np.asarray(c.j_Q, float), np.asarray(c.j_V, float)) / np.where(
        bright, c.j_I, 1.0
    )
    assert np.all(degree[bright] <= 1.0 + 4 * jnp.finfo(precision).eps)
    tolerance = 1e-9 if precision == "float64" else 3e-3  # pi - theta rounds
    for one, other, sign in zip(c, mirror, (1, 1, -1, 1, 1, -1, 1, -1), strict=True):
        away = np.abs(np.asarray(params["theta"]) - np.pi / 2) > 0.05
        away &= np.asarray(params["theta"]) > 1e-2
        assert np.allclose(
            np.asarray(one)[away], sign * np.asarray(other)[away], rtol=tolerance, atol=0
        )


def test_float32_agrees(name, shipped, rng):
    with jax.enable_x64(True):
        params = box(name, 2048, 5)
        truth = np.array(shipped.coefficients(params))
        p = FAMILIES[name].point(params["nu"] / GYRO, params["theta"], params)
        floor = np.asarray(FAMILIES[name].error_scale(p, truth.T))[:, 6]
    single = np.array(
        shipped.coefficients({k: jnp.asarray(v, jnp.float32) for k, v in params.items()}), float
    )
    scale = np.abs(truth)
    scale[6] = np.maximum(scale[6], floor / np.asarray(params["nu"]))
    use = (scale > 1e-36) & (truth[0] > 1e-30)
    error = np.where(use, np.abs(single - truth) / np.where(use, scale, 1.0), 0.0)
    assert np.quantile(error, 0.99) < 1e-3
    assert np.median(error[use]) < 1e-5


def every_number(model, n, seed, dtype):
    """Inputs [n] over the whole range of the numbers and their ends; power laws with ends that
    nearly meet.
    """
    rng, limits = np.random.default_rng(seed), jnp.finfo(dtype)
    tiny, huge, eps = (float(v) for v in (limits.tiny, limits.max, limits.eps))

    def number():
        ends = rng.choice([tiny, 3.0 * tiny, 0.3 * huge, huge, 1.0, eps], n)
        ranges = (np.log10(tiny), 0.999 * np.log10(huge)), (-30.0, 30.0), (-6.0, 12.0)
        return np.choose(
            rng.integers(0, 4, n), [*(10.0 ** rng.uniform(*r, n) for r in ranges), ends]
        )

    def mostly(usual, chance=0.7):
        return np.where(rng.random(n) < chance, usual, number())

    angles = [0.0, np.pi, np.pi / 2, 1e-6, 1e-20, np.pi - 1e-6, np.pi / 2 + 1e-7]
    special = {
        "theta": np.where(rng.random(n) < 0.5, rng.uniform(0.0, np.pi, n), rng.choice(angles, n)),
        "n_e": mostly(0.0, 0.1),
        "B": mostly(0.0, 0.02),
        "p": mostly(rng.uniform(1.01, 8.0, n)),
        "kappa": mostly(2.0 + 10.0 ** rng.uniform(-5.0, 1.0, n)),
        "k": mostly(rng.uniform(-1.0, 5.0, n)),
    }
    params = {name: np.asarray(special.get(name, number()), dtype) for name in model.inputs}
    if "gamma_min" in params:
        low = np.asarray(1.0 + 10.0 ** rng.uniform(-6.0, 6.0, n), dtype)
        ratio = np.choose(
            rng.integers(0, 2, n),
            [1.0 + 10.0 ** rng.uniform(-16, 0, n), 10.0 ** rng.uniform(0, 12, n)],
        )
        params |= {
            "gamma_min": low,
            "gamma_max": np.maximum(low * ratio, np.nextafter(low, dtype(huge))).astype(dtype),
        }
    return params


def check_every_number(model, n, seed, dtype, compiled):
    """Values, forward and reverse derivatives are finite wherever the input is physical."""
    params = every_number(model, n, seed, dtype)

    def found(params):
        def stacked(params):
            return jnp.stack(model.coefficients(params))

        def along(chosen):
            tangents = {k: jnp.full(n, c, dtype) for k, c in zip(params, chosen, strict=True)}
            return jax.jvp(stacked, (params,), (tangents,))[1]

        value, pull = jax.vjp(stacked, params)
        unit = jnp.eye(8, dtype=dtype)[:, :, None] * jnp.ones((1, 1, n), dtype)
        return (
            value,
            jax.lax.map(along, jnp.eye(len(params), dtype=dtype)),
            jax.lax.map(lambda ct: pull(ct)[0], unit),
        )

    value, forward, reverse = jax.tree.map(np.asarray, compiled(found)(params))
    flags, unphysical = np.asarray(model.flags(params)), 2 << len(model.domain)
    use = flags == 0 if model.out_of_domain == "nan" else flags < unphysical
    assert use.sum() > 0.4 * n or model.out_of_domain == "nan"
    found = {"value": value, "forward": forward.reshape(-1, n)} | {
        f"d/d{k}": v for k, v in reverse.items()
    }
    for what, numbers in found.items():
        broken = np.flatnonzero(use & ~np.all(np.isfinite(numbers), axis=0))
        assert not len(broken), (what, len(broken), {k: v[broken[0]] for k, v in params.items()})
    assert np.all(value[[0, 3]][:, use] >= 0.0)


@pytest.mark.parametrize("name", SCALAR)
def test_finite_for_every_number(name):
    check_every_number(synchrojax.load(name), 2000, 1, np.float32, quick_jit)


def test_ends_of_a_power_law_that_nearly_meet():
    """Electrons of one energy: the width of the interval does not matter."""
    width = np.array([1e-6, 1e-4, 1e-3, 3.1e-3, 1e-2], np.float32)
    params = {
        **BASE,
        "p": 3.0,
        "gamma_min": np.float32(200.0),
        "gamma_max": np.float32(200.0) * (1 + width),
    }
    c = np.array(synchrojax.load("powerlaw").coefficients(params))
    assert np.max(np.abs(c / c[:, -1:] - 1)) < 2e-2
    assert np.max(np.abs(c[:, 1:3] / c[:, :1] - 1)) < 2e-3


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("policy", ["clip", "extrapolate", "nan"])
@pytest.mark.parametrize("name", SCALAR)
def test_finite_for_very_many_numbers(name, policy, dtype):
    with jax.enable_x64(dtype == np.float64):
        check_every_number(synchrojax.load(name, out_of_domain=policy), 50_000, 2, dtype, jax.jit)


def test_bad_input(name, shipped):
    bad = {
        "powerlaw": [("p", 0.0), ("gamma_min", 0.5), ("gamma_max", 2.0)],
        "kappa": [("kappa", 2.0), ("w", 0.0)],
    }
    bad = {n: bad[n.removesuffix("_pitch")] + [("k", -1.0)] * n.endswith("_pitch") for n in NAMES}
    highest = 2 << len(shipped.domain)
    for key, value in [*bad[name], ("nu", 0.0), ("B", -1.0), ("n_e", np.nan)]:
        params = {**BASE, **POINTS[name], key: value}
        assert np.all(np.isnan(np.array(shipped.coefficients(params)))), key
        assert int(shipped.flags(params)) == highest
    with pytest.raises(ValueError, match=f"missing {next(iter(POINTS[name]))}.*; the model takes"):
        shipped.coefficients(BASE)
    dark = shipped.coefficients({**BASE, **POINTS[name], "B": 0.0})
    assert np.all(np.array(dark) == 0.0)


def test_out_of_the_box(name, shipped):
    """The three policies, and the bit that says which bound is exceeded."""
    key = next(iter(POINTS[name]))
    inside = {**BASE, **POINTS[name]}
    outside = {**inside, key: 9.0}
    assert int(shipped.flags(inside)) == 0
    assert int(shipped.flags(outside)) == 1 << list(shipped.domain).index(key)
    calls = {
        p: synchrojax.load(name, out_of_domain=p).coefficients
        for p in ("clip", "extrapolate", "nan")
    }
    edge = np.array(calls["clip"]({**inside, key: shipped.domain[key][1]}))
    assert np.allclose(np.array(calls["clip"](outside)), edge, rtol=1e-6, atol=0)
    assert np.all(np.isfinite(np.array(calls["extrapolate"](outside))))
    assert np.all(np.isnan(np.array(calls["nan"](outside))))
    for call in calls.values():
        assert np.allclose(
            np.array(call(inside)), np.array(shipped.coefficients(inside)), rtol=1e-6, atol=0
        )


def test_jit_vmap_grad(name, shipped):
    params = {**BASE, **POINTS[name]}
    plain = np.array(shipped.coefficients(params))
    assert np.allclose(np.array(jax.jit(shipped.coefficients)(params)), plain, rtol=1e-5)
    many = jax.vmap(lambda b: shipped.coefficients({**params, "B": b}))(jnp.asarray([10.0, 30.0]))
    assert np.allclose(np.array(many)[:, 1], plain, rtol=1e-5)
    key = next(iter(POINTS[name]))
    slope = jax.grad(lambda v: jnp.log(shipped.coefficients({**params, key: v}).j_I))(
        POINTS[name][key]
    )
    assert np.isfinite(slope)


@pytest.mark.parametrize("base", ["powerlaw", "kappa"])
def test_without_anisotropy_it_is_the_isotropic_model(base, x64):
    params = box(base, 256, 7)
    plain = np.array(synchrojax.load(base).coefficients(params))
    pitch = np.array(synchrojax.load(f"{base}_pitch").coefficients({**params, "k": 0.0}))
    assert np.allclose(pitch, plain, rtol=1e-9, atol=0)


# one compiled size for all exact integrals here
SPECTRUM = GYRO * 30.0 * 10.0 ** np.linspace(1.5, 6.0, 80)


def test_kappa_spectrum(x64):
    params = {**BASE, **POINTS["kappa"], "nu": SPECTRUM}
    ours, truth = (
        np.array(synchrojax.load("kappa").coefficients(params)),
        np.array(exact.coefficients("kappa", params)),
    )
    error = np.abs(ours / truth - 1)
    assert np.max(np.delete(error, 6, axis=0)) < 5e-3
    assert np.median(error) < 5e-4


def test_defaults_of_the_power_law(x64):
    model = synchrojax.load("powerlaw")
    params = {**BASE, "nu": SPECTRUM, "p": 2.5}
    plain = np.array(model.coefficients(params))
    assert np.array_equal(
        plain, np.array(model.coefficients({**params, "gamma_min": 1.0, "gamma_max": np.inf}))
    )
    error = np.abs(plain / np.array(exact.coefficients("powerlaw", params)) - 1)
    assert np.max(np.delete(error, 6, axis=0)) < 1e-2
    assert np.median(error) < 1e-3


def test_emission_decays_above_gamma_max(x64):
    """Far above gamma_max^2 nu_c the power law keeps its own decay, not noise of a difference."""
    model = synchrojax.load("powerlaw")
    params = {**BASE, "nu": SPECTRUM, "p": 2.5, "gamma_max": 150.0}
    ours, truth = (
        np.asarray(model.coefficients(params).j_I),
        np.asarray(exact.coefficients("powerlaw", params).j_I),
    )
    assert np.all(ours >= 0.0)
    assert np.all(np.diff(ours) <= 0.0)
    within = truth > 1e-9 * truth[0]
    assert np.min(truth[within]) < 1e-6 * truth[0]
    assert np.max(np.abs(ours / truth - 1)[within]) < 2e-2


def test_narrow_power_law(x64):
    """gamma_max just above gamma_min: the difference of two close edges keeps its digits."""
    model = synchrojax.load("powerlaw")
    ratio = 1.0 + 10.0 ** np.linspace(-3.0, 0.0, 80)
    params = {**BASE, "p": 3.0, "gamma_min": 300.0, "gamma_max": 300.0 * ratio}
    error = np.abs(
        np.array(model.coefficients(params)) / np.array(exact.coefficients("powerlaw", params)) - 1
    )
    assert np.max(np.delete(error, 6, axis=0)) < 1e-2
