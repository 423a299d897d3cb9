"""Text files are UTF-8 whatever the locale says; what is wrong in one is told with its place."""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest
import safetensors.numpy

import synchrojax
from synchrojax.families import FAMILIES
from synchrojax.generate import _tables
from synchrojax.model import ModelFileError, packaged, read_dense
from synchrojax.model import _files as _weights
from synchrojax.tables import configuration, table_files
from synchrojax.validate.report import figures

ROOT = pathlib.Path(__file__).parents[2]
GREEK = "s(log)\ttheta(lin)\tψ(lin)\tj_I(res)\n1\t1\t3\t4\n2\t1\t4\t5\n"


def test_a_greek_column_in_the_c_locale(tmp_path):
    (tmp_path / "table").mkdir()
    (tmp_path / "table" / "a.txt").write_text(GREEK, encoding="utf-8")
    code = (
        "from synchrojax.cli import main\n"
        "assert main(['init', 'm', '--convention', 'neurosynchro', '--table', 'table', '--input', "
        "'β=lin']) == 0\n"
        "assert main(['summarize', 'table']) == 0\n"
        "raise SystemExit(main(['summarize', 'tψble']))\n"
    )
    (tmp_path / "run.py").write_text(code, encoding="utf-8")
    own = {
        **os.environ,
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run([sys.executable, "run.py"], env=own, cwd=tmp_path, capture_output=True)
    assert done.stderr.decode() == "synchrojax: error: tψble: no such table\n"
    assert done.returncode == 2
    assert "inputs s, theta, ψ, β; space synchrojax" in done.stdout.decode()
    assert "ψ(lin)" in done.stdout.decode()
    assert [m.name for m in configuration.read(tmp_path / "m").params] == ["s", "theta", "ψ", "β"]


def test_no_text_follows_the_locale():
    """Every call that opens text names its encoding."""
    opens = re.compile(
        r"\b(?:read_text|write_text|open|fdopen|TextIOWrapper|loadtxt|genfromtxt|savetxt)\(|text=True"
    )
    mine = ("write_text(", "read_text(")  # those of _files
    for path in [
        *(ROOT / "synchrojax").glob("*.py"),
        *(ROOT / "data").glob("*.py"),
        *(ROOT / "notebooks").glob("*.py"),
    ]:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            for match in opens.finditer(line):
                plain = match[0] in mine and line[: match.start()][-1:] != "."
                binary = "safe_open" in line or "os.open" in line or "StringIO" in line
                assert plain or binary or "encoding=" in line or "def " in line, (
                    f"{path.name}:{number}: {line.strip()}"
                )


def test_a_mark_of_byte_order_in_a_configuration(tmp_path):
    config = configuration.default({"p": "lin"}, convention="synchrojax")
    (tmp_path / configuration.FILE).write_text(
        "\ufeff" + configuration.dump(config), encoding="utf-8"
    )
    assert configuration.read(tmp_path) == config


TABS = [
    (
        "s(log)\ttheta(lin)\t\n1\t2\t\n",
        "a.txt, line 1 ends in a tab: there is no name for column 3",
    ),
    ("s(log)\t\ttheta(lin)\n1\t2\t3\n", "a.txt, line 1: column 2 has no name"),
    (
        "\ts(log)\ttheta(lin)\n0\t1\t2\n",
        "a.txt, line 1: column 1 has no name; pandas writes such a column",
    ),
    (
        "s(log)\ttheta(lin)\n1\t2\n1\t2\t\n",
        "a.txt, line 3 ends in a tab: 3 columns where the header has 2",
    ),
    ("s(log)\ttheta(lin)\n1\t2\t3\n", "a.txt, line 2: 3 columns where the header has 2"),
]


@pytest.mark.parametrize(("text", "message"), TABS)
def test_a_tab_too_many(tmp_path, text, message):
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    with pytest.raises(table_files.TableError) as refused:
        table_files.read_columns(tmp_path)
    assert message in str(refused.value)


DOMAIN = dict(FAMILIES["thermal"].domain)
HUGE = 10**400  # no float holds it


def damaged(tmp_path, original, **header):
    with safetensors.safe_open(original, framework="numpy") as file:
        tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
        fields = {**file.metadata(), **header}
    path = tmp_path / "damaged.safetensors"
    safetensors.numpy.save_file(tensors, path, {k: v for k, v in fields.items() if v is not None})
    return path


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"report": "{"}, "header field 'report': not valid JSON"),
        ({"report": "[1]"}, "header field 'report': expected a JSON object, got '[1]'"),
        ({"report": "[" * 100_000}, "header field 'report': not valid JSON"),
        ({"domain": "wide"}, "header field 'domain': not valid JSON"),
        (
            {"domain": '{"s": ["low", 3]}'},
            "header field 'domain', 's': ['low', 3] is not low and high numbers",
        ),
        ({"domain": '{"s": [5, 3]}'}, "header field 'domain', 's': [5, 3] is not low and high"),
        (
            {"domain": f'{{"s": [1, {HUGE}]}}'},
            f"header field 'domain', 's': [1, {HUGE}] is not low and high numbers",
        ),
        (
            {"domain": '{"s": [1, 3]}'},
            "header field 'domain' is for s; 'thermal' has s, theta, theta_e, s_sin_theta, x",
        ),
        (
            {"domain": json.dumps(DOMAIN | {"theta_e": [0.1, 50.0]})},
            "'theta_e': trained from 0.1 to 50, but 'thermal' is from 0.1 to 100 in this version",
        ),
        ({"shapes": "none"}, "header field 'shapes': not valid JSON"),
        (
            {"shapes": '{"other": [3]}'},
            "header field 'shapes' names tensor 'other', which is missing",
        ),
        (
            {"networks": None, "members": "two"},
            "header field 'members': 'two' is not a positive whole number",
        ),
        (
            {"networks": None, "members": "0"},
            "header field 'members': '0' is not a positive whole number",
        ),
        (
            {"networks": None, "members": "3.5"},
            "header field 'members': '3.5' is not a positive whole number",
        ),
        ({"family": "f"}, "header field 'family': not valid JSON"),
        ({"family": "3"}, "header field 'family': expected a JSON object"),
        ({"family": '{"name": "own"}'}, "(header field 'family': box, s, highest_x, maps missing)"),
        ({"table": "{}"}, "(header field 'table': name, config, lowest_sine missing)"),
        (
            {"table": '{"name": "t", "config": 3, "lowest_sine": "x"}'},
            "'table': lowest_sine is 'x', not a number",
        ),
        ({"table": '{"name": "t", "config": 3, "lowest_sine": 0.1}'}, "(header field 'table': "),
        (
            {"table": '{"name": "t", "config": "=", "lowest_sine": 0.1}'},
            "(header field 'table': configuration in the",
        ),
        ({"distribution": None}, "distribution None is unknown here"),
        ({"format": "other"}, "not a synchrojax model (format 'other'"),
    ],
)
def test_a_header_field_that_cannot_be_read(tmp_path, header, message):
    path = damaged(tmp_path, packaged("thermal"), **header)
    with pytest.raises(ModelFileError) as refused:
        synchrojax.load(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert message in str(refused.value)


def test_the_shapes_of_another_file(tmp_path):
    with safetensors.safe_open(packaged("thermal"), framework="numpy") as file:
        shapes = json.loads(file.metadata()["shapes"])
    name = next(iter(shapes))
    path = damaged(tmp_path, packaged("thermal"), shapes=json.dumps({**shapes, name: [1, 2]}))
    with pytest.raises(
        ModelFileError, match=rf"header field 'shapes', '{name}': \[1, 2\], but the tensor has"
    ):
        synchrojax.load(path)


OWN = {
    "name": "own",
    "box": {"a": [1, 2]},
    "s": [10, 1e4],
    "highest_x": 1e6,
    "maps": [[1, 1, 0, 1]] * 8,
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"maps": [[1, 1, 0, 1]] * 7}, "maps are not four numbers for each of 8 coefficients"),
        ({"maps": [[1, 1, 0, "x"]] * 8}, "maps are not four numbers"),
        ({"maps": 3}, "maps are not four numbers"),
        ({"box": [1]}, "(header field 'family': "),
        (
            {"box": {"a": ["x", 2]}},
            "(header field 'family': box of a must be real numbers, got 'x'",
        ),
        ({"s": [5]}, "(header field 'family': "),
        ({"highest_x": None}, "highest_x is None, not a number"),
        ({"highest_x": HUGE}, f"highest_x is {HUGE}, not a number"),
        ({"maps": [[1, 1, 0, HUGE]] * 8}, "maps are not four numbers"),
        ({"s": [5, HUGE]}, "box of s must be real numbers"),
    ],
)
def test_the_description_of_a_family(tmp_path, change, message):
    path = damaged(
        tmp_path, packaged("thermal"), family=json.dumps(OWN | change), distribution="own"
    )
    with pytest.raises(ModelFileError) as refused:
        _weights.read_model(path)
    assert str(refused.value).startswith(f"{path}: its description of 'own' cannot be read ")
    assert message in str(refused.value)


