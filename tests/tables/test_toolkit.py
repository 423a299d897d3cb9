"""Networks for a table of the user's own: mappings, configuration, transform, training, import, and
what goes wrong.
"""

import functools
import json
import pathlib
import re
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.figure import Figure

import synchrojax
import synchrojax.validate
from synchrojax.cli import main
from synchrojax.core import E2_OVER_MC, GYRO, from_plane
from synchrojax.model import ModelFileError, import_neurosynchro, read_dense
from synchrojax.tables import (
    configuration,
    mapping,
    network_space,
    summarize,
    table_files,
    transform,
)
from synchrojax.tables.mapping import KINDS, Mapping
from synchrojax.train import TableOptions, TrainingError, held_out, lock, train_table
from synchrojax.validate import summary, validate_table

pytestmark = pytest.mark.usefixtures("x64")
HERE = pathlib.Path(__file__).parents[1]
ORDER = ("j_I", "alpha_I", "j_Q", "alpha_Q", "j_V", "alpha_V", "rho_Q", "rho_V")  # neurosynchro's


# A calculator whose truth is known: smooth, right signs, invariants, convention of neurosynchro


def calculator(s, theta, p):
    x = s * np.sin(theta)
    j = 1e-30 * x ** (-0.5 * p) * (1.0 + 0.1 * np.sin(theta))
    alpha = 1e-8 * x ** (-0.5 * p - 2.0)
    q, v = from_plane(-1.0 - 0.1 * p, 3.0 * np.cos(theta) / np.sqrt(x))
    rho_q = E2_OVER_MC * (np.sin(theta) / s) ** 2 * (1.0 + p)
    rho_v = 2.0 * E2_OVER_MC * np.cos(theta) / s / (1.0 + p)
    q, v = np.asarray(q), np.asarray(v)
    return dict(
        zip(
            ORDER,
            (j, alpha, j * q, 0.9 * alpha * q, j * v, 0.9 * alpha * v, rho_q, rho_v),
            strict=True,
        )
    )


def draw(n, seed):
    rng = np.random.default_rng(seed)
    s, theta = 10.0 ** rng.uniform(1.0, 5.0, n), rng.uniform(0.1, 1.5, n)
    return {"s(log)": s, "theta(lin)": theta, "p(lin)": rng.uniform(2.0, 4.0, n)}


def write(directory, n=4000, seed=1, files=4, **changes):
    """A table as neurosynchro's users have them; ``changes``: column -> function of it."""
    directory.mkdir(parents=True)
    inputs = draw(n, seed)
    values = calculator(*inputs.values())
    columns = inputs | {"time_ms(meta)": np.ones(n)} | {f"{k}(res)": v for k, v in values.items()}
    for name, change in changes.items():
        key = next(k for k in columns if k.startswith(f"{name}("))
        columns[key] = change(columns[key].copy())
    for k, rows in enumerate(np.array_split(np.arange(n), files)):
        lines = ["\t".join(columns)] + [
            "\t".join(f"{v[i]:.12e}" for v in columns.values()) for i in rows
        ]
        (directory / f"chunk{k}.txt").write_text("\n".join(lines) + "\n")
    return directory


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    return write(tmp_path_factory.mktemp("toolkit") / "raw")


def configure(directory, *, space="synchrojax", edit=lambda text: text, **keys):
    """A configuration, with ``keys`` set for each result."""
    directory.mkdir(parents=True, exist_ok=True)
    config = configuration.default({"p": "lin"}, convention="neurosynchro", space=space)
    text = configuration.dump(config)
    extra = "".join(f"{k} = {json.dumps(v)}\n" for k, v in keys.items())
    text = text.replace("[[results]]\n", "[[results]]\n" + extra)
    (directory / configuration.FILE).write_text(edit(text))
    return directory


def one_group(text):
    """All results from one network: one compilation."""
    return re.sub(r'group = "\w+"', 'group = "all"', text)


SMALL = {"units": [14], "iterations": 35}


@pytest.fixture(scope="module")
def trained(raw, tmp_path_factory):
    """The recommended recipe and neurosynchro's on the same table with the same seed."""
    work = tmp_path_factory.mktemp("trained")
    with jax.enable_x64(True):
        for space, keys in (("synchrojax", SMALL), ("neurosynchro", {"batch_size": 200})):
            directory = configure(work / space, space=space, **keys)
            transform(raw, directory, work / f"{space}-table", quiet=True)
            lock(work / f"{space}-table", directory, quiet=True)
            train_table(work / f"{space}-table", directory, quiet=True)
    return work


# Mappings


