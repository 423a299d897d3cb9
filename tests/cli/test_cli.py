"""The command line as a user sees it."""

import functools
import io
import json
import os
import pathlib
import resource
import shlex
import subprocess
import sys
import time
from types import SimpleNamespace

import jax
import numpy as np
import pytest

import synchrojax
import synchrojax.validate
from synchrojax.cli import _arguments
from synchrojax.cli import _main as cli
from synchrojax.core import _progress, progress

POINT = ["--nu", "230e9", "--B", "30", "--n-e", "1e6", "--theta", "1.0", "--theta-e", "10"]


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
    assert (
        len([line for line in out.splitlines() if line.startswith(("j_", "alpha_", "rho_"))]) == 8
    )
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
        capsys,
        "coefficients",
        *place,
        "--model",
        "kappa_pitch",
        "--kappa",
        "3.5",
        "--w",
        "10",
        "--k",
        "2",
    )
    assert (status, err) == (0, "")
    assert np.isclose(json.loads(out)["j_I"], 2.8676751535e-22, rtol=1e-8)


def test_an_angle_that_looks_like_degrees(capsys):
    words = ["coefficients", *POINT]
    words[words.index("--theta") + 1] = "60"
    status, _, err = run(capsys, *words)
    assert status == 0
    assert "theta outside 0..3.14159 rad (60 looks like degrees: write 60deg)\n" in err
    words[words.index("60")] = "4"
    assert run(capsys, *words)[2].endswith("flagged: theta outside 0..3.14159 rad\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["validate", "thermal", "--out", "file"], "--out file: file is a file, where a directory"),
        (["validate", "thermal", "--out", "file/x"], "file is a file, where a directory is needed"),
        (["validate", "thermal", "--html", "."], "--html .: is a directory; give the name of a f"),
        (["train", "nowhere", "cl", "--pictures", "file"], "--pictures file: file is a file, wher"),
        (
            ["init", "file", "--convention", "synchrojax"],
            "file: is a file, and a configuration stands in a directory",
        ),
        (
            ["generate", "thermal", "--n", "5", "--out", "file/x", "--quiet"],
            "file: is a file, and a table is a directory; choose another --out",
        ),
    ],
)
def test_places_are_looked_at_first(capsys, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    status, out, err = run(capsys, *words)
    assert (status, out) == (2, "")
    assert message in err
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_out_of_domain_note(capsys):
    status, _, err = run(capsys, "coefficients", "--nu", "1", *POINT[2:])
    assert status == 0
    assert "flagged: s outside 3..1e+17" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["coefficients", "--nu", "1e9"], "missing --B, --n-e, --theta, --theta-e"),
        (
            ["coefficients", "--nu", "fast", *POINT[2:]],
            "'fast' is neither a number nor low:high:count",
        ),
        (["coefficients", "--nu=-1:10:3", *POINT[2:]], "needs both ends above zero"),
        (
            ["coefficients", *POINT, "--model", "nope"],
            "unknown model 'nope'; packaged: kappa, kappa_pitch, powerlaw, powerlaw_pitch, "
            "tabulated, thermal",
        ),
        (
            ["generate", "maxwell", "--out", "x"],
            "unknown distribution 'maxwell'; available: kappa, kappa_pitch, powerlaw, "
            "powerlaw_pitch, tabulated, thermal",
        ),
        (["generate", "thermal", "--n", "0", "--out", "x"], "not a positive whole number"),
        (["train", "nowhere", "--out", "m.safetensors"], "nowhere: no such table"),
        (
            ["train", "nowhere", "--out", "m.safetensors", "--widths", "a"],
            "not a list of layer widths",
        ),
        (["validate", "nope"], "unknown model 'nope'"),
        (["fly"], "invalid choice of a verb: 'fly'; verbs: coefficients, models, generate"),
        (["coeficients"], "invalid choice of a verb: 'coeficients'; did you mean coefficients?"),
        (["--json"], "unknown option --json; see synchrojax -h"),
        (["--", "x"], "invalid choice of a verb: 'x'"),
        (["coefficients", "--ne", "1e6"], "unknown option --ne; did you mean --n-e?"),
        (["coefficients", "--theta_e=10"], "unknown option --theta_e; did you mean --theta-e?"),
        (["coefficients", "--NU", "1e9"], "unknown option --NU; did you mean --nu?"),
        (["coefficients", "--gamm", "3"], "unknown option --gamm; did you mean --gamma"),
        (
            ["coefficients", "--out-of", "nan"],
            "unknown option --out-of; did you mean --out-of-domain?",
        ),
        (["coefficients", "-nu", "1e9"], "unknown option -nu; did you mean --nu?"),
        (["validate", "thermal", "--slopes"], "unknown option --slopes; did you mean --no-slopes?"),
        (["generate", "thermal", "--qzx"], "unknown option --qzx; see synchrojax generate -h"),
        (
            ["coefficients", "--nu", "1e9,1e10", *POINT[2:]],
            "--nu: '1e9,1e10' is neither a number nor low:high:count",
        ),
        (
            ["coefficients", "--nu", "1e9:1e12", *POINT[2:]],
            "a range is low:high:count, such as 1e9:1e12:50",
        ),
        (
            ["coefficients", "--B", "30 GHz"],
            "--B: '30 GHz': GHz measures a frequency; B is a magnetic field [G]",
        ),
        (
            ["coefficients", "--param", "nu=3G"],
            "--param: '3G': G measures a magnetic field; nu is a frequency [Hz]",
        ),
        (
            ["test-ray", "thermal", "--frequency", "230ghz"],
            "'ghz' is not known as a unit (did you mean GHz?)",
        ),
        (
            ["generate", "--command", "x", "--input", "theta=lin:1G:2G", "--out", "x"],
            "G measures a magnetic field",
        ),
        (["generate", "--command", "x", "--timeout", "3Hz", "--out", "x"], "timeout is a time [s]"),
        (
            ["coefficients", *POINT, "--plot", "x.png"],
            "but nothing varies: give a range to one input",
        ),
        (
            ["coefficients", "--nu", "1e9:1e10:2", "--B", "1:2:3", *POINT[4:], "--plot", "x.png"],
            "but nu and B vary: give a range to one input",
        ),
        (
            ["coefficients", "--nu", "1e9:1e10:2", *POINT[2:], "--plot", "x.abc"],
            "x.abc: a picture ends in one of",
        ),
        (
            ["coefficients", *POINT, "--out", "x.txt"],
            "--out x.txt: a table of coefficients ends in .csv",
        ),
        (["coefficients", *POINT, "--out", "no/x.csv"], "no/x.csv: there is no directory no"),
        (
            ["generate", "thermal", "--seed", "-1", "--out", "x"],
            "--seed: '-1' is not a whole number from 0 up",
        ),
        (["validate", "thermal", "--seed", "-1"], "--seed: '-1' is not a whole number from 0 up"),
        (["train", "x", "--seed", "1.5"], "--seed: '1.5' is not a whole number from 0 up"),
        (["generate", "thermal", "--margin", "nan", "--out", "x"], "from 1 to 100, got nan"),
        (
            ["generate", "--command", "x {s} {theta}", "--timeout", "-1", "--out", "x"],
            "timeout [s] must be finite and above zero, got -1",
        ),
        (["import-neurosynchro", "nope"], "there is no such file: give the directory that neuro"),
        (
            ["coefficients", *POINT, "--exact", "--out-of-domain", "nan"],
            "--out-of-domain nan is for networks: --exact has no trained box",
        ),
        (
            ["coefficients", *POINT, "--param", "theta_e=3"],
            "--theta-e and --param theta_e=X both give theta_e: leave one out",
        ),
        (
            ["coefficients", *POINT, "--param", "q=3", "--param", "q=4"],
            "--param gives q twice: leave one out",
        ),
        (
            ["init", "x", "--convention", "synchrojax", "--input", "p=lin", "--input", "p=log"],
            "--input gives p twice: leave one out",
        ),
        (
            ["init", "x", "--convention", "synchrojax", "--input", "B=log"],
            "name 'B' is an input of every model: give the column another name",
        ),
        (
            [*("generate", "--command", "x", "--out", "x"), *("--input", "s=log:1:2") * 2],
            "--input gives s twice: leave one out",
        ),
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


