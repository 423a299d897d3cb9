"""Training: learns, resumes, keeps its splits apart, and refuses bad input before touching
anything.
"""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors
from own_networks import Skipping

import synchrojax
from synchrojax.families import DESCRIBED, FAMILIES, Rows
from synchrojax.model import packaged, read_model, require_readable, write_model
from synchrojax.networks import initial
from synchrojax.tables import table_files
from synchrojax.train import (
    LevenbergMarquardt,
    Options,
    TableOptions,
    TrainingError,
    _loop,
    blocks_of,
    split,
    train,
    train_table,
)
from synchrojax.train._distribution import draw_blocks
from synchrojax.train._optimisers import BLOCK
from synchrojax.train._options import checked_options

POINT = {"nu": 230e9, "B": 30.0, "n_e": 1e6, "theta": 1.0, "theta_e": 10.0}
THERMAL = FAMILIES["thermal"]
SMALL = Options(widths=(6,), adam_steps=20, iterations=6)


class Unnamed(Skipping):
    """No model file could say what it is."""


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
    assert all(
        np.array_equal(a, b) for a, b in zip(parts, split(1000, Options(seed=4)), strict=True)
    )
    assert not np.array_equal(parts[1], split(1000, Options(seed=5))[1])


def test_rows_of_an_iteration():
    rows = Rows(np.arange(8 * BLOCK), *(np.ones((8 * BLOCK, k)) for k in (3, 1, 2, 2)))
    options = Options(iterations=100, rows=BLOCK, final_rows=5 * BLOCK)
    drawn = [len(draw_blocks(blocks_of(rows), step, options).target) for step in (1, 85, 86, 100)]
    assert drawn == [2, 2, 5, 5]  # of 1024; two outputs: twice the rows
    assert len(draw_blocks(blocks_of(rows), 100, options._replace(final_rows=10**6)).target) == 8


@pytest.mark.usefixtures("x64")
def test_train_resumes_where_it_was(table, tmp_path, monkeypatch):
    """Killed in the middle and started again: the same model as in one go."""
    straight = train(table, tmp_path / "straight.safetensors", options=SMALL, quiet=True)
    history = np.genfromtxt(
        straight.with_suffix(".loss.csv"), delimiter=",", names=True, dtype=None, encoding=None
    )
    emission = history[history["head"] == "emission"]
    assert emission["validation_rms"][-1] < 0.5 * emission["validation_rms"][0]
    assert straight.with_suffix(".loss.png").stat().st_size > 5000
    assert not straight.with_suffix(".checkpoints").exists()

    real, calls = LevenbergMarquardt.update, []

    def stopping(*args):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(LevenbergMarquardt, "update", stopping)
    monkeypatch.setattr(_loop, "SAVE_EVERY", 0.0)
    stopped = tmp_path / "stopped.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train(table, stopped, options=SMALL, quiet=True)
    assert not stopped.exists()
    with pytest.raises(TrainingError, match="other settings"):
        train(table, stopped, options=SMALL._replace(seed=9), quiet=True)
    monkeypatch.setattr(LevenbergMarquardt, "update", lambda *args: calls.append(1) or real(*args))
    train(table, stopped, options=SMALL, quiet=True)
    assert len(calls) == 4 + 3 + 6 + 6  # three done before the stop are not repeated
    ours, theirs = (read_model(p)[1] for p in (stopped, straight))
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert np.allclose(a, b, rtol=1e-6, atol=1e-9)

    model = synchrojax.load(straight)
    assert model.report["training"]["rows"] == 4096
    assert "test rows" in model.report["held_out"]
    with pytest.raises(TrainingError, match="exists; choose another name or pass --overwrite"):
        train(table, straight, options=SMALL, quiet=True)


@pytest.mark.usefixtures("x64")
def test_refusals(table, tmp_path):
    with pytest.raises(TrainingError, match=r"ends in \.safetensors"):
        train(table, tmp_path / "model.pkl", options=SMALL, quiet=True)
    with pytest.raises(table_files.TableError, match="no such table"):
        train(tmp_path / "absent", tmp_path / "m.safetensors", options=SMALL, quiet=True)
    with pytest.raises(ValueError, match="unknown distribution"):
        train(table, tmp_path / "m.safetensors", distribution="maxwell", options=SMALL, quiet=True)
    assert list(tmp_path.iterdir()) == []
    for name in ("m.safetensors", "directory"):
        (tmp_path / name).mkdir()
        with pytest.raises(TrainingError, match="is a directory: give the name of a file"):
            train(table, tmp_path / name, options=SMALL, overwrite=True, quiet=True)


