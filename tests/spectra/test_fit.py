"""Fits of a source in closed form, of a slab, and what is said about bad ones."""

import concurrent.futures
import json
import pickle

import astropy.units as u
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm
from stokes_spectra import BOUNDS as SLAB_BOUNDS
from stokes_spectra import FIXED, pulls, slabs

from synchrojax import cli, spectra
from synchrojax.spectra import _chunks

NU = np.geomspace(1e9, 1e11, 12)
BOUNDS = {
    "flux": (0.1, 10.0),
    "turnover": (1e9, 5e10),
    "p": (1.5, 3.5),
    "psi": (0.0, np.pi),
    "rotation_measure": (-300.0, 300.0),
}
TRUTH = {"flux": 1.3, "turnover": 2e9, "p": 2.4, "psi": 0.2, "rotation_measure": 40.0}


def absorbed(params, nu):
    """Self-absorbed light of a power law, a tenth of it polarized, behind a Faraday screen."""
    x = nu / params["turnover"]
    light = params["flux"] * x**2.5 * -jnp.expm1(-(x ** (-0.5 * params["p"] - 2.0)))
    angle = params["psi"] + params["rotation_measure"] * (2.998e8 / nu) ** 2
    linear = 0.1 * light
    return light, linear * jnp.cos(2 * angle), linear * jnp.sin(2 * angle), 0.0 * light


UNITS = {"flux": "Jy", "turnover": "Hz", "psi": "rad", "rotation_measure": "rad m^-2"}
SOURCE = spectra.Source(absorbed, tuple(TRUTH), UNITS, {"rotation_measure": 0.0})


def observed(truth, rng, noise=0.01, stokes="IQUV", **options):
    """Spectra of (arrays of) labels, with noise."""
    light = SOURCE.stokes({n: np.asarray(v, float) for n, v in truth.items()}, NU)
    rows = {n: np.atleast_2d(getattr(light, n)).astype(float) for n in stokes}
    size = np.max(np.atleast_2d(light.I), axis=-1, keepdims=True)
    error = np.broadcast_to(noise * np.asarray(size, float), (len(size), len(NU)))
    rows = {n: v + error * rng.normal(size=v.shape) for n, v in rows.items()}
    return [
        spectra.StokesSpectrum(NU, **{n: v[k] for n, v in rows.items()}, errors=error[k], **options)
        for k in range(len(error))
    ]


@pytest.fixture(scope="module")
def many():
    rng = np.random.default_rng(7)
    truth = {
        "flux": np.exp(rng.uniform(np.log(0.3), np.log(3.0), 300)),
        "turnover": np.exp(rng.uniform(np.log(1.5e9), np.log(1e10), 300)),
        "p": rng.uniform(1.8, 3.2, 300),
        "psi": rng.uniform(0.0, np.pi, 300),
        "rotation_measure": rng.uniform(-60.0, 60.0, 300),
    }
    return truth, spectra.fit_many(SOURCE, observed(truth, rng), BOUNDS)


def test_pulls_are_those_of_a_normal_distribution(many):
    truth, fits = many
    found = pulls(fits, truth)
    assert np.mean(np.all(np.abs(found) < 5.0, axis=0)) >= 0.99
    assert not np.any(np.any(np.abs(found) > 5.0, axis=0) & fits.ok)
    assert np.mean(fits.ok) > 0.9
    good = found[:, fits.ok]
    # 300 spectra: their mean is known to 0.06 and the width to 0.04
    assert np.all(np.abs(np.mean(good, axis=1)) < 0.2)
    assert np.all(np.abs(np.std(good, axis=1) - 1.0) < 0.15)
    assert abs(np.mean(fits.reduced_chi2) - 1.0) < 0.04
    assert np.quantile(fits.p_value, 0.5) == pytest.approx(0.5, abs=0.1)


def test_many_are_a_sequence(many):
    _, fits = many
    assert len(fits) == len(list(fits)) == 300 == len(fits.message)
    one = fits[3]
    assert one.names == fits.names == tuple(BOUNDS)
    assert one.values["p"] == fits.values["p"][3]
    assert fits[2:4].chi2.tolist() == fits.chi2[2:4].tolist()
    assert fits.covariance.shape == fits.correlation.shape == (300, 5, 5)
    assert "300 spectra" in repr(fits)
    with pytest.raises(AttributeError):
        _ = fits.nothing


