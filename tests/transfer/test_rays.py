"""`synchrojax test-ray`: rays from tables, end to end."""

import gzip
import json

import numpy as np
import pytest

import synchrojax
from synchrojax.cli import main
from synchrojax.tables import table_files
from synchrojax.transfer import rays as ray

NAMES = ("kappa", "kappa_pitch", "powerlaw", "powerlaw_pitch", "thermal")


def columns_of(name):
    return table_files.read_part(ray.packaged()[name])


def test_every_model_has_a_ray():
    assert tuple(ray.packaged()) == NAMES
    # of electrons on a grid a table of samples holds no N
    assert {*NAMES, "tabulated"} == set(synchrojax.models())


@pytest.mark.parametrize("name", NAMES)
def test_packaged_rays_end_as_the_exact_ones(name, capsys):
    assert main(["test-ray", name, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert max(found["difference"].values()) <= 1e-3
    assert found["outside"] == {}
    assert found["samples"] == 240
    # a ray on which the transfer matters
    assert found["depths"]["absorption"] > 1.0
    assert abs(found["depths"]["rotation"]) + found["depths"]["conversion"] > 1.0
    stokes = np.array(list(found["exact"].values()))
    assert np.all(np.abs(stokes[1:]) > 1e-4 * stokes[0])


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_packaged_rays_hold_the_exact_coefficients(name, x64):
    known = ray.read_ray(ray.packaged()[name])
    use = slice(None, None, 48)
    own = {n: v[use] for n, v in known.inputs.items()}
    fresh = synchrojax.exact.at_unit_frequency(name, own.pop("s"), theta := own.pop("theta"), **own)
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
