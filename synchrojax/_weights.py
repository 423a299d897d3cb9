"""Model files: safetensors weights under a readable header. Reading one executes no code."""

import importlib.resources
import json
import pathlib

import numpy as np
import safetensors
import safetensors.numpy

from synchrojax._custom import Family
from synchrojax._families import FAMILIES
from synchrojax._files import whole
from synchrojax._network import members_of
from synchrojax._tabular import TableFamily

FORMAT = "synchrojax-model-1"
MODEL_FILE = "model.safetensors"  # in the directory of a configuration
_DESCRIBED = {"family": Family, "table": TableFamily}  # header entry -> what describes itself there


class ModelFileError(ValueError):
    """A file that is not a usable model; the message names file and tensor."""


def packaged(name):
    """Where the packaged model of that name is."""
    return pathlib.Path(str(importlib.resources.files("synchrojax") / "models" / f"{name}.safetensors"))


def write_model(path, family, weights, report):
    """Write ``weights`` (head -> ((kernel, bias), ...)) as float64, with the domain and ``report``."""
    path = pathlib.Path(path)
    tensors = {
        f"{head}.{k}.{name}": np.ascontiguousarray(value, np.float64)
        for head, layers in weights.items()
        for k, layer in enumerate(layers)
        for name, value in zip(("kernel", "bias"), layer, strict=True)
    }
    header = {
        "format": FORMAT,
        "distribution": family.NAME,
        "domain": json.dumps(family.DOMAIN),
        "units": "CGS; s = nu / nu_c, theta [rad]",
        "shapes": json.dumps({k: list(v.shape) for k, v in tensors.items()}),
        "report": json.dumps(report),
    }
    members = members_of(weights)
    if members > 1:
        header["members"] = str(members)
    for key, kind in _DESCRIBED.items():
        if isinstance(family, kind):
            header[key] = family.describe()
    with whole(path) as temporary:
        safetensors.numpy.save_file(tensors, temporary, header)


def read_model(path):
    """(family, weights, report) of a model file, checked before use."""
    path = pathlib.Path(path)
    if not path.is_file():
        raise ModelFileError(f"{path}: no such model file")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, safetensors.SafetensorError) as error:
        raise ModelFileError(f"{path}: not a readable safetensors file, or truncated ({error})") from None
    if header.get("format") != FORMAT:
        raise ModelFileError(f"{path}: not a synchrojax model (format {header.get('format')!r}, expected {FORMAT!r})")
    distribution = header.get("distribution")
    described = next((key for key in _DESCRIBED if key in header), None)
    if described:
        try:
            family = _DESCRIBED[described].read(header[described])
        except (ValueError, KeyError, TypeError) as error:
            raise ModelFileError(f"{path}: its description of {distribution!r} cannot be read ({error})") from None
    elif distribution in FAMILIES:
        family = FAMILIES[distribution]
    else:
        raise ModelFileError(f"{path}: distribution {distribution!r} is unknown here; known: {', '.join(FAMILIES)}")
    weights: dict = {}
    ensemble = int(header.get("members", 1)) > 1
    for head, (inputs, outputs) in family.HEADS.items():
        layers = []
        while f"{head}.{len(layers)}.kernel" in tensors:
            layer = []
            for name in ("kernel", "bias"):
                key = f"{head}.{len(layers)}.{name}"
                if key not in tensors:
                    raise ModelFileError(f"{path}: tensor {key} is missing")
                value = tensors.pop(key)
                if value.dtype != np.float64 or not np.all(np.isfinite(value)):
                    raise ModelFileError(f"{path}: tensor {key} is not finite float64 (dtype {value.dtype})")
                layer.append(value)
            kernel, bias = layer
            members = kernel.shape[:-2]  # of an ensemble
            if (
                not 2 <= kernel.ndim <= 3
                or kernel.shape[-2] != inputs
                or bias.shape != (*members, kernel.shape[-1])
                or len(members) != ensemble
            ):
                raise ModelFileError(
                    f"{path}: tensors {head}.{len(layers)}: kernel {kernel.shape} and bias {bias.shape} "
                    f"do not fit {inputs} inputs"
                )
            inputs = kernel.shape[-1]
            layers.append((kernel, bias))
        if not layers or inputs != outputs:
            raise ModelFileError(f"{path}: tensors of {head} end in {inputs} outputs, expected {outputs}")
        weights[head] = tuple(layers)
    if tensors:
        raise ModelFileError(f"{path}: unknown tensors {', '.join(sorted(tensors))}")
    return family, weights, json.loads(header.get("report", "{}"))