def test_one_fit_has_everything(rng, x64):
    data = observed(TRUTH, rng)[0]
    fit = spectra.fit(SOURCE, data, BOUNDS)
    assert fit.ok
    assert fit.message == ""
    assert fit.converged
    assert fit.dof == 4 * len(NU) - 5
    assert fit.reduced_chi2 == fit.chi2 / fit.dof
    # chi2 and residuals are those of the light of params
    light = SOURCE.stokes(fit.params, NU)
    apart = {n: (np.asarray(getattr(light, n)) - data.values[n]) / data.errors[n] for n in "IQUV"}
    for n, row in apart.items():
        np.testing.assert_allclose(fit.residuals[n], row, atol=1e-6)
    assert fit.chi2 == pytest.approx(sum(np.sum(row**2) for row in apart.values()))

    # the inverse of the Fisher matrix, by differences
    def residuals(x):
        light = SOURCE.stokes(dict(zip(fit.names, x, strict=True)), NU)
        return np.concatenate([np.asarray(getattr(light, n)) / data.errors[n] for n in "IQUV"])

    best = np.array([fit.values[n] for n in fit.names])
    steps = 1e-5 * np.diag(np.maximum(np.abs(best), 0.1))
    rows = np.array([(residuals(best + h) - residuals(best - h)) / (2.0 * h.sum()) for h in steps])
    wanted = np.linalg.inv(rows @ rows.T)
    errors = np.sqrt(np.diagonal(wanted))
    np.testing.assert_allclose(
        fit.covariance / np.outer(errors, errors), wanted / np.outer(errors, errors), atol=1e-4
    )
    np.testing.assert_allclose(list(fit.errors.values()), errors, rtol=1e-4)
    np.testing.assert_allclose(fit.correlation, wanted / np.outer(errors, errors), atol=1e-3)
    # at the minimum, which no neighbour beats
    assert all(np.sum((residuals(best + h) - residuals(best)) ** 2) >= 0.0 for h in steps)
    gradient = rows @ np.concatenate([fit.residuals[n] for n in "IQUV"])
    assert np.all(np.abs(gradient * errors) < 1e-2)
    assert "flux" in repr(fit)
    assert "ok" in fit.table()


def test_float32_finds_what_float64_finds(rng):
    data = observed(TRUTH, rng)[0]
    single = spectra.fit(SOURCE, data, BOUNDS)
    with jax.enable_x64(True):
        double = spectra.fit(SOURCE, data, BOUNDS)
    for n in single.names:
        assert single.values[n] == pytest.approx(double.values[n], abs=0.05 * double.errors[n])
        assert single.errors[n] == pytest.approx(double.errors[n], rel=0.01)
    assert single.chi2 == pytest.approx(double.chi2, abs=0.01)


def test_a_seed_gives_the_same_fit(rng):
    data = observed(TRUTH, rng)[0]
    one, two = (spectra.fit(SOURCE, data, BOUNDS, seed=3) for _ in range(2))
    assert one.values == two.values
    assert one.chi2 == two.chi2


def test_fixed_tied_and_defaults(rng):
    data = observed(TRUTH, rng)[0]
    free = {n: BOUNDS[n] for n in ("flux", "psi")}
    known = {"turnover": 2.0 * u.GHz, "p": 2.4}
    with_screen = spectra.fit(SOURCE, data, free, fixed={**known, "rotation_measure": 40.0})
    assert with_screen.ok
    assert with_screen.names == ("flux", "psi")
    assert with_screen.params["turnover"] == pytest.approx(2e9)
    # the default has no screen
    without = spectra.fit(SOURCE, data, free, fixed=known)
    assert without.params["rotation_measure"] == 0.0
    assert "does not fit" in without.message
    tied = spectra.fit(
        SOURCE,
        data,
        {n: BOUNDS[n] for n in ("flux", "psi", "rotation_measure")},
        fixed={"p": 2.4},
        tied={"turnover": lambda labels: 2e9 * (labels["flux"] / 1.3) ** 0.5},
    )
    assert tied.ok
    assert tied.params["turnover"] == pytest.approx(2e9 * (tied.values["flux"] / 1.3) ** 0.5)
    # as one label with the slope of both: a smaller error than with both free
    both = spectra.fit(SOURCE, data, BOUNDS, fixed=None)
    assert tied.errors["flux"] < both.errors["flux"]