@pytest.mark.usefixtures("x64")
def test_a_table_outside_of_the_box_leaves_nothing_behind(table, tmp_path, monkeypatch):
    columns = table_files.read_table(table, ("s", "theta", "theta_e"))
    cold = {**columns, "theta_e": np.full(len(columns["s"]), 1e-2)}
    monkeypatch.setattr(table_files, "read_table", lambda *_: cold)
    with pytest.raises(table_files.TableError, match="no rows for emission inside the box"):
        train(table, tmp_path / "m.safetensors", options=SMALL, quiet=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("x64")
def test_rows_that_are_not_finite_are_named(table, tmp_path, monkeypatch):
    columns = table_files.read_table(table, ("s", "theta", "theta_e"))
    row = int(np.flatnonzero((columns["theta_e"] > 3.0) & (columns["s"] < 1e3))[-1])
    broken = {k: v.copy() for k, v in columns.items()}
    broken["j_Q"][row] = np.nan
    monkeypatch.setattr(table_files, "read_table", lambda *_: broken)
    with pytest.raises(table_files.TableError, match=f"1 rows have no finite .* as row {row},"):
        train(table, tmp_path / "m.safetensors", options=SMALL, quiet=True)
    assert list(tmp_path.iterdir()) == []


WHOLE = "a whole number from {} up, not {}"
BAD_OPTIONS = [
    (
        {"widths": (0,)},
        ValueError,
        r"whole numbers from 1 up such as \(32, 32\), or None, not \(0,",
    ),
    ({"widths": (-3,)}, ValueError, r"not \(-3,\)"),
    ({"widths": ()}, ValueError, r"not \(\)"),
    ({"widths": (3.5,)}, ValueError, r"not \(3.5,\)"),
    ({"widths": "32"}, TypeError, "not '32'"),
    ({"widths": 32}, TypeError, "not 32"),
    ({"seed": -1}, ValueError, "a whole number from 0 to 4611686018427387904, not -1"),
    ({"adam_steps": 0}, ValueError, WHOLE.format(1, 0)),
    ({"adam_batch": 0}, ValueError, WHOLE.format(1, 0)),
    ({"adam_rate": np.nan}, ValueError, "a positive number, not infinite, not nan"),
    ({"iterations": -1}, ValueError, WHOLE.format(0, -1)),
    ({"rows": -5}, ValueError, WHOLE.format(1, -5)),
    ({"final_rows": 0}, ValueError, WHOLE.format(1, 0)),
    ({"patience": np.nan}, ValueError, WHOLE.format(1, np.nan)),
    ({"patience": "long"}, TypeError, WHOLE.format(1, "'long'")),
    ({"validation": 0}, ValueError, "a positive number below 1, not 0"),
    ({"validation": 2}, ValueError, "a positive number below 1, not 2"),
    ({"test": -0.1}, ValueError, "a positive number below 1, not -0.1"),
]


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("given", "kind", "message"), BAD_OPTIONS)
def test_options_that_are_not_allowed(tmp_path, given, kind, message):
    (name,) = given
    with pytest.raises(kind, match=rf"^options\.{name} is .*{message}"):
        train("absent", tmp_path / "m.safetensors", options=Options(**given), quiet=True)
    if name in TableOptions._fields:
        with pytest.raises(kind, match=rf"^options\.{name} is .*{message}"):
            train_table("absent", "absent", options=TableOptions(**given), quiet=True)
    assert list(tmp_path.iterdir()) == []


def test_options_are_plain_numbers():
    """NumPy's are taken, and files hold those of Python."""
    given = Options(widths=[np.int64(6)], seed=np.int32(3), adam_rate=np.float32(0.5))
    assert checked_options(given, Options) == Options(widths=(6,), seed=3, adam_rate=0.5)
    assert json.dumps(checked_options(given, Options))


