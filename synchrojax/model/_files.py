"""Model files: safetensors weights under a readable header. Reading one executes no code."""

import importlib.resources
import json
import pathlib

import numpy as np
import safetensors
import safetensors.numpy

from synchrojax.core import from_json, whole
from synchrojax.families import FAMILIES, Family, TableFamily
from synchrojax.networks import members_of
from synchrojax.tables.table_files import RESULTS

FORMAT = "synchrojax-model-1"
MODEL_FILE = "model.safetensors"  # in the directory of a configuration
_DESCRIBED = {"family": Family, "table": TableFamily}  # header entry -> what describes itself there
_DESCRIPTION = {"family": ("name", "box", "s", "highest_x", "maps"), "table": ("name", "config", "lowest_sine")}


class ModelFileError(ValueError):
    """A file that is not a usable model; the message names file and tensor."""


def packaged(name):
    """Where the packaged model of that name is."""
    return pathlib.Path(str(importlib.resources.files("synchrojax") / "weights" / f"{name}.safetensors"))


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


def _number(value):
    return isinstance(value, int | float) and not isinstance(value, bool) and np.isfinite(value)


def _field(path, header, key, kind=dict):
    """The JSON of one header field, or nothing where the field is absent. Raises ModelFileError naming it."""
    try:
        return from_json(header[key], f"{path}: header field {key!r}", kind) if key in header else kind()
    except ValueError as error:
        raise ModelFileError(str(error)) from None


def _members(path, header):
    text = header.get("members", "1")
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise ModelFileError(f"{path}: header field 'members': {text!r} is not a positive whole number")
    return int(text)


def _check_domain(path, header, family):
    """The box that the file names must be one, of the inputs of its family."""
    domain = _field(path, header, "domain")
    for name, ends in domain.items():
        if not (isinstance(ends, list) and len(ends) == 2 and all(map(_number, ends)) and ends[0] < ends[1]):
            raise ModelFileError(f"{path}: header field 'domain', {name!r}: {ends!r} is not low and high numbers")
    if domain and set(domain) != set(family.DOMAIN):
        raise ModelFileError(
            f"{path}: header field 'domain' is for {', '.join(domain)}; {family.NAME!r} has {', '.join(family.DOMAIN)}"
        )


def _check_shapes(path, header, tensors):
    """The shapes that the file names must be those of its tensors."""
    for name, shape in _field(path, header, "shapes").items():
        if name not in tensors:
            raise ModelFileError(f"{path}: header field 'shapes' names tensor {name!r}, which is missing")
        if shape != list(tensors[name].shape):
            found = list(tensors[name].shape)
            raise ModelFileError(f"{path}: header field 'shapes', {name!r}: {shape!r}, but the tensor has {found}")


def _family(path, header):
    """What the header says the networks are for."""
    distribution = header.get("distribution")
    described = next((key for key in _DESCRIBED if key in header), None)
    if not described:
        if distribution in FAMILIES:
            return FAMILIES[distribution]
        raise ModelFileError(f"{path}: distribution {distribution!r} is unknown here; known: {', '.join(FAMILIES)}")

    def refuse(why):
        return ModelFileError(
            f"{path}: its description of {distribution!r} cannot be read (header field {described!r}: {why})"
        )

    given = _field(path, header, described)
    missing = [k for k in _DESCRIPTION[described] if k not in given]
    if missing:
        raise refuse(f"{', '.join(missing)} missing")
    for key in ("highest_x", "lowest_sine"):
        if key in given and not (_number(given[key]) and given[key] >= 0.0):  # 0.0 in an imported model
            raise refuse(f"{key} is {given[key]!r}, not a number from 0 up")
    maps = given.get("maps", [[0.0] * 4] * len(RESULTS))
    rows = maps if isinstance(maps, list) else []
    if len(rows) != len(RESULTS) or not all(isinstance(m, list) and len(m) == 4 and all(map(_number, m)) for m in rows):
        raise refuse(f"maps are not four numbers for each of {len(RESULTS)} coefficients")
    try:
        return _DESCRIBED[described].read(header[described])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise refuse(str(error)) from None


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
    family = _family(path, header)
    _check_domain(path, header, family)
    _check_shapes(path, header, tensors)
    report = _field(path, header, "report")
    weights: dict = {}
    ensemble = _members(path, header) > 1
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
    return family, weights, report