def test_names_tie_labels(rng, x64):
    def line(params, nu):
        return params["a"] + params["b"] * jnp.log10(nu / 1e10), *[0.0 * nu] * 3

    source = spectra.Source(line, ("a", "b"))
    light = 2.0 + 2.0 * np.log10(NU / 1e10)
    data = spectra.StokesSpectrum(NU, I=light, errors=0.1)
    fit = spectra.fit(source, data, {"a": (-5.0, 5.0)}, tied={"b": "a"})
    assert fit.params == {"a": pytest.approx(2.0), "b": pytest.approx(2.0)}
    weights = (1.0 + np.log10(NU / 1e10)) / 0.1
    assert fit.errors["a"] == pytest.approx(np.sum(weights**2) ** -0.5)


@pytest.mark.parametrize(
    ("prior", "wanted"),
    [
        ((2.1, 0.01), 2.1),
        (spectra.Normal(2.1, 0.01), 2.1),
        (spectra.LogNormal(2.1, 0.002), 2.1),
        ((2.1, 100.0), 2.4),
    ],
)
def test_priors(rng, prior, wanted):
    data = observed(TRUTH, rng, noise=0.03)[0]
    fit = spectra.fit(SOURCE, data, BOUNDS, priors={"p": prior})
    without = spectra.fit(SOURCE, data, BOUNDS)
    assert fit.dof == without.dof + 1
    assert fit.values["p"] == pytest.approx(wanted, abs=0.02 if wanted == 2.1 else 0.2)
    strong = wanted == 2.1
    assert fit.errors["p"] == pytest.approx(0.01 if strong else without.errors["p"], rel=0.1)


def test_a_prior_of_psi_goes_round(rng):
    data = observed({**TRUTH, "psi": 0.05}, rng)[0]
    fit = spectra.fit(SOURCE, data, BOUNDS, priors={"psi": (np.pi - 0.01, 0.1)})
    apart = (fit.values["psi"] - 0.05 + 0.5 * np.pi) % np.pi - 0.5 * np.pi
    assert abs(apart) < 5.0 * fit.errors["psi"]
    assert fit.chi2 < fit.dof + 30.0


# What speaks against a fit ------------------------------------------------------------------------


def test_a_truth_outside_the_bounds(rng):
    away = {"flux": (0.1, 1.0), "turnover": (3e9, 5e10), "p": (2.6, 3.5)}
    for n, ends in away.items():
        data = observed({k: np.full(5, v) for k, v in TRUTH.items()}, rng)
        fits = spectra.fit_many(SOURCE, data, {**BOUNDS, n: ends})
        assert not np.any(fits.ok)
        side = "lower" if ends[1] == BOUNDS[n][1] else "upper"
        assert all(n in at for at in fits.at_bound)
        assert all(f"{n} is at its {side} bound" in m for m in fits.message)


def test_a_model_that_does_not_fit(rng):
    data = observed({**TRUTH, "rotation_measure": 1000.0}, rng)[0]
    fit = spectra.fit(SOURCE, data, BOUNDS)
    assert not fit.ok
    assert fit.p_value < 1e-3
    assert "does not fit" in fit.message
    patient = spectra.fit(SOURCE, data, BOUNDS, least_p=0.0)
    assert "does not fit" not in patient.message


def test_what_the_data_do_not_constrain(rng):
    def light(params, nu):
        return absorbed({**params, "flux": params["density"] * params["length"]}, nu)

    names = ("density", "length", "turnover", "p", "psi")
    source = spectra.Source(lambda p, nu: light({**p, "rotation_measure": 40.0}, nu), names)
    data = observed(TRUTH, rng)[0]
    own = {n: BOUNDS[n] for n in ("turnover", "p", "psi")}
    fit = spectra.fit(source, data, {**own, "density": (0.01, 100.0), "length": (0.01, 100.0)})
    assert not fit.ok
    assert fit.degenerate == (("density", "length"),)
    assert "do not constrain a combination of density, length" in fit.message
    assert fit.correlation[0, 1] == pytest.approx(-1.0, abs=1e-3)
    # without Q and U nothing is known of psi
    alone = spectra.StokesSpectrum(NU, I=data.values["I"], errors=data.errors["I"])
    blind = spectra.fit(SOURCE, alone, {n: BOUNDS[n] for n in ("flux", "turnover", "p", "psi")})
    assert blind.degenerate == (("psi",),)