SAMPLES = np.array([-3e4, -2.0, -1e-3, 1e-6, 0.25, 0.5, 0.75, 3.0, 1e5])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", mapping.NORMALIZATIONS)
def test_mapping_and_inverse(kind, mode):
    start = Mapping("x", kind, normalization_mode=mode, scale=0.1)
    valid = SAMPLES[start.valid(SAMPLES)]
    m, rejected = start.locked(SAMPLES)
    assert rejected == len(SAMPLES) - len(valid)
    assert m.is_locked
    back = m.restore(m.from_network(m.to_network(jnp.asarray(valid))))
    wanted = {"abs_log": np.abs, "sign": np.sign}.get(kind, lambda p: p)(valid)
    rounding = 1e-15 * np.max(np.abs(wanted))  # of direct, which subtracts a mean
    assert np.allclose(back, wanted, rtol=1e-9, atol=rounding)
    assert np.allclose(m.normalize(valid, np), m.to_network(jnp.asarray(valid)), rtol=1e-12)
    assert np.allclose(m.restore(m.transform(valid, np), np), wanted, rtol=1e-9, atol=0.0)
    n = m.normalize(valid, np)
    if mode == "unit_interval":
        assert (n.min(), n.max()) == (0.0, 1.0)
    else:
        assert abs(np.mean(n)) < 1e-12
        assert abs(np.std(n) - 1.0) < 1e-12
    assert (m.norm_min, m.norm_max) == (n.min(), n.max())
    assert (m.phys_min, m.phys_max) == (valid.min(), valid.max())


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "sign"])
def test_mapping_derivative(kind):
    m, _ = Mapping("x", kind, scale=0.1).locked(SAMPLES)
    for p in SAMPLES[m.valid(SAMPLES)]:
        there = jax.grad(lambda p: m.to_network(p))(p)
        back = jax.grad(lambda n: m.restore(m.from_network(n)))(m.to_network(p))
        assert abs(there * back * (np.sign(p) if kind == "abs_log" else 1.0) - 1.0) < 1e-9


def test_policies():
    m, _ = Mapping("x", "direct").locked(np.array([1.0, 2.0, 3.0]))
    p = jnp.asarray([0.0, 2.0, 5.0])
    n = {k: Mapping(**{**vars(m), "out_of_sample": k}) for k in mapping.OUT_OF_SAMPLE}
    assert np.allclose(n["ignore"].transformed(n["ignore"].to_network(p)), p)
    assert np.allclose(n["clip"].transformed(n["clip"].to_network(p)), [1.0, 2.0, 3.0])
    assert list(np.isnan(n["nan"].to_network(p))) == [True, False, True]
    assert np.allclose(n["clip"].from_network(m.to_network(p)), [1.0, 2.0, 3.0])
    assert list(np.isnan(n["nan"].from_network(m.to_network(p)))) == [True, False, True]
    theta, _ = Mapping("theta", "direct", phys_bounds_mode="theta").locked(
        np.array([0.3, 0.4, 0.5])
    )
    assert (theta.phys_min, theta.phys_max) == (0.0, 0.5 * np.pi)


def test_mapping_refusals():
    with pytest.raises(ValueError, match=r"x: 1 of 3 samples suit maptype 'log' \(> 0\)"):
        Mapping("x", "log").locked(np.array([-1.0, 0.0, 1.0]))
    with pytest.raises(ValueError, match="x: all samples are 2: a constant column teaches nothing"):
        Mapping("x", "direct").locked(np.full(9, 2.0))
    # whose mean is rounded
    with pytest.raises(ValueError, match=r"x: all samples are 2\.5: a constant column"):
        Mapping("x", "log").locked(np.full(494, 2.5))
    for values, kind in (
        ([1.0, 2.0, 3.0], "log"),
        ([-1.0, -2.0, -3.0], "neg_log"),
        ([-1.0, 2.0, 3.0], "asinh"),
    ):
        assert Mapping("x", "auto").locked(np.array(values))[0].maptype == kind


# Network space


@pytest.mark.parametrize("space", network_space.SPACES)
@pytest.mark.parametrize("convention", network_space.CONVENTIONS)
def test_space_and_back(space, convention):
    inputs = {k.split("(")[0]: v for k, v in draw(200, 3).items()}
    inputs["theta"] = np.where(np.arange(200) % 2, np.pi - inputs["theta"], inputs["theta"])
    eight = calculator(*inputs.values())
    columns = inputs | eight
    assert not any(mask.any() for mask in network_space.reasons(columns, space).values())
    values = network_space.to_network(columns, space, convention)
    theta = inputs["theta"]
    back = network_space.from_network(
        values, space, convention, inputs["s"], np.sin(theta), np.cos(theta), np
    )
    turned = -1.0 if convention == "neurosynchro" else 1.0
    wanted = [eight[f"{k}_{s}"] / eight[f"{k}_I"] for k in ("j", "alpha") for s in "QV"]
    for ours, truth in zip(back, [*wanted, turned * eight["rho_Q"], eight["rho_V"]], strict=True):
        assert np.allclose(ours, truth, rtol=1e-10, atol=0.0)