def test_integers_beyond_64_bits(tmp_path):
    """They are numbers as long as a float holds them."""
    large = OWN | {"highest_x": 10**30, "maps": [[1, 1, 0, 10**30]] * 8}
    family = synchrojax.families.Family.read(json.dumps(large))
    path = damaged(tmp_path, packaged("thermal"), family=json.dumps(large), distribution="own")
    with pytest.raises(ModelFileError, match="header field 'domain' is for"):  # not its networks
        _weights.read_model(path)
    assert family.maps[0] == (1.0, 1.0, 0.0, 1e30)
    networks = {"emission": {"kind": "perceptron", "inputs": 6, "outputs": 15, "widths": [HUGE]}}
    networks |= {k: {**networks["emission"], "inputs": 4, "outputs": 5} for k in ("rho_Q", "rho_V")}
    path = damaged(tmp_path, packaged("thermal"), networks=json.dumps(networks))
    with pytest.raises(ModelFileError, match="no network 'perceptron' is made from"):
        synchrojax.load(path)
    text = f'[[params]]\nname = "s"\nmaptype = "log"\nphys_min = {HUGE}\n[[results]]\n'
    with pytest.raises(configuration.ConfigError, match=r"phys_min: 1000\d* is not a number"):
        configuration.parse(text, "x")


