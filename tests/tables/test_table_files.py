"""Tables: round trip, resuming, and refusals that name file, line and column."""

import numpy as np
import pytest

from synchrojax import exact
from synchrojax.generate import draw, generate
from synchrojax.tables import table_files

INPUTS = ("s", "theta", "theta_e")


def columns(n=5):
    data = {
        "s(log)": np.arange(n) + 10.5,
        "theta(lin)": np.full(n, 0.3),
        "theta_e(log)": np.full(n, 2.0),
        "time_ms(meta)": np.ones(n),
    }
    return data | {f"{k}(res)": np.arange(n) * 1.25e-30 - 3e-31 for k in table_files.RESULTS}


@pytest.mark.parametrize("suffix", table_files.SUFFIXES)
def test_round_trip(tmp_path, suffix):
    table_files.write_part(tmp_path / f"part-0{suffix}", columns())
    table_files.write_part(tmp_path / f"part-1{suffix}", columns(3))
    rows = table_files.read_table(tmp_path, INPUTS)
    assert np.array_equal(rows["s"], [10.5, 11.5, 12.5, 13.5, 14.5, 10.5, 11.5, 12.5])
    assert np.allclose(rows["rho_Q"][:5], columns()["rho_Q(res)"], rtol=1e-9, atol=0)


def text(tmp_path, change):
    table_files.write_part(tmp_path / "part.txt", columns())
    path = tmp_path / "part.txt"
    path.write_text(change(path.read_text()))
    return tmp_path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda t: t.replace("11.5", "eleven"),
            r"part.txt, line 3, column s\(log\): 'eleven' is not a number",
        ),
        (lambda t: t.replace("11.5", "nan"), r"part.txt, line 3, column s: nan \(1 such rows\)"),
        (lambda t: t.replace("j_V(res)", "jay(res)"), "missing columns j_V; found"),
        (lambda t: t.replace("j_V(res)", "j_V"), r"column 'j_V' is not of the form"),
        (lambda t: t[:-30], "line 6: .* columns where the header has 12"),
        (lambda t: "", "empty file"),
    ],
)
def test_refusals(tmp_path, change, message):
    with pytest.raises(table_files.TableError, match=message):
        table_files.read_table(text(tmp_path, change), INPUTS)


def test_truncated_and_absent(tmp_path):
    table_files.write_part(tmp_path / "part.txt.gz", columns(200))
    path = tmp_path / "part.txt.gz"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(table_files.TableError, match="truncated"):
        table_files.read_table(tmp_path, INPUTS)
    (tmp_path / "part.txt.gz").rename(tmp_path / "part.parquet")
    with pytest.raises(table_files.TableError, match="not a readable parquet"):
        table_files.read_table(tmp_path, INPUTS)
    with pytest.raises(table_files.TableError, match="no such table"):
        table_files.read_table(tmp_path / "absent", INPUTS)


def test_sample_fills_the_box():
    points = draw("thermal", 4096, seed=3, margin=1.0)
    s, theta, theta_e = (points[k] for k in INPUTS)
    perp, x = s * np.sin(theta), s / theta_e**2 / np.sin(theta)
    assert perp.min() > 1.99
    assert s.min() > 2.99
    assert s.max() < 1e17
    assert theta_e.min() > 0.999e-3
    assert theta_e.max() < 100.1
    emission = (theta_e > 0.1) & (x < 1e7)
    assert emission.mean() > 0.5
    assert np.mean(x[emission] > 1e5) > 0.1
    for values, low, high in (
        (np.log10(theta_e[emission]), -1, 2),
        (theta[emission], 0, np.pi / 2),
    ):
        counts = np.histogram(values, bins=6, range=(low, high))[0]
        assert counts.min() > 0.04 * emission.sum()
    assert not np.array_equal(draw("thermal", 16, seed=4, margin=1.0)["s"], s[:16])
    assert np.array_equal(draw("thermal", 16, seed=3, margin=1.0)["s"], s[:16])


@pytest.mark.usefixtures("x64")
def test_generate_resumes(tmp_path, monkeypatch):
    """A run stopped in its second part keeps the first and ends with the same table."""
    import synchrojax.generate._tables as module

    monkeypatch.setattr(module, "PART_ROWS", 8)
    calls, real = [], exact.at_unit_frequency

    def stopping(*args, **kwargs):
        calls.append(len(kwargs["s"]))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(exact, "at_unit_frequency", stopping)
    with pytest.raises(KeyboardInterrupt):
        generate("thermal", 20, tmp_path / "t", seed=5, quiet=True)
    assert len(table_files.parts(tmp_path / "t")) == 1
    generate("thermal", 20, tmp_path / "t", seed=5, quiet=True)
    assert calls == [8, 8, 8, 4]
    rows = table_files.read_table(tmp_path / "t", INPUTS)
    points = draw("thermal", 20, seed=5, margin=1.2, to_learn=True)
    truth = real("thermal", **points)
    assert np.array_equal(rows["s"], points["s"])
    assert np.allclose(rows["rho_V"], truth[:, 7], rtol=1e-9, atol=0)
    assert np.allclose(rows["j_I"], truth[:, 0], rtol=1e-9, atol=1e-300)
    with pytest.raises(table_files.TableError, match="made with other settings"):
        generate("thermal", 21, tmp_path / "t", seed=5, quiet=True)