def test_electrons_from_a_file(capsys, tmp_path, monkeypatch):
    """With and without a line of names, from standard input, and what cannot be read."""
    monkeypatch.chdir(tmp_path)
    point = ("coefficients", "--model", "tabulated", "--nu", "1e11", "--B", "30", "--theta", "1")
    rows = "1,1\n10,0.01\n100,1e-5\n"
    pathlib.Path("plain.csv").write_text(rows)
    pathlib.Path("named.csv").write_text("gamma,N\n" + rows)
    np.savez("e.npz", gamma=[1.0, 2.0], N=[1.0, 1.0])
    status, wanted, _ = run(capsys, *point, "--electrons", "plain.csv")
    assert status == 0
    assert run(capsys, *point, "--electrons", "named.csv")[1] == wanted
    monkeypatch.setattr("sys.stdin", io.StringIO(rows))
    assert run(capsys, *point, "--electrons", "-")[1] == wanted
    for file, message in (
        ("e.npz", "e.npz: cannot be read as text; expected text with two columns of numbers"),
        (".", ".: is a directory; expected text"),
        ("none.csv", "none.csv: no such file"),
    ):
        status, out, err = run(capsys, *point, "--electrons", file)
        assert (status, out) == (2, "")
        assert message in err
    status, _, err = run(capsys, *point, "--electrons", "plain.csv", "--compare")
    assert status == 2
    assert "missing --n-e (--exact and --compare normalise N to it)" in err