@pytest.mark.parametrize("text", ["", "{", "3"])
def test_the_settings_of_a_table(tmp_path, text):
    (tmp_path / "table.json").write_text(text, encoding="utf-8")
    with pytest.raises(
        table_files.TableError, match=r"table\.json: .*; it should say how the table was made"
    ):
        _tables._prepare(tmp_path, {"n": 3})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "model_config: not valid JSON"),
        ("[]", "model_config: expected a JSON object"),
        ('{"config": {}}', "model_config: holds no list of layers"),
        ('{"config": [3]}', "model_config: holds no list of layers"),
        ('{"config": [{"config": 3}]}', "model_config: holds no list of layers"),
    ],
)
def test_the_description_of_a_keras_model(tmp_path, text, message):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "j_I.h5", "w") as file:
        file.attrs["model_config"] = text
        file.create_group("model_weights")
    with pytest.raises(ModelFileError, match=rf"j_I\.h5: {re.escape(message)}"):
        read_dense(tmp_path / "j_I.h5")


def test_a_loss_curve_that_is_none(tmp_path, monkeypatch):
    (tmp_path / "m.loss.csv").write_text("head,iteration\na,1\n", encoding="utf-8")
    monkeypatch.setattr("synchrojax.validate.report._errors", lambda *_: None)
    monkeypatch.setattr("synchrojax.validate.report._truth", lambda *_: None)
    monkeypatch.setattr("synchrojax.validate.report._histogram", lambda *_: None)
    with pytest.raises(ValueError, match=r"m\.loss\.csv: not the loss curve of a training"):
        figures(None, loss=tmp_path / "m.loss.csv")