# Configuration


def test_configuration_goes_to_a_file_and_back(tmp_path):
    for space in network_space.SPACES:
        config = configuration.default(
            {"p": "lin", "w": "log"}, convention="synchrojax", space=space
        )
        configuration.write(tmp_path, config)
        assert configuration.read(tmp_path) == config
        assert config.space == space


NEUROSYNCHRO = (HERE / "neurosynchro" / "keras2" / "nn_config.toml").read_text()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            'maptype = "log"',
            'maptyp = "log"',
            r"number 1 \(s\): unknown key 'maptyp'; did you mean 'maptype'",
        ),
        (
            'maptype = "log"',
            'maptype = "ln"',
            r"number 1 \(s\), maptype: 'ln' is not one of direct, log",
        ),
        ("x_std = 1.2", "x_std = 0.0", r"x_std: 0 is not above 0"),
        ("x_std = 1.2", 'x_std = "wide"', r"x_std: 'wide' is not a number"),
        ('name = "theta"', 'name = "s"', "name 's' stands there 2 times"),
        ('name = "s"', 'name = "t"', "lacks s: coefficients scale"),
        ('name = "s"', 'name = "nu"', "name 'nu' is an input of every model: give the column"),
        ('name = "theta"', 'name = "n_e"', "name 'n_e' is an input of every model"),
        ('name = "rho_V"', 'name = "rho_W"', "must be j_I, j_Q_plane"),
        ('maptype = "direct"', 'maptype = "abs_log"', "theta: maptype 'abs_log' loses the sign"),
        (
            'trainer = "generic"',
            'trainer = "deep"',
            r"trainer: 'deep' is not one of recommended, generic",
        ),
        ("[[params]]", "[[params]", "not valid TOML"),
        ("[[params]]", "learning = 1\n[[params]]", "unknown key 'learning'"),
        (
            "[[params]]",
            'convention = "mine"\n[[params]]',
            "'mine' is not one of synchrojax, neurosynchro",
        ),
        (
            'out_of_sample = "clip"',
            'out_of_sample = "wrap"',
            "'wrap' is not one of ignore, clip, nan",
        ),
        (
            'trainer = "binary"',
            'trainer = "binary"\nunits = []',
            "units: expected a list of layer widths",
        ),
        ('trainer = "binary"', 'trainer = "binary"\nepochs = 0', "epochs: 0 is not positive"),
        (
            'normalization_mode = "unit_interval"',
            "",
            'a sigmoid output needs normalization_mode = "unit_interval"',
        ),
    ],
)
def test_configuration_refusals(tmp_path, old, new, message):
    (tmp_path / configuration.FILE).write_text(NEUROSYNCHRO.replace(old, new, 1))
    with pytest.raises(configuration.ConfigError, match=message) as error:
        configuration.read(tmp_path)
    assert str(tmp_path) in str(error.value)


def test_lost_signs_need_their_pair(tmp_path):
    blocks = NEUROSYNCHRO.split("[[results]]")
    (tmp_path / configuration.FILE).write_text("[[results]]".join(blocks[:-1]))
    with pytest.raises(
        configuration.ConfigError,
        match="rho_Q: maptype 'abs_log' loses the sign: add a result rho_Q_sign",
    ):
        configuration.read(tmp_path)


# Tables


def test_summary(raw, tmp_path):
    found = summarize(raw, quiet=True)
    assert (found.files, found.rows, found.rows_with_nan, found.duplicates) == (4, 4000, 0, 0)
    assert found.columns["rho_Q"].positive == 4000
    assert sum(found.columns["s"].density) == 4000
    assert min(found.columns["s"].density) > 300
    twice = write(
        tmp_path / "twice", n=50, files=1, j_I=lambda v: np.where(np.arange(50) < 3, np.nan, v)
    )
    shutil.copy(twice / "chunk0.txt", twice / "chunk1.txt")
    found = summarize(twice, quiet=True)
    assert (found.rows, found.rows_with_nan, found.duplicates, found.columns["j_I"].nan) == (
        100,
        6,
        50,
        6,
    )


def spoil(rows, value):
    def change(column):
        column[rows] = value
        return column

    return change


