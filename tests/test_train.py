"""Training: learns, resumes, keeps its splits apart, and refuses bad input before touching anything."""

import numpy as np
import pytest
import safetensors.numpy

import synchrojax
import synchrojax.train._train as training
from synchrojax.model import ModelFileError, read_model, write_model
from synchrojax.tables import table_files
from synchrojax.train import Options, TrainingError, split, train

SMALL = Options(widths=(6,), adam_steps=20, iterations=6)


@pytest.fixture(scope="module")
def table(request, tmp_path_factory):
    """The first part of the committed table."""
    directory = tmp_path_factory.mktemp("table")
    first = table_files.parts(request.config.rootpath / "data" / "thermal")[0]
    (directory / first.name).write_bytes(first.read_bytes())
    return directory


def test_split_is_disjoint_and_fixed():
    parts = split(1000, Options(seed=4))
    assert sorted(np.concatenate(parts)) == list(range(1000))
    assert [len(p) for p in parts] == [800, 100, 100]
    assert all(np.array_equal(a, b) for a, b in zip(parts, split(1000, Options(seed=4)), strict=True))
    assert not np.array_equal(parts[1], split(1000, Options(seed=5))[1])


def test_rows_of_an_iteration():
    rows = training.Rows(*(np.ones((8 * training._BLOCK, k)) for k in (3, 1, 2, 2)))
    options = Options(iterations=100, rows=training._BLOCK, final_rows=5 * training._BLOCK)
    drawn = [len(training._draw(training._blocks(rows), step, options).target) for step in (1, 85, 86, 100)]
    assert drawn == [2, 2, 5, 5]  # of 1024; two outputs: twice the rows
    assert len(training._draw(training._blocks(rows), 100, options._replace(final_rows=10**6)).target) == 8


@pytest.mark.usefixtures("x64")
def test_train_resumes_where_it_was(table, tmp_path, monkeypatch):
    """Killed in the middle and started again: the same model as in one go."""
    whole = train(table, tmp_path / "whole.safetensors", options=SMALL, quiet=True)
    history = np.genfromtxt(whole.with_suffix(".loss.csv"), delimiter=",", names=True, dtype=None, encoding=None)
    emission = history[history["head"] == "emission"]
    assert emission["validation_rms"][-1] < 0.5 * emission["validation_rms"][0]
    assert whole.with_suffix(".loss.png").stat().st_size > 5000
    assert not whole.with_suffix(".checkpoints").exists()

    real, calls = training._improve, []

    def stopping(*args):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(training, "_improve", stopping)
    monkeypatch.setattr(training, "_SAVE_EVERY", 0.0)
    stopped = tmp_path / "stopped.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train(table, stopped, options=SMALL, quiet=True)
    assert not stopped.exists()
    with pytest.raises(TrainingError, match="other settings"):
        train(table, stopped, options=SMALL._replace(seed=9), quiet=True)
    monkeypatch.setattr(training, "_improve", lambda *args: calls.append(1) or real(*args))
    train(table, stopped, options=SMALL, quiet=True)
    assert len(calls) == 4 + 3 + 6 + 6  # three done before the stop are not repeated
    ours, theirs = (read_model(p)[1] for p in (stopped, whole))
    for head in ours:
        for a, b in zip(ours[head], theirs[head], strict=True):
            assert np.allclose(a[0], b[0], rtol=1e-6, atol=1e-9)

    model = synchrojax.load(whole)
    assert model.report["training"]["rows"] == 4096
    assert "test rows" in model.report["held_out"]
    with pytest.raises(TrainingError, match="exists; choose another name or pass --overwrite"):
        train(table, whole, options=SMALL, quiet=True)


@pytest.mark.usefixtures("x64")
def test_refusals(table, tmp_path):
    with pytest.raises(TrainingError, match=r"ends in \.safetensors"):
        train(table, tmp_path / "model.pkl", options=SMALL, quiet=True)
    with pytest.raises(table_files.TableError, match="no such table"):
        train(tmp_path / "absent", tmp_path / "m.safetensors", options=SMALL, quiet=True)
    with pytest.raises(ValueError, match="unknown distribution"):
        train(table, tmp_path / "m.safetensors", distribution="maxwell", options=SMALL, quiet=True)
    assert list(tmp_path.iterdir()) == []


def packaged():
    import pathlib

    return pathlib.Path(synchrojax.__file__).parent / "weights" / "thermal.safetensors"


def test_model_file_round_trip(tmp_path):
    name, weights, report = read_model(packaged())
    write_model(tmp_path / "m.safetensors", name, weights, report)
    again = synchrojax.load(tmp_path / "m.safetensors")
    assert again.report == report
    assert np.array_equal(again.weights["rho_V"][0][0], weights["rho_V"][0][0])


def test_bad_model_files(tmp_path):
    data = packaged().read_bytes()
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(data[: len(data) // 2])
    with pytest.raises(ModelFileError, match="truncated"):
        synchrojax.load(bad)
    bad.write_bytes(b"not a model")
    with pytest.raises(ModelFileError, match="not a readable safetensors"):
        synchrojax.load(bad)
    safetensors.numpy.save_file({"w": np.ones(3)}, bad)
    with pytest.raises(ModelFileError, match="not a synchrojax model"):
        synchrojax.load(bad)
    with pytest.raises(ModelFileError, match="no such model file"):
        synchrojax.load(tmp_path / "absent.safetensors")

    name, weights, report = read_model(packaged())
    cut = {**weights, "emission": weights["emission"][:-1]}
    write_model(bad, name, cut, report)
    with pytest.raises(ModelFileError, match="tensors of emission end in"):
        synchrojax.load(bad)
    kernel, bias = weights["rho_V"][0]
    write_model(bad, name, {**weights, "rho_V": ((kernel * np.nan, bias), *weights["rho_V"][1:])}, report)
    with pytest.raises(ModelFileError, match=r"rho_V\.0\.kernel is not finite float64"):
        synchrojax.load(bad)
    write_model(bad, name, {**weights, "rho_V": ((kernel[:-1], bias), *weights["rho_V"][1:])}, report)
    with pytest.raises(ModelFileError, match="do not fit 4 inputs"):
        synchrojax.load(bad)