def test_distinct_minima(rng):
    """Of Q alone psi and -psi are alike."""
    data = observed({**TRUTH, "psi": 0.6, "rotation_measure": 0.0}, rng, stokes="IQ")[0]
    own = {n: BOUNDS[n] for n in ("flux", "turnover", "p", "psi")}
    fit = spectra.fit(SOURCE, data, own)
    assert "1 other minimum is nearly as good" in fit.message
    found = sorted(mode.values["psi"] for mode in fit.modes)
    errors = [mode.errors["psi"] for mode in fit.modes]
    np.testing.assert_allclose(found, [0.6, np.pi - 0.6], atol=5.0 * max(errors))
    # the error covers both
    assert fit.errors["psi"] > 0.3 > max(errors)
    # bounds choose, and two turns are one
    one = spectra.fit(SOURCE, data, {**own, "psi": (0.0, 0.5 * np.pi)})
    assert one.ok
    round_ = spectra.fit(SOURCE, observed(TRUTH, rng)[0], {**BOUNDS, "psi": (0.0, 2.0 * np.pi)})
    assert len(round_.modes) == 1 or round_.modes[1].chi2 > round_.chi2 + 9.0


def test_no_spectrum_within_the_bounds(rng):
    def nothing(params, nu):
        return (params["a"] * nu * jnp.nan,) * 4

    fit = spectra.fit(spectra.Source(nothing, ("a",)), observed(TRUTH, rng)[0], {"a": (1.0, 2.0)})
    assert not fit.ok
    assert "not finite" in fit.message


def test_a_few_values(rng):
    few = spectra.StokesSpectrum(NU[:3], I=[1.0, 1.1, 1.2], errors=0.1)
    own = {n: BOUNDS[n] for n in ("flux", "turnover", "p")}
    fit = spectra.fit(SOURCE, few, own, fixed={"psi": 0.0})
    assert fit.dof == 0
    assert np.isnan(fit.reduced_chi2)
    assert np.isnan(fit.p_value)
    with pytest.raises(ValueError, match="4 free labels, but only 3 values"):
        spectra.fit(SOURCE, few, {**own, "psi": (0.0, 3.0)})


# Data ---------------------------------------------------------------------------------------------


def test_masked_channels_do_not_matter(rng):
    data = observed(TRUTH, rng)[0]
    spoiled = {n: np.where(NU > 6e10, 1e3, v) for n, v in data.values.items()}
    bad = spectra.StokesSpectrum(NU, **spoiled, errors=data.errors)
    assert not spectra.fit(SOURCE, bad, BOUNDS).ok
    bad.add_mask_region(6e10, 2e11)
    fit = spectra.fit(SOURCE, bad, BOUNDS)
    below = NU <= 6e10
    short = spectra.StokesSpectrum(
        NU[below],
        **{n: v[below] for n, v in data.values.items()},
        errors={n: v[below] for n, v in data.errors.items()},
    )
    band = spectra.fit(SOURCE, short, BOUNDS)
    assert fit.ok
    assert fit.dof == band.dof
    assert fit.chi2 == pytest.approx(band.chi2, abs=1e-2)
    assert all(np.isnan(fit.residuals["U"]) == (NU > 6e10))
    # side by side with whole spectra
    both = spectra.fit_many(SOURCE, [data, short, bad], BOUNDS)
    assert both.dof.tolist() == [43, band.dof, band.dof]
    np.testing.assert_allclose(both.chi2[1:], band.chi2, atol=1e-2)
    assert both[1].residuals["I"].shape == (np.sum(below),)


def test_upper_limits(rng):
    data = observed(TRUTH, rng, stokes="I")[0]
    own = {n: BOUNDS[n] for n in ("flux", "turnover", "p")}
    low = NU < 1.3e9
    light = np.where(low, 1.0, data.values["I"])
    limits = spectra.StokesSpectrum(NU, I=light, errors=data.errors["I"], upper=low)
    fit = spectra.fit(SOURCE, limits, own, fixed={"psi": 0.0})
    assert fit.ok
    assert fit.dof == np.sum(~low) - 3
    model = np.asarray(SOURCE.stokes(fit.params, NU).I, float)
    apart = (light - model) / data.errors["I"]
    wanted = np.where(low, -2.0 * norm.logcdf(apart), apart**2)
    assert fit.chi2 == pytest.approx(np.sum(wanted), abs=1e-2)
    # limits far below what the rest says speak against it
    deep = spectra.StokesSpectrum(
        NU, I=np.where(NU > 5e10, 1e-3, light), errors=data.errors["I"], upper=low | (NU > 5e10)
    )
    assert not spectra.fit(SOURCE, deep, own, fixed={"psi": 0.0}).ok