def test_transform_counts_and_keeps_what_it_rejects(tmp_path):
    table = write(
        tmp_path / "raw",
        n=100,
        files=2,
        j_I=spoil([3], np.nan),
        alpha_I=spoil([3, 60], -1.0),
        j_Q=spoil([7, 61], -1.0),
        alpha_V=spoil([8], 1.0),
    )
    directory = configure(tmp_path / "model")
    counts, kept = transform(table, directory, tmp_path / "out", quiet=True)
    assert {k: v for k, v in counts.items() if v} == {
        "not finite": 1,
        "alpha_I <= 0": 1,
        "polarized emission above total": 2,
        "polarized absorption above total": 1,
    }
    assert kept == 95
    aside = table_files.read_columns(tmp_path / "out" / "rejected")
    assert len(aside["s"]) == 5
    legend = json.loads((tmp_path / "out" / "rejected" / "reasons.json").read_text())
    reasons = table_files.read_columns(tmp_path / "out" / "rejected", ["reason"])["reason"]
    assert legend[str(int(reasons[0]))] == "not finite"
    assert len(table_files.read_columns(tmp_path / "out")["s"]) == 95
    with pytest.raises(table_files.TableError, match="exists and is not empty"):
        transform(table, directory, tmp_path / "out", quiet=True)
    bad = write(tmp_path / "bad", n=10, files=1, j_I=lambda v: -v)
    with pytest.raises(table_files.TableError, match="no row is usable; 10 of them: j_I <= 0"):
        transform(bad, directory, tmp_path / "none", quiet=True)
    for part in bad.iterdir():
        part.write_text(part.read_text().split("\n")[0] + "\n")
    with pytest.raises(table_files.TableError, match="bad: no rows in it"):
        transform(bad, directory, tmp_path / "none", quiet=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad", "model", "out", "raw"]


def test_rows_drawn_from_a_large_table(raw):
    some = table_files.read_columns(raw, ["s", "p"], max_rows=500, seed=3)
    again = table_files.read_columns(raw, ["s", "p"], max_rows=500, seed=3)
    everything = table_files.read_columns(raw, ["s", "p"])
    assert len(some["s"]) == 500
    assert np.array_equal(some["s"], again["s"])
    assert np.all(np.isin(some["s"], everything["s"]))
    place = np.searchsorted(np.sort(everything["s"]), some["s"])
    assert np.all(np.histogram(place, 4, (0, 4000))[0] > 80)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("s(log)\ttheta(lin)\ts(lin)\n1\t2\t3\n", "column 's' stands there twice"),
        ("s(log)\ttheta(lin)\n1\t2\n1\n", "line 3: 1 columns where the header has 2"),
        (
            "s(log)\ttheta(lin)\n1\t2\n1\tabc\n",
            r"line 3, column theta\(lin\): 'abc' is not a number",
        ),
        ("s(log)\ttheta\n1\t2\n", "column 'theta' is not of the form name"),
        ("s(log) theta(lin)\n1 2\n", "columns are separated by tabs"),
        ("s(log)\ttheta(lin)\n1\t2\n1\t-\n", r"line 3, column theta\(lin\): '-' is not a number"),
        ("", "empty file"),
    ],
)
def test_table_refusals(tmp_path, text, message):
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(table_files.TableError, match=message):
        summarize(tmp_path)


def test_an_empty_cell_is_nan(tmp_path):
    """As pandas writes it, whose tables neurosynchro's users have."""
    (tmp_path / "a.txt").write_text("s(log)\ttheta(lin)\n1\t\n\t2\n")
    found = table_files.read_columns(tmp_path)
    assert np.array_equal(found["s"], [1.0, np.nan], equal_nan=True)
    assert np.array_equal(found["theta"], [np.nan, 2.0], equal_nan=True)


def test_a_mark_of_byte_order_is_no_part_of_a_name(tmp_path):
    (tmp_path / "a.txt").write_text(
        "\ufeffs(log)\ttheta(lin)\r\n1\t2\r\n", newline="", encoding="utf-8"
    )
    assert table_files.header_of(tmp_path / "a.txt") == {"s": "log", "theta": "lin"}
    assert table_files.read_columns(tmp_path)["s"] == [1.0]


def test_lock_refusals(tmp_path, raw):
    directory = configure(tmp_path / "model")
    with pytest.raises(
        table_files.TableError,
        match=r"raw: not in network space: `synchrojax transform .*raw .*model",
    ):
        lock(raw, directory)
    constant = write(tmp_path / "constant", n=200, p=lambda v: 0.0 * v + 2.5)
    transform(constant, directory, tmp_path / "t", quiet=True)
    with pytest.raises(
        table_files.TableError, match=r"column p: all samples are 2.5: a constant column"
    ):
        lock(tmp_path / "t", directory)
    negative = write(tmp_path / "negative", n=200, rho_V=spoil([60, 61], -1e-9))
    directory = configure(tmp_path / "other", edit=lambda text: text.replace('"auto"', '"log"'))
    transform(negative, directory, tmp_path / "n", quiet=True)
    with pytest.raises(
        table_files.TableError,
        match=r"column j_Q_plane: 0 of 200 samples suit maptype 'log' \(> 0\)",
    ):
        lock(tmp_path / "n", directory)
    config = (
        (directory / configuration.FILE)
        .read_text()
        .replace('_Q_plane"\nmaptype = "log"', '_Q_plane"\nmaptype = "neg_log"')
    )
    (directory / configuration.FILE).write_text(config)
    with pytest.raises(
        table_files.TableError,
        match=r"chunk1.txt, line 12, column rho_V_cold: .* \(2 such values\)",
    ):
        lock(tmp_path / "n", directory)
    assert lock(tmp_path / "n", directory, drop=True)["rho_V_cold"] == 2
    assert configuration.read(directory).is_locked
    edited = (
        (directory / configuration.FILE)
        .read_text()
        .replace('maptype = "neg_log"', 'maptype = "logit"', 1)
    )
    (directory / configuration.FILE).write_text(edited)
    with pytest.raises(
        table_files.TableError, match="no values of j_Q_plane that its maptype 'logit' can take"
    ):
        train_table(tmp_path / "n", directory, quiet=True)
    with pytest.raises(configuration.ConfigError, match="is not locked; run"):
        train_table(tmp_path / "t", tmp_path / "model")