@pytest.mark.usefixtures("x64")
def test_arguments_of_a_wrong_kind(table, tmp_path):
    out = tmp_path / "m.safetensors"
    for options in ({}, None, TableOptions()):
        with pytest.raises(TypeError, match=r"options is a synchrojax\.train\.Options"):
            train(table, out, options=options, quiet=True)
    for distribution in (5, None, synchrojax.distributions.Thermal()):
        with pytest.raises(
            TypeError, match=r"distribution is a name .*Family\(name, f, box\), not"
        ):
            train(table, out, distribution=distribution, options=SMALL, quiet=True)
    for network in ("perceptron", 3, dict):
        with pytest.raises(TypeError, match=r"network is a class below flax\.nnx\.Module.*, not"):
            train(table, out, network=network, options=SMALL, quiet=True)
    with pytest.raises(ValueError, match="Unnamed is not registered"):
        train(table, out, network=Unnamed, options=SMALL, quiet=True)
    shares = SMALL._replace(validation=0.5, test=0.5)
    with pytest.raises(ValueError, match="which leaves none to train on"):
        train(table, out, options=shares, quiet=True)
    with pytest.raises(table_files.TableError, match=r"options\.test = 1e-05 is less than one"):
        train(table, out, options=SMALL._replace(test=1e-5), quiet=True)
    assert list(tmp_path.iterdir()) == []


class Mine(type(THERMAL)):
    """A family of the user's own, without settings."""

    name = "mine"


class Measured(Mine):
    """One with a setting."""

    def __init__(self, scale):
        self.scale = scale

    def described(self):
        return {"measured": json.dumps({"name": self.name, "scale": self.scale})}


@pytest.mark.usefixtures("x64")
def test_a_family_of_your_own_comes_back(table, tmp_path, monkeypatch):
    """Or training says that it would not: "Implementing a family"."""
    mine, measured, out = Mine(), Measured(2.0), tmp_path / "m.safetensors"
    impostor = Mine()
    impostor.name = "thermal"
    for family, message in (
        (mine, "of Mine 'mine' could not be read back: .*FAMILIES does not hold it"),
        (measured, r"of Measured 'mine' could not .*\.DESCRIBED has no entry 'measured'"),
        (impostor, "of Mine 'thermal' could not .* put it there; taken are thermal, powerlaw"),
    ):
        with pytest.raises(ValueError, match=message):
            train(table, out, distribution=family, options=SMALL, quiet=True)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setitem(FAMILIES, "mine", mine)
    monkeypatch.setitem(
        DESCRIBED, "measured", (lambda text: Measured(json.loads(text)["scale"]), ("name", "scale"))
    )
    networks = read_model(packaged("thermal"))[1]
    for family in (mine, measured):
        require_readable(family)
        write_model(out, family, networks, {})
        assert vars(synchrojax.load(out).family) == vars(family)
    monkeypatch.setitem(DESCRIBED, "measured", (lambda text: Measured(1.0), ("name",)))
    with pytest.raises(ValueError, match=r"returns one with the description .*1\.0.* instead of"):
        require_readable(measured)


def test_a_packaged_family_has_one_distribution():
    assert THERMAL.replaced(distribution=THERMAL.distribution) is THERMAL
    with pytest.raises(ValueError, match="'thermal' stands for one distribution, Thermal"):
        THERMAL.replaced(distribution=synchrojax.distributions.Kappa())


@pytest.mark.usefixtures("x64")
def test_another_network(table, tmp_path):
    """Trained by the same loop, kept in the same file, evaluated by the same call."""
    out = train(
        table, tmp_path / "skipping.safetensors", options=SMALL, network=Skipping, quiet=True
    )
    networks = read_model(out)[1]
    assert all(isinstance(network, Skipping) for network in networks.values())
    assert np.array_equal(networks["rho_V"].shift[...], np.full(4, 0.25))
    with safetensors.safe_open(out, framework="numpy") as file:
        assert {"rho_V.deep.layers.0.kernel", "rho_V.straight.layers.0.bias", "rho_V.shift"} <= set(
            file.keys()
        )
        first = file.get_tensor("rho_V.straight.layers.0.kernel")
    fresh = initial(Skipping, inputs=4, outputs=3, widths=(8,), seed=SMALL.seed)
    assert not np.array_equal(first, fresh.straight.layers[0].kernel[...])
    model = synchrojax.load(out)
    slope = jax.grad(lambda t: jnp.log(model.coefficients({**POINT, "theta_e": t}).j_I))(10.0)
    assert np.isfinite(slope)
    history = np.genfromtxt(
        out.with_suffix(".loss.csv"), delimiter=",", names=True, dtype=None, encoding=None
    )
    emission = history[history["head"] == "emission"]
    assert emission["validation_rms"][-1] < 0.5 * emission["validation_rms"][0]