def test_one_value_for_each_spectrum(rng):
    truth = {n: np.full(3, v) for n, v in TRUTH.items()} | {"turnover": np.array([2e9, 3e9, 5e9])}
    own = {n: BOUNDS[n] for n in BOUNDS if n != "turnover"}
    fits = spectra.fit_many(
        SOURCE, observed(truth, rng), own, fixed={"turnover": truth["turnover"]}
    )
    assert np.all(fits.ok)
    assert [fit.params["turnover"] for fit in fits] == truth["turnover"].tolist()


def test_many_resume(rng, tmp_path, monkeypatch, capsys):
    data = observed({n: np.full(70, v) for n, v in TRUTH.items()}, rng)
    fits = spectra.fit_many(SOURCE, data, BOUNDS, out=tmp_path / "kept", starts=4)
    assert "fit: 70/70 spectra" in capsys.readouterr().err
    kept = sorted(p.name for p in (tmp_path / "kept").iterdir())
    assert kept == ["fit.json", "part-00000.npz", "part-00001.npz", "part-00002.npz"]
    (tmp_path / "kept" / "part-00001.npz").unlink()
    worked = []
    solve = _chunks.solve
    monkeypatch.setattr(_chunks, "solve", lambda *a: worked.append(len(a[2])) or solve(*a))
    again = spectra.fit_many(SOURCE, data, BOUNDS, out=tmp_path / "kept", starts=4, quiet=True)
    assert capsys.readouterr().err == ""
    assert worked == [23]
    assert json.dumps([a.as_dict() for a in again]) == json.dumps([f.as_dict() for f in fits])
    np.testing.assert_array_equal(again[40].residuals["Q"], fits[40].residuals["Q"])
    # another fit has no business there
    with pytest.raises(ValueError, match="of another fit"):
        spectra.fit_many(SOURCE, data, BOUNDS, out=tmp_path / "kept", starts=4, seed=1)
    with pytest.raises(ValueError, match="holds something else"):
        spectra.fit_many(SOURCE, data, BOUNDS, out=tmp_path)
    broken = tmp_path / "kept" / "part-00000.npz"
    broken.write_bytes(broken.read_bytes()[:200])
    with pytest.raises(ValueError, match=r"part-00000\.npz: cannot be read"):
        spectra.fit_many(SOURCE, data, BOUNDS, out=tmp_path / "kept", starts=4)


def test_executors(rng):
    data = observed({n: np.full(40, v) for n, v in TRUTH.items()}, rng)
    alone = spectra.fit_many(SOURCE, data, BOUNDS, starts=2)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        fits = spectra.fit_many(SOURCE, data, BOUNDS, starts=2, executor=pool)
    np.testing.assert_array_equal(fits.chi2, alone.chi2)
    # what other processes are given
    assert pickle.loads(pickle.dumps(SOURCE)) == SOURCE
    slab = spectra.slab("powerlaw")
    assert pickle.loads(pickle.dumps(slab)) == slab