# Training


def test_recommended_is_measurably_better(trained, raw):
    """Same data, same seed, errors side by side on the rows that both left out."""
    worst = {}
    for space in network_space.SPACES:
        model = synchrojax.load(trained / space)
        checked = validate_table(model, trained / f"{space}-table", rows=held_out(TableOptions()))
        assert set(checked.network_mse) == {r.mapping.name for r in model.family.config.results}
        worst[space] = {k: row["median"] for k, row in summary(checked)["value"].items()}
    assert max(worst["synchrojax"].values()) < 3e-3
    for name, median in worst["synchrojax"].items():
        assert median < 0.1 * worst["neurosynchro"][name], name


@pytest.mark.parametrize("space", network_space.SPACES)
def test_the_loaded_model(trained, space, precision):
    model = synchrojax.load(trained / space)
    assert model.inputs == ("nu", "B", "n_e", "theta", "p")
    rng = np.random.default_rng(2)
    s, theta, p = (
        10.0 ** rng.uniform(1.2, 4.8, 64),
        rng.uniform(0.15, 3.0, 64),
        rng.uniform(2.1, 3.9, 64),
    )
    nu = 10.0 ** rng.uniform(9, 11, 64)
    params = {"nu": nu, "B": nu / GYRO / s, "n_e": 1e3, "theta": theta, "p": p}
    params = {k: jnp.asarray(v, precision) for k, v in params.items()}
    c = jax.jit(model.coefficients)(params)
    truth = calculator(s, theta, p)
    scale = {"j": 1e3 * nu, "a": 1e3 / nu, "r": 1e3 / nu}
    bar = 0.02 if space == "synchrojax" else 1.5
    for name, value in c._asdict().items():
        wanted = truth[name] * scale[name[0]] * (-1.0 if name == "rho_Q" else 1.0)
        assert value.dtype == precision
        assert np.median(np.abs(value / wanted - 1.0)) < bar, name
    assert np.all(np.hypot(c.j_Q, c.j_V) < c.j_I)
    assert np.all(np.hypot(c.alpha_Q, c.alpha_V) < c.alpha_I)
    mirror = model.coefficients(
        {**params, "theta": jnp.asarray(np.pi, precision) - params["theta"]}
    )
    assert np.allclose(c.j_V, -mirror.j_V, rtol=1e-3, atol=0.0)
    # angles, fields and values where nothing may break
    hard = {
        "nu": 1e9,
        "B": [0.0, 1.0, 1e-9, 1e9],
        "n_e": 1.0,
        "theta": [1.0, 0.0, np.pi / 2, np.pi],
        "p": [3, 3, 9.0, -1],
    }
    hard = {k: jnp.asarray(v, precision) for k, v in hard.items()}
    assert np.all(np.isfinite(np.array(model.coefficients(hard))))

    def total(p):
        return sum(jnp.sum(jnp.log1p(jnp.abs(v))) for v in model.coefficients(p))

    assert all(np.all(np.isfinite(g)) for g in jax.tree.leaves(jax.grad(total)(hard)))


def test_policies_of_a_model(trained):
    params = {"nu": 1e9, "B": 1e9 / GYRO / np.array([1e3, 1e9]), "n_e": 1.0, "theta": 1.0, "p": 3.0}
    by = {
        k: synchrojax.load(trained / "synchrojax", out_of_domain=k)
        for k in (None, "clip", "extrapolate", "nan")
    }
    assert by[None].out_of_domain == "configured"
    values = {k: np.array(m.coefficients(params).j_I) for k, m in by.items()}
    assert np.array_equal(values[None], values["clip"])  # as the configuration says
    assert values["extrapolate"][1] != values["clip"][1]
    assert list(np.isnan(values["nan"])) == [False, True]
    assert list(by[None].flags(params)) == [0, 1]
    inside, outside = np.array(by["extrapolate"].output_flags(params))
    assert inside == 0
    assert outside & 1 << [r.mapping.name for r in by[None].family.config.results].index("j_I")
    assert jax.jit(by[None].output_flags)({**params, "B": jnp.asarray([0.0, -1.0])}).tolist() == [
        0,
        0,
    ]
    with pytest.raises(ValueError, match="'thermal' was not made from a table"):
        synchrojax.load("thermal").output_flags(
            {"nu": 1e9, "B": 1.0, "n_e": 1.0, "theta": 1.0, "theta_e": 1.0}
        )


