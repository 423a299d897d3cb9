"""`synchrojax test-ray`: rays from tables, end to end."""

import gzip
import json

import numpy as np
import pytest

import synchrojax
from synchrojax.cli import main
from synchrojax.distributions import Mixture
from synchrojax.tables import table_files
from synchrojax.transfer import rays as ray

MIXTURE = "thermal+powerlaw"
SAMPLES = {
    **dict.fromkeys(("kappa", "kappa_pitch", "powerlaw", "powerlaw_pitch"), 240),
    **{"tabulated": 48, MIXTURE: 48, "thermal": 240},
}
NAMES = tuple(SAMPLES)


def columns_of(name):
    return table_files.read_part(ray.packaged()[name])


def test_every_model_has_a_ray():
    assert tuple(ray.packaged()) == NAMES
    assert {*NAMES} - {MIXTURE} == set(synchrojax.models())


@pytest.mark.parametrize("name", NAMES)
def test_packaged_rays_end_as_the_exact_ones(name, capsys):
    assert main(["test-ray", name, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert max(found["difference"].values()) <= 1e-3
    assert found["outside"] == {}
    assert found["samples"] == SAMPLES[name]
    # a ray on which the transfer matters
    assert found["depths"]["absorption"] > 1.0
    assert abs(found["depths"]["rotation"]) + found["depths"]["conversion"] > 1.0
    stokes = np.array(list(found["exact"].values()))
    assert np.all(np.abs(stokes[1:]) > 1e-4 * stokes[0])


def exact_at(name, known, samples):
    """The eight of some samples as the file should hold them, [sample, 8]."""
    s, theta = (known.inputs[n][samples] for n in ("s", "theta"))
    own = [
        {n: v if n == "gamma" else v[samples] for n, v in part.items()} for part in known.electrons
    ]
    densities = [part.pop("n_e") for part in own]
    if name != MIXTURE:
        return synchrojax.exact.at_unit_frequency(name, s, theta, **own[0])
    rows = []
    for i, shares in enumerate(zip(*densities, strict=True)):
        mixture = Mixture(list(zip(name.split("+"), shares, strict=True)))
        given = {n: v[i : i + 1] for part in own for n, v in part.items()}
        rows += [*synchrojax.exact.at_unit_frequency(mixture, s[[i]], theta[[i]], **given)]
    return np.array(rows)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_packaged_rays_hold_the_exact_coefficients(name, x64):
    known = ray.read_ray(ray.packaged()[name])
    use = slice(None, None, SAMPLES[name] // 5)
    fresh, theta = exact_at(name, known, use), known.inputs["theta"][use]
    # the file holds ten digits of theta, and V is in proportion to its cosine
    allowed = (1e-8 + 1e-10 / np.abs(np.cos(theta)))[:, None] * np.abs(fresh)
    assert np.all(np.abs(np.array(known.coefficients)[:, use].T - fresh) <= allowed)


def test_report_for_people(capsys, tmp_path):
    """A ray of one's own, at another frequency, partly outside the box, in the other convention."""
    columns = columns_of("thermal")
    columns["rho_Q(res)"] = -columns["rho_Q(res)"]
    columns["theta_e(log)"] = columns["theta_e(log)"].copy()
    columns["theta_e(log)"][:3] = 300.0
    table_files.write_part(tmp_path / "ray.txt", columns)
    command = ["test-ray", str(tmp_path / "ray.txt"), "--model", "thermal", "--frequency", "1e11"]
    assert main([*command, "--convention", "neurosynchro"]) == 0
    text = capsys.readouterr().out
    assert "1e+11 Hz, 240 samples" in text
    assert "3 of 240 samples outside: theta_e" in text
    assert "times as fast" in text
    for line in text.splitlines():
        if line[:1] in "IQUV":
            assert float(line.split()[-1]) < 2e-3
    assert main([*command, "--json"]) == 0
    wrong = json.loads(capsys.readouterr().out)
    assert max(wrong["difference"].values()) > 1e-2  # rho_Q taken with the wrong sign


def without(name):
    def change(columns):
        columns.pop(name)

    return change


def put(name, row, value):
    def change(columns):
        columns[name] = columns[name].copy()
        columns[name][row] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("d(meta)"), "missing columns d(meta): position along the ray [cm]"),
        (without("psi(meta)"), "missing columns psi(meta): angle of B on the sky"),
        (without("time_ms(meta)"), "missing columns time_ms(meta)"),
        (without("j_V(res)"), "missing columns j_V"),
        (without("s(log)"), "missing columns s"),
        (without("theta_e(log)"), "the ray has no theta_e"),
        (without("nu(meta)"), "names no frequency"),
        (put("d(meta)", 7, -1.0), "line 9, column d: -1 is less than in the line before"),
        (put("alpha_I(res)", 3, np.nan), "line 5, column alpha_I: nan is not finite"),
        (put("g(meta)", 0, 0.0), "column g: 0 is not positive"),
        (put("n_e(meta)", 2, -5.0), "column n_e: -5 is negative"),
        (put("nu(meta)", 4, 1e9), "column nu: 1e+09 differs from the first line"),
    ],
)
def test_bad_rays_are_named(change, message, tmp_path, capsys):
    columns = columns_of("thermal")
    change(columns)
    table_files.write_part(tmp_path / "ray.txt.gz", columns)
    assert main(["test-ray", str(tmp_path / "ray.txt.gz"), "--model", "thermal"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def refusal(tmp_path, capsys, columns, *arguments):
    """The one line of ``test-ray`` for a file of ``columns``."""
    table_files.write_part(tmp_path / "ray.txt", columns)
    assert main(["test-ray", str(tmp_path / "ray.txt"), *arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def renamed(old, new):
    def change(columns):
        columns[new] = columns.pop(old)

    return change


@pytest.mark.parametrize(
    ("change", "models", "message"),
    [
        (None, ["thermal"], "populations in the ray: 2, models: 1"),
        (
            None,
            ["powerlaw", "thermal"],
            "'powerlaw': the ray has no p_1; the model does not take theta_e_1",
        ),
        (without("n_e_1(meta)"), MIXTURE, "missing columns n_e_1(meta): electron density"),
        (renamed("n_e_2(meta)", "n_e_3(meta)"), MIXTURE, "missing columns n_e_2(meta)"),
        (renamed("n_e_2(meta)", "n_e(meta)"), MIXTURE, "n_e is the density of the only"),
        (renamed("p_2(lin)", "p(lin)"), MIXTURE, "column p belongs to none of n_e_1, n_e_2"),
        (renamed("p_2(lin)", "p_3(lin)"), MIXTURE, "column p_3 belongs to none of n_e_1"),
        (without("theta_e_1(log)"), MIXTURE, "model 'thermal': the ray has no theta_e_1"),
        (put("n_e_2(meta)", 1, -3.0), MIXTURE, "line 3, column n_e_2: -3 is negative"),
    ],
)
def test_bad_rays_of_mixtures_are_named(change, models, message, tmp_path, capsys):
    columns = columns_of(MIXTURE)
    if change:
        change(columns)
    names = models.split("+") if isinstance(models, str) else models
    models = [word for name in names for word in ("--model", name)]
    assert message in refusal(tmp_path, capsys, columns, *models)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("N_7(log)"), "missing columns N_7"),
        (without("N_32(log)"), "missing columns N_32"),
        (without("gamma_1(log)"), "missing columns gamma_1"),
        (renamed("gamma_1(log)", "gamma(log)"), "column gamma: electrons on a grid stand in"),
        (put("N_3(log)", 5, -1.0), "line 7, column N_3: -1 is negative"),
        (put("N_3(log)", 5, np.inf), "line 7, column N_3: inf is not finite"),
        (put("gamma_4(log)", 5, 8.5), "line 7, column gamma_4: 8.5 differs from the first line"),
        (put("gamma_4(log)", slice(None), 1.5), "line 2, column gamma_4: 1.5 is not above gamma_3"),
        (put("gamma_1(log)", slice(None), 0.5), "line 2, column gamma_1: 0.5 is less than 1"),
    ],
)
def test_bad_rays_on_a_grid_are_named(change, message, tmp_path, capsys):
    columns = columns_of("tabulated")
    change(columns)
    assert message in refusal(tmp_path, capsys, columns, "--model", "tabulated")


def test_a_grid_has_two_nodes_or_more(tmp_path, capsys):
    columns = columns_of("tabulated")
    for k in range(2, 33):
        columns.pop(f"N_{k}(log)")
        columns.pop(f"gamma_{k}(log)")
    error = refusal(tmp_path, capsys, columns, "--model", "tabulated")
    assert "gamma is one row of 2 to 512 Lorentz factors, got shape (1,)" in error
    error = refusal(tmp_path, capsys, columns_of("tabulated"), "--model", "thermal")
    assert "the ray has no theta_e; the model does not take N, gamma" in error


def test_a_population_may_be_on_a_grid(tmp_path):
    """Beside thermal electrons, in any order of the columns."""
    columns = {n.replace("(log)", "_2(log)"): v for n, v in columns_of("tabulated").items()}
    columns["s(log)"] = columns.pop("s_2(log)")
    columns["n_e_2(meta)"] = columns.pop("n_e(meta)")
    columns["n_e_1(meta)"] = columns["theta_e_1(log)"] = np.arange(48.0) + 1.0
    table_files.write_part(tmp_path / "ray.txt", dict(reversed(columns.items())))
    found, alone = (
        ray.read_ray(path) for path in (tmp_path / "ray.txt", ray.packaged()["tabulated"])
    )
    assert {n: v.shape for n, v in found.electrons[0].items()} == {"n_e": (48,), "theta_e": (48,)}
    assert found.electrons[1].keys() == alone.electrons[0].keys()
    for name, values in alone.electrons[0].items():
        np.testing.assert_array_equal(found.electrons[1][name], values)
    assert alone.electrons[0]["N"].shape == (48, 32)
    np.testing.assert_array_equal(found.n_e, alone.n_e + np.arange(48.0) + 1.0)


@pytest.mark.usefixtures("x64")
def test_halves_are_the_whole():
    """Two populations of one kind; samples beyond the box are those of the population."""
    known, model = ray.read_ray(ray.packaged()["thermal"]), synchrojax.load("thermal")
    (own,) = known.electrons
    few = {"n_e": 0.3 * own["n_e"], "theta_e": own["theta_e"]}
    many = own | {"n_e": own["n_e"] - few["n_e"]}
    whole = ray.compare(model, known)
    parts = ray.compare([model, model], known._replace(electrons=(few, many)))
    assert np.allclose(parts.model, whole.model, rtol=1e-11, atol=0.0)
    few["theta_e"], many["theta_e"] = few["theta_e"].copy(), many["theta_e"].copy()
    few["theta_e"][:2] = 200.0, 2e-4
    outside = ray.compare([model, model], known._replace(electrons=(few, many))).outside
    assert outside == {"theta_e_1": 2, "x_1": 1, "dtype_1": 1}
    many["theta_e"][4] = -1.0
    with pytest.raises(ValueError, match=r"sample 5 of 240 is unphysical: .*theta_e_2 = -1"):
        ray.compare([model, model], known._replace(electrons=(few, many)))


@pytest.mark.usefixtures("x64")
def test_frequency_with_a_unit():
    u = pytest.importorskip("astropy.units")
    known, model = ray.read_ray(ray.packaged()["thermal"]), synchrojax.load("thermal")
    found, plain = (ray.compare(model, known, nu=nu) for nu in (230.0 * u.GHz, 230e9))
    assert abs(found.nu / 230e9 - 1) < 1e-14
    assert np.allclose(found.model, plain.model, rtol=1e-12, atol=0.0)
    for wrong, message in (
        (1.0 * u.cm, "nu is in cm and takes Hz"),
        (np.ones(2), "one number"),
        ("230GHz", "real numbers"),
    ):
        with pytest.raises(ValueError, match=message):
            ray.compare(model, known, nu=wrong)


def test_bad_calls_are_named(tmp_path, capsys):
    path = ray.packaged()["kappa"]
    for arguments, message in (
        (["nowhere"], "no such file; packaged rays: kappa, kappa_pitch"),
        ([str(path)], "needs --model"),
        (
            [str(path), "--model", "thermal"],
            "the ray has no theta_e; the model does not take kappa, w",
        ),
        ([str(path), "--model", "kappa", "--frequency", "-1"], "frequency must be positive"),
        ([str(tmp_path), "--model", "kappa"], "no .txt, .txt.gz, .parquet files"),
    ):
        assert main(["test-ray", *arguments]) == 2
        assert message in capsys.readouterr().err
    header, first = gzip.decompress(path.read_bytes()).decode().splitlines()[:2]
    (tmp_path / "one.txt").write_text(f"{header}\n{first}\n")
    assert main(["test-ray", str(tmp_path / "one.txt"), "--model", "kappa"]) == 2
    assert "two samples or more" in capsys.readouterr().err