def test_starts_of_the_user(rng):
    data = observed(TRUTH, rng)[0]
    near = spectra.fit(SOURCE, data, BOUNDS, starts=TRUTH)
    assert near.ok
    # a far one ends where rotation is off by turns, and says so
    far = {**TRUTH, "rotation_measure": -250.0, "psi": 1.0}
    lost = spectra.fit(SOURCE, data, BOUNDS, starts=[far])
    assert not lost.ok
    assert spectra.fit(SOURCE, data, BOUNDS, starts=[far, TRUTH]).ok
    with pytest.raises(ValueError, match="missing p, psi"):
        spectra.fit(SOURCE, data, BOUNDS, starts={n: TRUTH[n] for n in ("flux", "turnover")})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bounds": {**BOUNDS, "beta": (0, 1)}}, "bounds of unknown labels: beta"),
        ({"bounds": {**BOUNDS, "p": (3.0, 2.0)}}, "bounds of p"),
        ({"bounds": {**BOUNDS, "p": (2.0, np.nan)}}, "bounds of p"),
        ({"bounds": {**BOUNDS, "p": 2.0}}, "bounds of p"),
        ({"bounds": {**BOUNDS, "turnover": (1.0 * u.m, 2.0 * u.m)}}, "turnover"),
        ({"bounds": {}}, "give bounds or a fixed value of flux, turnover, p, psi"),
        ({"bounds": {}, "fixed": TRUTH}, "nothing is free"),
        ({"fixed": {"p": 2.0}}, "p is in bounds and in fixed"),
        ({"fixed": {"q": 2.0}}, "fixed of unknown labels: q"),
        ({"tied": {"p": "flux"}}, "p is in bounds and in tied"),
        ({"priors": {"p": 2.0}}, r"prior of p: expected \(mean, sigma\)"),
        ({"priors": {"p": (2.0, -1.0)}}, "prior of p: .* positive deviation"),
        ({"priors": {"rotation": (2.0, 1.0)}}, "priors of unknown labels: rotation"),
        ({"starts": 0}, "0"),
        ({"least_p": 2.0}, "least_p"),
        ({"starts": []}, "at least one start"),
    ],
)
def test_bad_input(rng, options, message):
    data = observed(TRUTH, rng)[0]
    with pytest.raises(ValueError, match=message):
        spectra.fit(SOURCE, data, **{"bounds": BOUNDS, **options})


def test_bad_data(rng):
    with pytest.raises(ValueError, match="StokesSpectrum, got dict"):
        spectra.fit(SOURCE, {"nu": NU}, BOUNDS)
    with pytest.raises(ValueError, match="no spectra"):
        spectra.fit_many(SOURCE, [], BOUNDS)
    data = observed(TRUTH, rng)[0].add_mask_region(1.0, 1e12)
    with pytest.raises(ValueError, match="every channel is masked"):
        spectra.fit(SOURCE, data, BOUNDS)
    limited = spectra.Source(absorbed, tuple(TRUTH), UNITS, ranges={"p": (2.0, 3.0)})
    with pytest.raises(ValueError, match=r"bounds of p, 1\.5 to 3\.5, leave .* 2 to 3"):
        spectra.fit(limited, observed(TRUTH, rng)[0], BOUNDS)


def test_ranges_of_a_source_are_bounds(rng):
    ranges = {n: ends for n, ends in BOUNDS.items() if n != "rotation_measure"}
    limited = spectra.Source(absorbed, tuple(TRUTH), UNITS, {"rotation_measure": 0.0}, ranges)
    data = observed({**TRUTH, "rotation_measure": 0.0}, rng)[0]
    fit = spectra.fit(limited, data)
    assert fit.ok
    assert fit.names == tuple(ranges)
    again = spectra.fit(limited, data, {"p": (2.0, 3.0)}, fixed={"psi": fit.values["psi"]})
    assert again.names == ("flux", "turnover", "p")


# The likelihood -----------------------------------------------------------------------------------


def test_log_likelihood(rng, x64):
    low = NU < 2e9
    data = observed(TRUTH, rng, stokes="IQ", upper=low, mask={"Q": NU > 5e10})[0]
    function = spectra.log_likelihood(SOURCE, data)
    light = SOURCE.stokes(TRUTH, NU)
    apart = (data.values["I"] - np.asarray(light.I)) / data.errors["I"]
    wanted = np.sum(norm.logcdf(apart[low]))
    wanted += np.sum(norm.logpdf(apart[~low]) - np.log(data.errors["I"][~low]))
    rest = NU <= 5e10
    apart = (data.values["Q"] - np.asarray(light.Q)) / data.errors["Q"]
    wanted += np.sum(norm.logpdf(apart[rest]) - np.log(data.errors["Q"][rest]))
    assert float(function(TRUTH)) == pytest.approx(wanted)
    assert float(jax.jit(function)(TRUTH)) == pytest.approx(wanted)
    # several at a time, and the slope
    several = function({**TRUTH, "p": np.array([2.4, 2.5])})
    assert several.shape == (2,)
    assert float(several[0]) == pytest.approx(wanted)
    slope = jax.grad(lambda p: function({**TRUTH, "p": p}))(2.5)
    step = function({**TRUTH, "p": np.array([2.5 - 1e-5, 2.5 + 1e-5])})
    assert float(slope) == pytest.approx(float(step[1] - step[0]) / 2e-5, rel=1e-5)
    assert float(function({**TRUTH, "p": np.nan})) == -np.inf
    with pytest.raises(ValueError, match="missing psi"):
        function({n: v for n, v in TRUTH.items() if n != "psi"})