def test_train_resumes_and_refuses(raw, tmp_path, monkeypatch):
    """Killed in the middle and started again: the same model as in one go; both methods."""
    from synchrojax.train import _loop

    directory = configure(tmp_path / "m", space="neurosynchro", epochs=3, units=[8], batch_size=500)
    transform(raw, directory, tmp_path / "t", quiet=True)
    lock(tmp_path / "t", directory, quiet=True)
    straight = tmp_path / "straight.safetensors"
    train_table(tmp_path / "t", directory, out=straight, quiet=True)
    real, calls = _loop._Checkpoints.save, []

    def stopping(self, *args):
        calls.append(1)
        real(self, *args)
        if len(calls) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(_loop._Checkpoints, "save", stopping)
    monkeypatch.setattr(_loop, "SAVE_EVERY", 0.0)
    out = tmp_path / "stopped.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train_table(tmp_path / "t", directory, out=out, quiet=True)
    assert not out.exists()
    with pytest.raises(TrainingError, match="other settings"):
        train_table(tmp_path / "t", directory, out=out, options=TableOptions(seed=9), quiet=True)
    train_table(tmp_path / "t", directory, out=out, quiet=True)
    a, b = (jax.tree.leaves(synchrojax.load(p).networks) for p in (straight, out))
    assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
    with pytest.raises(TrainingError, match="exists; choose another name"):
        train_table(tmp_path / "t", directory, out=out, quiet=True)
    few = write(tmp_path / "few", n=90, files=1)
    transform(few, directory, tmp_path / "few-t", quiet=True)
    with pytest.raises(table_files.TableError, match="90 rows are too few: at least 625"):
        train_table(tmp_path / "few-t", directory, out=tmp_path / "few.safetensors", quiet=True)


@pytest.mark.parametrize("method", ["adam", "levenberg_marquardt"])
def test_outliers_are_clipped_and_listed(tmp_path, method):
    """A calculator that went wrong in six rows: left out of the training, listed, and the table as
    it was.
    """
    rows = [10, 500, 1000, 1500, 2000, 2500]
    table = write(
        tmp_path / "raw", n=3000, j_I=lambda v: np.where(np.isin(np.arange(3000), rows), 1e6 * v, v)
    )
    before = {p.name: p.read_bytes() for p in table.iterdir()}
    keys = {
        "units": [12],
        "sigma_clip": 7.0,
        "iterations": 16,
        "epochs": 40,
        "batch_size": 100,
        "rate": 0.003,
    }
    directory = configure(tmp_path / "m", method=method, **keys)
    transform(table, directory, tmp_path / "t", quiet=True)
    lock(tmp_path / "t", directory, quiet=True)
    out = train_table(tmp_path / "t", directory, quiet=True)
    lines = out.with_suffix(".clipped.csv").read_text().splitlines()
    listed = [line.split(",") for line in lines[1:]]
    head = lines[0].split(",")
    truth = table_files.read_columns(table, ["s", "j_I"])
    part = {float(f"{truth['s'][i]:.10g}") for i in rows}
    found = {float(row[head.index("s")]) for row in listed if row[0] == "emission"}
    assert found <= part
    assert len(found) >= 3  # of the six, those that fell to training
    assert all(float(row[head.index("deviations")]) > 7.0 for row in listed)
    assert synchrojax.load(out).report["training"]["clipped"] == len(listed)
    assert {p.name: p.read_bytes() for p in table.iterdir()} == before


def test_spread_tells_where_the_error_is(raw, tmp_path):
    directory = configure(tmp_path / "m", edit=one_group, units=[8], iterations=20)
    transform(raw, directory, tmp_path / "t", quiet=True)
    lock(tmp_path / "t", directory, quiet=True)
    train_table(tmp_path / "t", directory, options=TableOptions(members=4), quiet=True)
    model = synchrojax.load(tmp_path / "m")
    rng = np.random.default_rng(8)
    s, theta, p = (
        10.0 ** rng.uniform(0.5, 5.5, 400),
        rng.uniform(0.1, 1.5, 400),
        rng.uniform(1.5, 4.5, 400),
    )
    model_out = synchrojax.load(tmp_path / "m", out_of_domain="extrapolate")
    params = {"nu": 1.0, "B": 1.0 / (GYRO * s), "n_e": 1.0, "theta": theta, "p": p}
    spread, c = model_out.spread(params), model_out.coefficients(params)
    truth = calculator(s, theta, p)
    for name in ("j_I", "alpha_I", "rho_V"):
        error = np.abs(np.array(getattr(c, name)) / truth[name] - 1.0)
        estimate = np.array(getattr(spread, name)) / truth[name]
        ranks = [np.argsort(np.argsort(v)) for v in (error, estimate)]
        assert np.corrcoef(*ranks)[0, 1] > 0.3, name
    assert model.report["training"]["members"] == 4
    with pytest.raises(ValueError, match="spread needs an ensemble"):
        synchrojax.load("thermal").spread(
            {"nu": 1e9, "B": 1.0, "n_e": 1.0, "theta": 1.0, "theta_e": 1.0}
        )


