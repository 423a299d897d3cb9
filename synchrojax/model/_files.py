"""Model files: safetensors weights under a readable header. Reading one executes no code."""

import importlib.resources
import json
import pathlib
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import safetensors
import safetensors.numpy
from jaxtyping import Shaped

from synchrojax.core import PathLike, from_json, is_finite_number, written_in_one
from synchrojax.families import DESCRIBED, FAMILIES, AbstractFamily, is_packaged
from synchrojax.networks import described, restored, tensors_of
from synchrojax.tables import RESULTS

Tensors: TypeAlias = dict[str, Shaped[np.ndarray, "..."]]
FORMAT = "synchrojax-model-1"
MODEL_FILE = "model.safetensors"  # in the directory of a configuration


class ModelFileError(ValueError):
    """A file that is not a usable model; the message names file and tensor."""


def packaged(name: str) -> pathlib.Path:
    """Where the packaged model of that name is."""
    return pathlib.Path(
        str(importlib.resources.files("synchrojax") / "weights" / f"{name}.safetensors")
    )


def write_model(
    path: PathLike,
    family: AbstractFamily,
    networks: Mapping[str, Any],
    report: Mapping[str, Any],
) -> None:
    """Write ``networks`` (head -> module), what makes them again, and ``report``, as data."""
    path = pathlib.Path(path)
    tensors = {
        f"{head}.{name}": np.ascontiguousarray(value)
        for head, network in networks.items()
        for name, value in tensors_of(network).items()
    }
    header = {
        "format": FORMAT,
        "distribution": family.name,
        "domain": json.dumps(dict(family.domain)),
        "units": "CGS; s = nu / nu_c, theta [rad]",
        "networks": json.dumps({head: described(network) for head, network in networks.items()}),
        "shapes": json.dumps({k: list(v.shape) for k, v in tensors.items()}),
        "report": json.dumps(report),
        **family.described(),
    }
    with written_in_one(path) as temporary:
        safetensors.numpy.save_file(tensors, temporary, header)


def _field(path: pathlib.Path, header: Mapping[str, str], key: str, kind: Any = dict) -> Any:
    """The JSON of one header field, or nothing where the field is absent.

    Raises ModelFileError naming it.
    """
    try:
        return (
            from_json(header[key], f"{path}: header field {key!r}", kind)
            if key in header
            else kind()
        )
    except ValueError as error:
        raise ModelFileError(str(error)) from None


def _check_domain(path: pathlib.Path, header: Mapping[str, str], family: AbstractFamily) -> None:
    """The box that the file names must be one, of the inputs of its family."""
    domain = _field(path, header, "domain")
    for name, ends in domain.items():
        if not (
            isinstance(ends, list)
            and len(ends) == 2
            and all(map(is_finite_number, ends))
            and ends[0] < ends[1]
        ):
            raise ModelFileError(
                f"{path}: header field 'domain', {name!r}: {ends!r} is not low and high numbers"
            )
    if domain and set(domain) != set(family.domain):
        raise ModelFileError(
            f"{path}: header field 'domain' is for {', '.join(domain)}; {family.name!r} has "
            f"{', '.join(family.domain)}"
        )
    for name, ends in domain.items():
        # the networks were trained in that box, the model would call another one its own
        if not np.allclose(ends, family.domain[name], rtol=1e-6, atol=0.0):
            low, high = family.domain[name]
            raise ModelFileError(
                f"{path}: header field 'domain', {name!r}: trained from {ends[0]:.6g} to "
                f"{ends[1]:.6g}, but {family.name!r} is from {low:.6g} to {high:.6g} in this "
                "version: train it again, or use the version that made the file"
            )


def _check_shapes(path: pathlib.Path, header: Mapping[str, str], tensors: Tensors) -> None:
    """The shapes that the file names must be those of its tensors."""
    for name, shape in _field(path, header, "shapes").items():
        if name not in tensors:
            raise ModelFileError(
                f"{path}: header field 'shapes' names tensor {name!r}, which is missing"
            )
        if shape != list(tensors[name].shape):
            found = list(tensors[name].shape)
            raise ModelFileError(
                f"{path}: header field 'shapes', {name!r}: {shape!r}, but the tensor has {found}"
            )


def _family(path: pathlib.Path, header: Mapping[str, str]) -> AbstractFamily:
    """What the header says the networks are for."""
    distribution = header.get("distribution")
    entry = next((key for key in DESCRIBED if key in header), None)
    if not entry:
        if distribution in FAMILIES:
            return FAMILIES[distribution]
        raise ModelFileError(
            f"{path}: distribution {distribution!r} is unknown here; known: {', '.join(FAMILIES)}. "
            "One of your own is known by synchrojax.families.FAMILIES or DESCRIBED: import the "
            "module that puts it there first"
        )

    def refuse(why: str) -> ModelFileError:
        return ModelFileError(
            f"{path}: its description of {distribution!r} cannot be read (header field {entry!r}: "
            f"{why})"
        )

    (read, needed), given = DESCRIBED[entry], _field(path, header, entry)
    missing = [k for k in needed if k not in given]
    if missing:
        raise refuse(f"{', '.join(missing)} missing")
    for key in ("highest_x", "lowest_sine"):
        # 0.0 in an imported model
        if key in given and not (is_finite_number(given[key]) and given[key] >= 0.0):
            raise refuse(f"{key} is {given[key]!r}, not a number from 0 up")
    maps = given.get("maps", [[0.0] * 4] * len(RESULTS))
    rows = maps if isinstance(maps, list) else []
    if len(rows) != len(RESULTS) or not all(
        isinstance(m, list) and len(m) == 4 and all(map(is_finite_number, m)) for m in rows
    ):
        raise refuse(f"maps are not four numbers for each of {len(RESULTS)} coefficients")
    try:
        return read(header[entry])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise refuse(str(error)) from None