def test_values_of_no_electron_gas(capsys):
    status, out, err = run(capsys, "coefficients", "--nu", "-1", *POINT[2:])
    assert (status, out) == (2, "")
    assert "no electron gas has such values: nu = -1" in err
    assert err.count("\n") == 1


def parsed(text):
    """The options of a command line as it stands in a shell."""
    name, *words = shlex.split(text)
    assert name == "synchrojax"
    return cli._options(words)


VERBS = (
    *(
        "coefficients",
        "models",
        "generate",
        "import-neurosynchro",
        "init",
        "summarize",
        "transform",
        "lock",
    ),
    *("train", "validate", "test-ray"),
)


@pytest.mark.parametrize("verb", VERBS)
def test_help_ends_with_an_example(capsys, verb):
    status, out, _ = run(capsys, verb, "--help")
    assert status == 0
    assert "usage: synchrojax" in out
    if verb == "coefficients":
        assert all(unit in " ".join(out.split()) for unit in ("Hz,", "G,", "cm^-3,", "rad,"))
    examples = [line.strip() for line in out.partition("\nexample:\n")[2].splitlines()]
    assert 1 <= len(examples) <= 2
    for example in examples:
        assert parsed(example).verb == verb


def test_alone_and_version(capsys):
    status, out, err = run(capsys)
    assert (status, err) == (0, "")
    assert out.startswith("usage: synchrojax")
    assert all(f"    {verb} " in out or f"    {verb}\n" in out for verb in VERBS)
    assert run(capsys, "--version") == (0, f"synchrojax {synchrojax.__version__}\n", "")
    assert run(capsys, "--help")[:2] == (0, out)


def test_units():
    given = parsed(
        "synchrojax coefficients --nu 230GHz --B '3 mT' --n-e '1e12 m^-3' --theta -60deg "
        "--theta-e 10"
    )
    assert np.allclose(
        [given.nu, given.B, given.n_e, given.theta, given.theta_e],
        [230e9, 30.0, 1e6, -np.pi / 3, 10.0],
        rtol=1e-15,
    )
    assert parsed("synchrojax coefficients --nu 1GHz:1THz:50 --param theta=60arcmin").nu == (
        1e9,
        1e12,
        50,
    )
    assert parsed("synchrojax coefficients --param B=1T --param q=2").param == [
        ("B", 1e4),
        ("q", 2.0),
    ]
    assert parsed("synchrojax test-ray thermal --frequency '230 GHz'").frequency == 230e9
    made = parsed(
        "synchrojax generate --command '-x {s}' --input theta=lin:0:90deg --timeout 2min --out x"
    )
    assert made.input == [("theta", ("lin", 0.0, np.pi / 2.0))]
    assert (made.timeout, made.command) == (120.0, "-x {s}")


