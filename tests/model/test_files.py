"""Model files: what is written comes back, and what is damaged is refused by name."""

import json

import numpy as np
import pytest
import safetensors
import safetensors.numpy

import synchrojax
from synchrojax.model import ModelFileError, packaged, read_model, write_model

THERMAL = packaged("thermal")


def test_model_file_round_trip(tmp_path):
    family, networks, report = read_model(THERMAL)
    write_model(tmp_path / "m.safetensors", family, networks, report)
    again = synchrojax.load(tmp_path / "m.safetensors")
    assert again.report == report
    assert again == synchrojax.load("thermal")


def test_bad_model_files(tmp_path):
    data = THERMAL.read_bytes()
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

    family, networks, report = read_model(THERMAL)
    write_model(bad, family, networks, report)
    with safetensors.safe_open(bad, framework="numpy") as file:
        header, tensors = file.metadata(), {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
    header.pop("shapes")
    name = "rho_V.layers.0.kernel"
    kernel = tensors[name]
    for value, message in (
        (None, rf"tensor {name} is missing"),
        (kernel * np.nan, rf"tensor {name} is not finite"),
        (kernel[:-1], rf"tensor {name} is float64 \(3, 32\); its network needs float64 \(4, 32\)"),
        (kernel.astype(np.float32), rf"tensor {name} is float32"),
    ):
        changed = {k: v for k, v in tensors.items() if k != name} | (
            {} if value is None else {name: value}
        )
        safetensors.numpy.save_file(changed, bad, header)
        with pytest.raises(ModelFileError, match=message):
            synchrojax.load(bad)
    safetensors.numpy.save_file({**tensors, "other": kernel}, bad, header)
    with pytest.raises(ModelFileError, match="unknown tensors other"):
        synchrojax.load(bad)
    known = json.loads(header["networks"])
    for change, message in (
        (
            {"rho_V": {**known["rho_V"], "kind": "spline"}},
            "a network 'spline'; known: .*perceptron.* Import the module that registers it first",
        ),
        ({"rho_V": {**known["rho_V"], "kind": ["perceptron"]}}, r"is a network \['perceptron'\]"),
        ({"rho_V": {**known["rho_V"], "widths": [0]}}, "no network 'perceptron' is made from"),
        ({"rho_V": {**known["rho_V"], "members": "two"}}, "rho_V: 'members' is 'two', not a whole"),
        ({"rho_V": {**known["rho_V"], "members": 0}}, "rho_V: 'members' is 0, not a whole number"),
        (
            {"rho_V": {**known["rho_V"], "inputs": 3}},
            "'rho_V': .* has not the 4 inputs and 5 outputs of this head",
        ),
        ({"rho_V": {**known["rho_V"], "activation": "sin"}}, "activation 'sin' is not one of"),
        ({"rho_V": {**known["rho_V"], "depth": 3}}, "no network 'perceptron' is made from"),
        ({"rho_V": 3}, "'rho_V': 3 has not the 4 inputs"),
        (
            {"rho_U": known["rho_V"]},
            "header field 'networks' is for .*rho_U; 'thermal' has emission, rho_Q, rho_V",
        ),
    ):
        safetensors.numpy.save_file(
            tensors, bad, {**header, "networks": json.dumps(known | change)}
        )
        with pytest.raises(ModelFileError, match=message):
            synchrojax.load(bad)


def test_files_of_version_0_1(tmp_path):
    """Their tensors are named without "layers.", and messages name them so."""
    path = tmp_path / "old.safetensors"
    with safetensors.safe_open(THERMAL, framework="numpy") as file:
        header = {k: v for k, v in file.metadata().items() if k not in ("networks", "shapes")}
        tensors = {k.replace(".layers.", "."): file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
    safetensors.numpy.save_file(tensors, path, header)
    assert synchrojax.load(path) == synchrojax.load("thermal")
    tensors["emission.0.bias"] = np.full(32, np.nan)
    safetensors.numpy.save_file(tensors, path, header)
    with pytest.raises(ModelFileError, match=r"tensor emission\.0\.bias is not finite"):
        synchrojax.load(path)