def require_readable(family: AbstractFamily) -> None:
    """Raise ValueError where the header of a model file would not give ``family`` again.

    The text "Implementing a family" says how it does.
    """
    given = family.described()
    entries = ", ".join(map(repr, given))

    def refuse(why: str) -> ValueError:
        return ValueError(
            f"a model file of {type(family).__name__} {family.name!r} could not be read back: "
            f'{why} ("Implementing a family", docstring of synchrojax.families)'
        )

    if not given:
        if is_packaged(family):
            return
        raise refuse(
            "it has no settings, and synchrojax.families.FAMILIES does not hold it under its name: "
            f"put it there; taken are {', '.join(FAMILIES)}"
        )
    if not any(entry in DESCRIBED for entry in given):
        raise refuse(
            f"synchrojax.families.DESCRIBED has no entry {entries}: put there what reads it"
        )
    try:
        found = _family(pathlib.Path("it"), {"distribution": family.name, **given})
    except ModelFileError as error:
        raise refuse(str(error)) from None
    ours, theirs = (
        {
            "class": type(f).__name__,
            "name": f.name,
            "domain": dict(f.domain),
            "heads": dict(f.heads),
            "description": dict(f.described()),
        }
        for f in (family, found)
    )
    for what, own in ours.items():
        if theirs[what] != own:
            raise refuse(
                f"what reads the entry {entries} returns one with the {what} {theirs[what]!r} "
                f"instead of {own!r}"
            )


def read_model(path: PathLike) -> tuple[AbstractFamily, dict[str, Any], dict[str, Any]]:
    """(family, weights, report) of a model file, checked before use."""
    path = pathlib.Path(path)
    if not path.is_file():
        raise ModelFileError(f"{path}: no such model file")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, safetensors.SafetensorError) as error:
        raise ModelFileError(
            f"{path}: not a readable safetensors file, or truncated ({error})"
        ) from None
    if header.get("format") != FORMAT:
        raise ModelFileError(
            f"{path}: not a synchrojax model (format {header.get('format')!r}, expected {FORMAT!r})"
        )
    family = _family(path, header)
    _check_domain(path, header, family)
    _check_shapes(path, header, tensors)
    report = _field(path, header, "report")
    descriptions, below = _descriptions(path, header, family, tensors)
    try:
        networks = {
            head: restored(each, tensors, head, below=below) for head, each in descriptions.items()
        }
    except ValueError as error:
        raise ModelFileError(f"{path}: {error}") from None
    if tensors:
        raise ModelFileError(f"{path}: unknown tensors {', '.join(sorted(tensors))}")
    return family, networks, report


def _descriptions(
    path: pathlib.Path, header: Mapping[str, str], family: AbstractFamily, tensors: Tensors
) -> tuple[dict[str, Any], str]:
    """({head: what ``restored`` takes}, its ``below``), checked against the family."""
    if "networks" not in header:
        return _undescribed(path, header, family, tensors)
    found = _field(path, header, "networks")
    wrong = [
        head for head in (*family.heads, *found) if head not in found or head not in family.heads
    ]
    if wrong:
        raise ModelFileError(
            f"{path}: header field 'networks' is for {', '.join(found)}; {family.name!r} has "
            f"{', '.join(family.heads)}"
        )
    for head, wanted in family.heads.items():
        sizes = (
            tuple(found[head].get(k) for k in ("inputs", "outputs"))
            if isinstance(found[head], dict)
            else ()
        )
        if sizes != (wanted.inputs, wanted.outputs):
            raise ModelFileError(
                f"{path}: header field 'networks', {head!r}: {found[head]!r} has not the "
                f"{wanted.inputs} inputs and {wanted.outputs} outputs of this head"
            )
    return found, ""


def _undescribed(
    path: pathlib.Path, header: Mapping[str, str], family: AbstractFamily, tensors: Tensors
) -> tuple[dict[str, Any], str]:
    """The same for files of version 0.1, whose tensors are named without "layers.".

    They hold perceptrons of the family's kind, as wide as their tensors.
    """
    text = header.get("members", "1")
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise ModelFileError(
            f"{path}: header field 'members': {text!r} is not a positive whole number"
        )
    members = {"members": int(text)} if int(text) > 1 else {}
    found = {}
    for head, wanted in family.heads.items():
        biases: list = []
        while f"{head}.{len(biases)}.bias" in tensors:
            biases.append(tensors[f"{head}.{len(biases)}.bias"])
        widths = [bias.shape[-1] if bias.ndim else 0 for bias in biases[:-1]]
        kind = {"activation": wanted.activation, "output": wanted.output}
        found[head] = {
            "inputs": wanted.inputs,
            "outputs": wanted.outputs,
            "widths": widths,
            **kind,
            **members,
        }
    return found, "layers."