def test_no_option_is_abbreviated():
    """``--out`` once was short for ``--out-of-domain``: a new option would change what a script
    says.
    """
    with pytest.raises(SystemExit):
        parsed("synchrojax coefficients --out-of-dom nan")
    assert _arguments.nearest("--theta-", ["--theta", "--theta-e"]) == "--theta"
    assert _arguments.nearest("--colour", ["--theta", "--theta-e"]) is None


SPECTRUM = "--nu 1GHz:1THz:5 --B 3mT --n-e 1e12m^-3 --theta 60deg --theta-e 10"


def test_csv_is_utf_8_and_whole(tmp_path, capsys, monkeypatch):
    words = SPECTRUM.split()
    path = tmp_path / "spectrum.csv"

    def stop(*_):
        raise OSError(28, "No space left on device")

    with jax.enable_x64(True):
        assert cli.main(["coefficients", *words, "--out", str(path)]) == 0
        assert capsys.readouterr() == ("", f"{path}: 5 points\n")
        before = path.read_bytes()
        monkeypatch.setattr("os.replace", stop)
        assert cli.main(["coefficients", *words, "--out", str(path)]) == 2
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["spectrum.csv"]
    header, *rows = before.decode().splitlines()
    assert header.startswith(
        "nu [Hz],B [G],n_e [cm^-3],theta [rad],theta_e [k T / (m_e c^2)],j_I [erg s^-1 cm^-3 Hz^-1"
    )
    assert header.endswith("rho_V [cm^-1],flags")
    table = np.array([[float(v) for v in row.split(",")] for row in rows])
    assert np.allclose(table[:, 0], np.geomspace(1e9, 1e12, 5), rtol=1e-15)
    assert np.allclose(table[:, 1:5], [30.0, 1e6, np.pi / 3.0, 10.0], rtol=1e-15)
    with jax.enable_x64(True):
        params = dict(zip(("nu", "B", "n_e", "theta", "theta_e"), table.T[:5], strict=True))
        wanted = np.stack(synchrojax.load("thermal").coefficients(params))
    assert np.allclose(table[:, 5:13], wanted.T, rtol=1e-12, atol=0.0)


def test_plot(capsys, tmp_path, monkeypatch):
    """One curve for each sign of each coefficient: rho_Q of thermal electrons changes it."""
    import synchrojax.validate.report

    drawn = []
    real = synchrojax.validate.report.curves
    monkeypatch.setattr(
        synchrojax.validate.report,
        "curves",
        lambda *a, **k: drawn.append(real(*a, **k)) or drawn[-1],
    )
    words = SPECTRUM.split()
    status, out, err = run(capsys, "coefficients", *words, "--plot", str(tmp_path / "spectrum.png"))
    assert status == 0
    assert out.count("\n") == 6
    assert err == f"{tmp_path / 'spectrum.png'}: coefficients against nu\n"
    assert (tmp_path / "spectrum.png").read_bytes().startswith(b"\x89PNG")
    panels = drawn[0].axes
    assert [p.get_ylabel() for p in panels] == [
        "|j| [erg s^-1 cm^-3 Hz^-1 sr^-1]",
        "|alpha| [cm^-1]",
        "|rho| [cm^-1]",
    ]
    assert {p.get_xscale() for p in panels} == {p.get_yscale() for p in panels} == {"log"}
    table = np.array([[float(v) for v in line.split("\t")] for line in out.splitlines()[1:]])
    rho_q = {
        line.get_linestyle(): line.get_ydata()
        for line in panels[2].lines
        if line.get_color() == "C1"
    }
    for style, sign in (("-", 1.0), ("--", -1.0)):
        y = rho_q[style]
        assert np.allclose(
            y[np.isfinite(y)], sign * table[:, 11][sign * table[:, 11] > 0.0], rtol=1e-9
        )
        assert 0 < np.isfinite(y).sum() < 5


