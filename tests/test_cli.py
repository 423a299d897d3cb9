"""The command line as a user sees it."""

import functools
import json

import numpy as np
import pytest

import synchrojax
import synchrojax.validate
from synchrojax import cli

POINT = ["--nu", "230e9", "--B", "30", "--n-e", "1e6", "--theta", "1.0", "--theta-e", "10"]


@pytest.fixture(autouse=True)
def _restore_x64():
    """The commands switch float64 on for their process; here that process goes on."""
    import jax

    before = jax.config.jax_enable_x64
    yield
    jax.config.update("jax_enable_x64", before)


def run(capsys, *arguments):
    try:
        status = cli.main(list(arguments))
    except SystemExit as stop:
        status = stop.code
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_coefficients(capsys):
    status, out, err = run(capsys, "coefficients", *POINT)
    assert (status, err) == (0, "")
    assert len([line for line in out.splitlines() if line.startswith(("j_", "alpha_", "rho_"))]) == 8
    assert "erg s^-1 cm^-3 Hz^-1 sr^-1" in out


def test_compare_and_json(capsys):
    status, out, _ = run(capsys, "coefficients", *POINT, "--compare", "--json")
    row = json.loads(out)
    assert status == 0
    assert row["flags"] == 0
    for name in synchrojax.Coefficients._fields:
        assert abs(row[name] / row["exact"][name] - 1) < 1e-3
    status, exact, _ = run(capsys, "coefficients", *POINT, "--exact", "--json")
    assert json.loads(exact)["j_I"] == row["exact"]["j_I"]
    _, table, _ = run(capsys, "coefficients", *POINT, "--compare")
    assert "difference" in table


def test_ranges(capsys):
    status, out, _ = run(capsys, "coefficients", "--nu", "1e10:1e12:5", *POINT[2:])
    lines = [line.split("\t") for line in out.splitlines()]
    assert status == 0
    assert lines[0][:5] == ["nu", "B", "n_e", "theta", "theta_e"]
    assert np.allclose([float(line[0]) for line in lines[1:]], np.geomspace(1e10, 1e12, 5))
    assert len({line[5] for line in lines[1:]}) == 5


def test_exact_needs_no_network(capsys):
    place = ["--nu", "230e9", "--B", "30", "--n-e", "1", "--theta", "1", "--json", "--exact"]
    status, out, err = run(
        capsys, "coefficients", *place, "--model", "kappa_pitch", "--kappa", "3.5", "--w", "10", "--k", "2"
    )
    assert (status, err) == (0, "")
    assert np.isclose(json.loads(out)["j_I"], 2.8676751535e-22, rtol=1e-8)


def test_out_of_domain_note(capsys):
    status, _, err = run(capsys, "coefficients", "--nu", "1", *POINT[2:])
    assert status == 0
    assert "flagged: s outside 10..1e+08" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["coefficients", "--nu", "1e9"], "missing --B, --n-e, --theta, --theta-e"),
        (["coefficients", "--nu", "fast", *POINT[2:]], "'fast' is neither a number nor low:high:count"),
        (["coefficients", "--nu=-1:10:3", *POINT[2:]], "needs both ends above zero"),
        (
            ["coefficients", *POINT, "--model", "nope"],
            "unknown model 'nope'; packaged: kappa, kappa_pitch, powerlaw, powerlaw_pitch, thermal",
        ),
        (
            ["generate", "maxwell", "--out", "x"],
            "unknown distribution 'maxwell'; available: kappa, kappa_pitch, powerlaw, powerlaw_pitch, thermal",
        ),
        (["generate", "thermal", "--n", "0", "--out", "x"], "not a positive whole number"),
        (["train", "nowhere", "--out", "m.safetensors"], "nowhere: no such table"),
        (["train", "nowhere", "--out", "m.safetensors", "--widths", "a"], "not a list of layer widths"),
        (["validate", "nope"], "unknown model 'nope'"),
        (["fly"], "invalid choice"),
        ([], "required"),
    ],
)
def test_errors_are_one_line_with_status_2(capsys, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    status, out, err = run(capsys, *arguments)
    assert status == 2
    assert out == ""
    assert message in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", ["coefficients", "models", "generate", "train", "validate"])
def test_help(capsys, verb):
    status, out, _ = run(capsys, verb, "--help")
    assert status == 0
    assert "usage: synchrojax" in out
    if verb == "coefficients":
        assert all(unit in " ".join(out.split()) for unit in ("Hz,", "G,", "cm^-3,", "rad,"))


def test_models(capsys):
    assert "thermal: takes nu, B, n_e, theta, theta_e" in run(capsys, "models")[1]
    listed = {m["name"]: m for m in map(json.loads, run(capsys, "models", "--json")[1].splitlines())}
    assert set(listed) == {"kappa", "kappa_pitch", "powerlaw", "powerlaw_pitch", "thermal"}
    assert listed["thermal"]["domain"]["theta_e"] == [0.1, 100.0]


def test_generate_and_validate(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(synchrojax.validate, "cost", functools.partial(synchrojax.validate.cost, n=20_000))
    status, out, _ = run(capsys, "generate", "thermal", "--n", "24", "--out", str(tmp_path / "t"), "--quiet")
    assert status == 0
    assert "24 rows in 1 files" in out
    status, out, _ = run(capsys, "validate", "thermal", "--n", "32", "--seed", "3", "--no-slopes", "--json")
    result = json.loads(out)
    assert status == 0
    assert set(result["value"]) == set(synchrojax.Coefficients._fields)
    assert result["value"]["rho_V"]["points"] == 32
    assert result["cost"]["weights"] > 1000
    assert 1.0 < result["cost"]["ns_per_point_float32"] < 1e5


def test_interrupt(capsys, monkeypatch, tmp_path):
    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("synchrojax.exact.hatted", stop)
    status, _, err = run(capsys, "generate", "thermal", "--n", "8", "--out", str(tmp_path / "t"), "--quiet")
    assert status == 130
    assert "resume with the same command" in err