# A slab of thermal electrons ----------------------------------------------------------------------


@pytest.mark.usefixtures("x64")
class TestSlabs:
    """One program for all of it."""

    def test_several(self, rng):
        truth, data = slabs(6, rng)
        fits = spectra.fit_many(spectra.slab("thermal"), data, SLAB_BOUNDS, fixed=FIXED, starts=4)
        near = np.all(np.abs(pulls(fits, truth)) < 5.0, axis=0)
        assert np.all(near | ~fits.ok)
        assert np.sum(near) >= 5
        assert np.sum(fits.ok) >= 5

    def test_command(self, rng, tmp_path, capsys):
        truth, data = slabs(6, rng)
        truth, data = {n: float(v[0]) for n, v in truth.items()}, data[0]
        spectra.write(data, tmp_path / "observed.csv")
        words = ["spectra", "fit", str(tmp_path / "observed.csv"), "--model", "thermal"]
        words += ["--fixed", "length=1e13 cm", "--fixed", "solid_angle=1e-18", "--starts", "4"]

        def free(bounds):
            pairs = [f"{n}={low!r}:{high!r}" for n, (low, high) in bounds.items()]
            return [word for pair in pairs for word in ("--free", pair)]

        out = tmp_path / "fit.json"
        assert cli.main([*words, *free(SLAB_BOUNDS), "--out", str(out)]) == 0
        assert "degrees of freedom\nok" in capsys.readouterr().out
        found = json.loads(out.read_text())
        wanted = spectra.fit(spectra.slab("thermal"), data, SLAB_BOUNDS, fixed=FIXED, starts=4)
        assert found == json.loads(json.dumps(wanted.as_dict()))
        assert found["ok"]
        assert found["units"]["B"] == "G"
        assert found["params"]["length"] == 1e13
        # what is not ok has a status of its own, and is written all the same
        away = {**SLAB_BOUNDS, "n_e": (1e4, 0.5 * truth["n_e"])}
        out = tmp_path / "bad.csv"
        assert cli.main([*words, *free(away), "--json", "--out", str(out)]) == 3
        bad = json.loads(capsys.readouterr().out)
        assert "n_e is at its upper bound" in bad["message"]
        header, first, *_ = out.read_text().splitlines()
        assert header == "label,value,error,unit"
        assert first == f"B,{bad['values']['B']!r},{bad['errors']['B']!r},G"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "needs a verb; see synchrojax spectra --help"),
        (["fits"], "invalid choice of a verb: 'fits'; did you mean fit?"),
        (["fit", "absent.csv", "--model", "thermal"], "absent.csv: no such file"),
        (["fit", "absent.csv"], "required: --model"),
        (
            ["fit", "absent.csv", "--model", "thermal", "--free", "B=1"],
            "'B=1' is not LABEL=LOW:HIGH",
        ),
        (["fit", "a.csv", "--model", "thermal", "--free", "B=1:5m"], "m measures a length"),
        (["fit", "a.csv", "--model", "thermal", "--fixed", "B"], "'B' is not LABEL=VALUE"),
        (["fit", "a.csv", "--model", "thermal", "--prior", "B=1"], "'B=1' is not LABEL=MEAN:SIGMA"),
        (["fit", "a.csv", "--model", "thermal", "--out", "a.txt"], "written as .json or .csv"),
        (["fit", "a.csv", "--model", "thermal", "--out", "none/a.csv"], "no directory none"),
        (["fit", "a.csv", "--model", "thermal", "--fre", "B=1:2"], "did you mean --free?"),
    ],
)
def test_bad_commands(words, message, capsys):
    try:
        status = cli.main(["spectra", *words])
    except SystemExit as stop:
        status = stop.code
    assert status == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_a_command_that_gives_a_label_twice(tmp_path, capsys, rng):
    spectra.write(observed(TRUTH, rng)[0], tmp_path / "a.npz")
    words = ["spectra", "fit", str(tmp_path / "a.npz"), "--model", "thermal"]
    assert cli.main([*words, "--free", "B=1:2", "--free", "B=1:3"]) == 2
    assert "--free gives B twice" in capsys.readouterr().err
    assert cli.main([*words, "--free", "B=1:2", "--fixed", "B=1"]) == 2
    assert "B is in bounds and in fixed" in capsys.readouterr().err
