"""Coefficients as logarithms: what float32 cannot hold otherwise, in real places."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from presets import PRESETS, exact_values, params_of

import synchrojax
from synchrojax import transfer

LOBE = params_of("radio lobe")[1]
THERMAL = {"nu": 230e9, "B": 30.0, "n_e": 1e6, "theta": 1.0, "theta_e": 1.0}


def in_float32(params):
    return {k: np.asarray(v, np.float32) for k, v in params.items()}


def linear(logs):
    """The eight coefficients in float64."""
    c = {k: np.asarray(v, np.float64) for k, v in logs._asdict().items()}
    j, alpha = np.exp(c["log_j"]), np.exp(c["log_alpha"])
    return np.array(
        [
            j,
            j * c["q_j"],
            j * c["v_j"],
            alpha,
            alpha * c["q_alpha"],
            alpha * c["v_alpha"],
            c["sign_rho_Q"] * np.exp(c["log_rho_Q"]),
            c["sign_rho_V"] * np.exp(c["log_rho_V"]),
        ]
    )


@pytest.mark.parametrize("place", PRESETS)
def test_places_in_float32(place):
    """All eight to 5e-3 of the exact values, whatever of them float32 holds."""
    name, params = params_of(place)
    model, params = synchrojax.load(name), in_float32(params)
    logs = model.log_coefficients(params)
    assert all(v.dtype == np.float32 for v in logs)
    truth = exact_values()[place]
    assert np.max(np.abs(linear(logs) / truth - 1.0)) < 5e-3
    held = np.abs(truth) > np.finfo(np.float32).tiny
    assert int(model.flags(params)) == (not held.all()) << len(model.domain)
    c = np.array(model.coefficients(params), np.float64)
    assert np.all(np.abs(c[held] / truth[held] - 1.0) < 5e-3)
    assert np.all(c[~held] == 0.0)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("thermal", "black hole, cool"),
        pytest.param("powerlaw", "radio lobe", marks=pytest.mark.slow),
        pytest.param("kappa", "black hole, flare", marks=pytest.mark.slow),
        pytest.param("tabulated", "radio lobe, cooled", marks=pytest.mark.slow),
        pytest.param("powerlaw_pitch", "interstellar, along the field", marks=pytest.mark.slow),
        pytest.param("kappa_pitch", "black hole, anisotropic", marks=pytest.mark.slow),
    ],
)
def test_second_derivatives_in_float32(name, place):
    """Of every logarithm by every input, against float64."""
    params = params_of(place)[1]
    model, fixed = synchrojax.load(name), {k: params[k] for k in ("gamma", "N") if k in params}
    inputs = {k: v for k, v in params.items() if k not in fixed}
    found = {}
    for dtype in (np.float32, np.float64):
        with jax.enable_x64(dtype == np.float64):
            given = {k: jnp.asarray(v, dtype) for k, v in inputs.items()}
            whole = {k: jnp.asarray(v, dtype) for k, v in fixed.items()}

            def logs(logarithms, given=given, whole=whole):
                c = model.log_coefficients({k: jnp.exp(v) for k, v in logarithms.items()} | whole)
                return jnp.stack([v for n, v in c._asdict().items() if not n.startswith("sign")])

            point = {k: jnp.log(v) for k, v in given.items()}
            # as jax.hessian does, forward over reverse; kappa once was NaN in that order alone
            hessian = jax.jit(jax.hessian(logs))(point)
            found[dtype] = np.stack([np.asarray(v) for v in jax.tree.leaves(hessian)])
    assert np.all(np.isfinite(found[np.float32]))
    assert np.allclose(found[np.float32], found[np.float64], rtol=5e-2, atol=5e-3)


def test_slopes_of_ln_j_where_j_underflows():
    model, lobe = synchrojax.load("powerlaw"), in_float32(LOBE)
    assert float(model.coefficients(lobe).j_I) == 0.0
    slope = jax.grad(lambda b: model.log_coefficients(lobe | {"B": b}).log_j)(lobe["B"])
    # j ~ B^((p + 1) / 2)
    assert abs(float(slope * lobe["B"]) - 2.0) < 1e-3


def test_same_as_coefficients_in_float64(x64):
    for place in ("black hole", "interstellar", "solar flare, electrons on a grid"):
        name, params = params_of(place)
        model = synchrojax.load(name)
        theta = np.array([0.1, 1.0, np.pi / 2, 2.5])
        c = np.array(model.coefficients(params | {"theta": theta}))
        logs = linear(model.log_coefficients(params | {"theta": theta}))
        assert np.allclose(logs, c, rtol=1e-10, atol=0.0)


def test_nothing_and_nonsense():
    model = synchrojax.load("thermal")
    params = {k: np.float32(v) for k, v in THERMAL.items()}
    for name in ("B", "n_e"):
        dark = model.log_coefficients(params | {name: np.float32(0.0)})._asdict()
        for key, value in dark.items():
            assert value == (-np.inf if key.startswith("log") else 0.0), key
        slope = jax.grad(lambda x, n=name: model.log_coefficients(params | {n: x}).log_j)
        assert slope(np.float32(0.0)) == 0.0
    for bad in ({"nu": -1.0}, {"theta_e": 0.0}, {"B": np.nan}):
        assert np.all(np.isnan(np.array(model.log_coefficients(params | bad))))
        assert int(model.flags(params | bad)) == 2 << len(model.domain)
    strict = synchrojax.load("thermal", out_of_domain="nan")
    outside = np.array(strict.log_coefficients(params | {"theta_e": np.float32(1e-2)}))
    assert np.all(np.isnan(outside[:6]))
    assert np.all(np.isfinite(outside[6:]))  # rotativities hold


def test_no_sums_of_logarithms():
    c = synchrojax.load("thermal").log_coefficients(THERMAL)
    for use in (
        lambda: c + c,
        lambda: 2.0 * c,
        lambda: c / 2.0,
        lambda: -c,
        lambda: c < c,
        lambda: sum([c]),
        lambda: np.ones(3) * c,
    ):
        with pytest.raises(TypeError, match="logarithms, which do not add up"):
            use()


def ray_of(params, cells, dtype):
    """Rays through ``cells`` cells along which field and density change."""
    run = np.linspace(0.5, 2.0, cells)
    return {k: np.asarray(v, dtype) for k, v in (params | {"B": params["B"] * run}).items()}


@pytest.mark.parametrize("method", transfer.METHODS)
def test_rays_by_logarithms(method):
    """A radio lobe in float32 as in float64, though no coefficient of it is a float32 number."""
    model = synchrojax.load("powerlaw")
    ds, psi = np.geomspace(1e20, 1e23, 5), np.linspace(0.0, 1.0, 5)
    light = {}
    for dtype in (np.float32, np.float64):
        with jax.enable_x64(dtype == np.float64):
            c = model.log_coefficients(ray_of(LOBE, 5, dtype))
            light[dtype] = np.array(
                transfer.solve(c, ds.astype(dtype), psi=psi.astype(dtype), method=method)
            )
    with jax.enable_x64(True):
        c = model.coefficients(ray_of(LOBE, 5, np.float64))
        truth = np.array(transfer.solve(c, ds, psi=psi))
    assert np.allclose(light[np.float64], truth, rtol=1e-10, atol=0.0)
    assert truth[0] > 1e-21
    assert np.max(np.abs(light[np.float32] / truth - 1.0)) < 1e-3


def test_thick_rays_by_logarithms(x64):
    """Absorption, conversion, redshift, background, the light after every cell, and depths."""
    model = synchrojax.load("thermal")
    params = ray_of(THERMAL, 4, np.float64)
    ds = np.array([1e10, 0.0, 3e13, 1e16])
    given = {
        "psi": 0.4,
        "g": np.array([0.5, 1.0, 1.5, 0.9]),
        "background": (1e-4, 1e-5, 0.0, -1e-5),
    }
    c, logs = model.coefficients(params), model.log_coefficients(params)
    for along in (False, True):
        truth = np.array(transfer.solve(c, ds, along=along, **given))
        light = np.array(transfer.solve(logs, ds, along=along, **given))
        # rotated by 1e5 rad, whose last digits differ
        assert np.allclose(light, truth, rtol=1e-6, atol=1e-9 * np.max(truth))
    of = {"psi": 0.4, "g": given["g"]}
    found, wanted = (np.array(transfer.depths(which, ds, **of)) for which in (logs, c))
    assert np.allclose(found, wanted, rtol=1e-10, atol=0.0)
    endless = transfer.solve(logs, np.array([1e300] * 4), psi=0.4)
    source = float(c.j_I[-1] / c.alpha_I[-1])
    assert np.all(np.isfinite(np.array(endless)))
    assert abs(float(endless.I) / source - 1.0) < 0.5

    def by_logarithms(log_n):
        c = model.log_coefficients(params | {"n_e": jnp.exp(log_n)})
        return transfer.solve(c, ds, psi=0.4).I

    def plain(log_n):
        return transfer.solve(model.coefficients(params | {"n_e": jnp.exp(log_n)}), ds, psi=0.4).I

    x = np.log(1e6)
    assert np.allclose(jax.grad(by_logarithms)(x), jax.grad(plain)(x), rtol=1e-8)


def test_rays_by_logarithms_refuse_bad_input():
    model = synchrojax.load("thermal")
    c = model.log_coefficients(ray_of(THERMAL, 2, np.float32))
    ds = np.ones(2, np.float32)
    for bad, message in (
        (lambda: transfer.solve(c, ds), "need psi"),
        (lambda: transfer.solve(c, -ds, psi=0.0), "must not be negative"),
        (lambda: transfer.solve(c, 1.0, psi=0.0), "one length"),
        (lambda: transfer.solve(type(c)(*np.ones(10)), 1.0, psi=0.0), "got numbers only"),
        (lambda: transfer.solve(c._replace(log_j=np.full(2, np.nan)), ds, psi=0.0), r"c\.log_j"),
        (lambda: transfer.solve(c._replace(q_j=np.full(2, np.inf)), ds, psi=0.0), r"c\.q_j"),
    ):
        with pytest.raises(ValueError, match=message):
            bad()


def test_rays_without_cells():
    c = synchrojax.load("thermal").log_coefficients(ray_of(THERMAL, 2, np.float32))
    none = type(c)(*(v[:0] for v in c))
    ds, light = np.ones(0, np.float32), (2.0, 1.0, 0.0, 0.0)
    passed = transfer.solve(none, ds, psi=0.0, background=light)
    assert np.allclose(np.array(passed), light, rtol=1e-6)