# neurosynchro's own networks


@pytest.mark.parametrize("keras", ["keras2", "keras3"])
def test_import(tmp_path, keras):
    """Files that Keras wrote; what its networks give by neurosynchro's formulas."""
    directory = HERE / "neurosynchro" / keras
    model = synchrojax.load(import_neurosynchro(directory, tmp_path / "m.safetensors"))
    t = np.genfromtxt(directory / "expected.txt", names=True, delimiter="\t")
    b = t["nu"] / (GYRO * t["s"])
    params = {"nu": t["nu"], "B": b, "n_e": t["n_e"], "theta": t["theta"], "p": t["p"]}
    ours = synchrojax.as_array(model.coefficients(params), convention="neurosynchro")
    assert np.max(np.abs(ours / np.stack([t[k] for k in ORDER], -1) - 1.0)) < 1e-12
    outside = (t["s"] < 10.0) | (t["s"] > 1e6)
    assert outside.any()
    assert np.array_equal(model.flags(params) & 1, outside)
    assert model.inputs == ("nu", "B", "n_e", "theta", "p")


def test_import_refusals(tmp_path):
    source = HERE / "neurosynchro" / "keras3"
    with pytest.raises(ModelFileError, match=r"a model file ends in \.safetensors"):
        import_neurosynchro(source, tmp_path / "m")
    copy = tmp_path / "copy"
    shutil.copytree(source, copy)
    (copy / "rho_V.h5").unlink()
    with pytest.raises(ModelFileError, match=r"rho_V.h5: no such file"):
        import_neurosynchro(copy, tmp_path / "m.safetensors")
    (copy / "rho_V.h5").write_bytes(b"no hdf5")
    with pytest.raises(ModelFileError, match=r"rho_V.h5: not a readable Keras .h5 file"):
        import_neurosynchro(copy, tmp_path / "m.safetensors")
    intact = (source / "rho_V.h5").read_bytes()
    (copy / "rho_V.h5").write_bytes(intact[: len(intact) // 2])
    with pytest.raises(ModelFileError, match=r"rho_V.h5: not a readable Keras .h5 file"):
        import_neurosynchro(copy, tmp_path / "m.safetensors")
    import h5py

    shutil.copy(source / "rho_V.h5", copy / "rho_V.h5")
    with h5py.File(copy / "rho_V.h5", "r+") as file:
        file.attrs["model_config"] = file.attrs["model_config"].replace('"relu"', '"selu"')
    with pytest.raises(ModelFileError, match="activation 'selu' is not one of"):
        read_dense(copy / "rho_V.h5")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["copy"]


# The command line, from table to page


def test_verbs(raw, tmp_path, capsys, monkeypatch):
    work = tmp_path / "model"
    monkeypatch.setattr(
        synchrojax.validate, "cost", functools.partial(synchrojax.validate.cost, n=20_000)
    )

    def run(*words):
        status = main([str(w) for w in words])
        return status, *capsys.readouterr()

    assert run("init", work, "--convention", "neurosynchro", "--table", raw)[0] == 0
    text = (work / configuration.FILE).read_text()
    brief = text.replace("[[results]]\n", "[[results]]\nunits = [6]\niterations = 8\n")
    (work / configuration.FILE).write_text(one_group(brief))
    status, out, err = run("init", work, "--convention", "neurosynchro")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "exists already" in err
    status, out, _ = run("summarize", raw, "--plot", tmp_path / "s.png", "--quiet")
    assert "4000 rows in 4 files; 0 with NaN; 0 duplicates" in out
    assert (tmp_path / "s.png").stat().st_size > 10_000
    status, out, _ = run("transform", raw, work, "--out", tmp_path / "t", "--quiet")
    assert "4000 rows kept, 0 rejected" in out
    status, out, _ = run("lock", tmp_path / "t", work, "--quiet")
    assert "locked" in out
    assert run("lock", tmp_path / "t", work)[0] == 2
    status, out, err = run("train", tmp_path / "t", work, "--html", tmp_path / "r.html", "--quiet")
    assert status == 0, err
    assert "mean squared error in network space" in out
    page = (tmp_path / "r.html").read_text()
    assert page.count("data:image/png;base64,") == 4
    assert "http" not in page
    status, out, err = run(
        "validate", work, "--table", raw, "--n", 500, "--out", tmp_path / "pictures"
    )
    assert status == 0, err
    assert "rho_V_cold" in out
    assert len(list((tmp_path / "pictures").glob("*.png"))) == 4
    status, out, _ = run(
        *(
            "coefficients",
            "--model",
            work,
            "--nu",
            "230e9",
            "--B",
            30,
            "--n-e",
            1,
            "--theta",
            1,
            "--p",
            3,
        )
    )
    assert status == 0
    assert "rho_V" in out
    for words, message in (
        (("train", tmp_path / "t", work, "--widths", "3"), "the configuration in"),
        (("train", tmp_path / "t"), "needs --out"),
        (
            ("validate", "thermal", "--convention", "neurosynchro"),
            "--convention is that of a --table",
        ),
        (("validate", "thermal", "--table", tmp_path / "t"), "needs the eight coefficients"),
        (("summarize", tmp_path / "nowhere"), "no such table"),
        (("validate", work), "was made from a table: compare it with one"),
        (("validate", tmp_path / "t"), "no model.safetensors in it; `synchrojax train TABLE"),
        (("import-neurosynchro", raw), "there is no such file: give the directory that"),
    ):
        status, out, err = run(*words)
        assert (status, out) == (2, ""), words
        assert message in err
        assert err.count("\n") == 1


def test_a_full_disk_leaves_nothing_half_written(raw, tmp_path, monkeypatch, capsys):
    """The last write fails as on a full disk: one line, status 2, the old file as it was and no
    other.
    """
    directory = configure(tmp_path / "m")
    transform(raw, directory, tmp_path / "t", quiet=True)
    before = (directory / configuration.FILE).read_text()
    real = pathlib.Path.write_bytes

    def full(self, data, **_):
        data = data.encode() if isinstance(data, str) else data
        real(self, data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pathlib.Path, "write_text", full)
    assert main(["lock", str(tmp_path / "t"), str(directory), "--quiet"]) == 2
    monkeypatch.setattr(pathlib.Path, "write_bytes", full)
    assert (
        main(["transform", str(raw), str(directory), "--out", str(tmp_path / "u"), "--quiet"]) == 2
    )
    monkeypatch.setattr(Figure, "savefig", lambda self, path, **_: full(path, b"PNG"))
    assert main(["summarize", str(raw), "--plot", str(tmp_path / "s.png"), "--quiet"]) == 2
    lines = capsys.readouterr().err.splitlines()
    for line, name in zip(
        lines, (directory / configuration.FILE, "chunk0.txt", tmp_path / "s.png"), strict=True
    ):
        assert re.fullmatch(
            rf"synchrojax: error: .*No space left on device: '.*{re.escape(str(name))}'", line
        )
    monkeypatch.undo()
    assert (directory / configuration.FILE).read_text() == before
    assert [p.name for p in directory.iterdir()] == [configuration.FILE]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m", "t"]


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".parquet", ".txt"])
def test_twenty_million_rows_within_8_gib(tmp_path, suffix):
    """Two hundred files of 100,000 rows through summarize, transform, lock and train, and all of
    them into memory.
    """
    import os
    import subprocess
    import sys
    import time

    table = write(tmp_path / "one", n=100_000, files=1)
    part = table_files.read_part(table / "chunk0.txt")
    (tmp_path / "raw").mkdir()
    table_files.write_part(tmp_path / "raw" / f"000{suffix}", part)
    for k in range(1, 200):
        os.link(tmp_path / "raw" / f"000{suffix}", tmp_path / "raw" / f"{k:03d}{suffix}")
    configure(tmp_path / "m", units=[8], iterations=2)
    measure = (
        "import sys; from synchrojax.tables import table_files; from synchrojax.cli import main\n"
        "if sys.argv[1] == 'read':\n"
        "    for most in (2_000_000, None):\n"
        "        print(len(table_files.read_columns(sys.argv[2], max_rows=most)['s']))\n"
        "else:\n"
        "    assert main(sys.argv[1:]) == 0\n"
        # of this program alone: what getrusage says includes the one that started it
        "print(next(line.split()[1] for line in open('/proc/self/status') if "
        "line.startswith('VmHWM')))"
    )
    for words in (
        ["summarize", "raw"],
        ["transform", "raw", "m", "--out", "t"],
        ["lock", "t", "m"],
        ["train", "t", "m"],
        ["read", "t"],
    ):
        begin = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", measure, *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        *_, last = done.stdout.split()
        print(words[0], f"{int(last) / 2**20:.2f} GiB, {time.perf_counter() - begin:.0f} s")
        assert int(last) < 8 * 2**20
        assert "200/200 files" in done.stderr or words[0] == "read"
        if words[0] != "lock":
            assert ("trained on 2000000 rows" if words[0] == "train" else "20000000") in done.stdout