def test_a_reader_that_goes_away(monkeypatch):
    """As ``| head -1``: no word, and what a shell reports of a program that the signal ended."""
    for words in (["models", "--json"], ["--help"], ["models"]):
        reading, writing = os.pipe()
        os.close(reading)
        with os.fdopen(writing, "w", encoding="utf-8") as stream, monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", stream)
            assert cli.main(words) == 141


def test_a_reader_that_goes_away_from_a_process():
    command = [sys.executable, "-m", "synchrojax", "models", "--json"]
    own = {**os.environ, "PYTHONPATH": str(pathlib.Path(synchrojax.__file__).parents[1])}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=own
    ) as started:
        assert json.loads(started.stdout.readline())["name"] == "kappa"
        started.stdout.close()
        assert started.stderr.read() == b""
        assert started.wait() == 141


def test_progress_in_a_log(capsys, monkeypatch):
    """A line every so often, before the first step is done, too."""
    monkeypatch.setattr(_progress, "_LOG_EVERY", 0.05)
    with progress("work", 2, "steps") as advance:
        time.sleep(0.3)
        advance(1)
        time.sleep(0.3)
        advance(1, "well done")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "work: 0/2 steps, 0:00:00 so far, the first take longest"
    assert any(line.startswith("work: 1/2 steps, ") and "eta 0:00:0" in line for line in lines)
    assert lines[-1].startswith("work: 2/2 steps, ")
    assert lines[-1].endswith("well done")
    with progress("work", 2, "steps", quiet=True) as advance:
        time.sleep(0.1)
        advance(2)
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_fifty_points_are_validated_in_half_a_minute():
    """In a new process with nothing compiled before: so much time of two cores. It was 100 s."""
    own = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "synchrojax", "validate", "thermal", "--n", "50", "--no-slopes"],
        env={**own, "PYTHONPATH": str(pathlib.Path(synchrojax.__file__).parents[1])},
        capture_output=True,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 60.0


def test_models(capsys):
    assert "thermal: takes nu, B, n_e, theta, theta_e" in run(capsys, "models")[1]
    listed = {
        m["name"]: m for m in map(json.loads, run(capsys, "models", "--json")[1].splitlines())
    }
    assert set(listed) == set(synchrojax.models())
    assert listed["thermal"]["domain"]["theta_e"] == [0.1, 100.0]


def test_generate_and_validate(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(
        synchrojax.validate, "cost", functools.partial(synchrojax.validate.cost, n=20_000)
    )
    status, out, _ = run(
        capsys, "generate", "thermal", "--n", "2.4e1", "--out", str(tmp_path / "t"), "--quiet"
    )
    assert status == 0
    assert "24 rows in 1 files" in out
    status, out, err = run(
        capsys, "validate", "thermal", "--n", "32", "--seed", "3", "--no-slopes", "--json"
    )
    result = json.loads(out)
    assert status == 0
    assert err.startswith("validate: 32 exact integrals for 32 points, roughly ")
    assert "validate: 32/32 integrals, " in err.splitlines()[-1]
    assert set(result["value"]) == set(synchrojax.Coefficients._fields)
    assert result["value"]["rho_V"]["points"] == 32
    assert result["cost"]["weights"] > 1000
    assert 1.0 < result["cost"]["ns_per_point_float32"] < 1e5


def test_interrupt(capsys, monkeypatch, tmp_path):
    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("synchrojax.exact.at_unit_frequency", stop)
    status, _, err = run(
        capsys, "generate", "thermal", "--n", "8", "--out", str(tmp_path / "t"), "--quiet"
    )
    assert status == 130
    assert "resume with the same command" in err


def test_a_model_whose_f_is_in_no_file(capsys, monkeypatch):
    """It is said before anything is promised, and with what a command line can do."""
    box = {"name": "tilted", "box": {"a": [0.0, 1.0]}, "s": [10.0, 1e8], "highest_x": 1e6}
    family = synchrojax.Family.read(json.dumps({**box, "maps": []}))
    monkeypatch.setattr(synchrojax, "load", lambda name: SimpleNamespace(family=family))
    status, out, err = run(capsys, "validate", "mine.safetensors")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "mine.safetensors: a model file does not hold the f of a distribution of your own" in err
    assert "--table" in err
