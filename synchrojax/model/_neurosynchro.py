"""Read nn_config.toml and .h5 files of neurosynchro, through h5py; none of their code runs."""

import pathlib
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float

from synchrojax.core import PathLike, from_json, make_directory
from synchrojax.families import TableFamily
from synchrojax.model._files import ModelFileError, write_model
from synchrojax.networks import Perceptron
from synchrojax.tables import configuration
from synchrojax.tables.configuration import ConfigError, Result
from synchrojax.tables.network_space import SPACES

# kernel and bias
Layer: TypeAlias = tuple[Float[np.ndarray, "inputs outputs"], Float[np.ndarray, " outputs"]]
_ACTIVATIONS = ("relu", "tanh", "sigmoid", "linear")


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _layers(path: pathlib.Path, text: str) -> list[Any]:
    """The descriptions of the layers in the JSON ``text`` of a Keras model."""
    where = f"{path}: model_config"
    try:
        config = from_json(text, where).get("config")
    except ValueError as error:
        raise ModelFileError(str(error)) from None
    # Keras before 2.2.3 wrote a list
    layers = config.get("layers") if isinstance(config, dict) else config
    if not isinstance(layers, list) or not all(map(_is_layer, layers)):
        raise ModelFileError(f"{where}: holds no list of layers")
    return layers


def _is_layer(layer: Any) -> bool:
    return isinstance(layer, dict) and isinstance(layer.get("config"), dict)


def _contents(path: pathlib.Path) -> tuple[str, dict[str, np.ndarray]]:
    """(JSON of the model, its tensors by their names) in a Keras .h5 file."""
    try:
        import h5py
    except ImportError:
        raise ModelFileError(
            "Keras files need h5py: pip install 'synchrojax[neurosynchro]'"
        ) from None
    if not path.is_file():
        raise ModelFileError(f"{path}: no such file")
    try:
        with h5py.File(path, "r") as file:
            if "model_config" not in file.attrs or "model_weights" not in file:
                raise ModelFileError(
                    f"{path}: holds no whole Keras model (model_config and model_weights)"
                )
            tensors: dict = {}

            def collect(name: str, item: Any) -> None:
                if isinstance(item, h5py.Dataset):
                    tensors[name] = np.asarray(item[()], np.float64)

            group = file["model_weights"]
            group.visititems(collect)
            return _text(file.attrs["model_config"]), tensors
    except ModelFileError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise ModelFileError(
            f"{path}: not a readable Keras .h5 file ({error})".splitlines()[0]
        ) from None


def _dense(
    path: pathlib.Path, layer: dict[str, Any], tensors: dict[str, np.ndarray]
) -> tuple[Layer, str]:
    """((kernel, bias), activation) of one layer, checked."""
    kind, own = layer.get("class_name"), layer["config"]
    name = own.get("name")
    if kind != "Dense":
        raise ModelFileError(f"{path}: layer {name!r} is {kind}; only Dense layers are known")
    activation = own.get("activation") or "linear"
    if activation not in _ACTIVATIONS:
        raise ModelFileError(
            f"{path}: layer {name!r}: activation {activation!r} is not one of {_ACTIVATIONS}"
        )
    found = {
        k.rsplit("/", 1)[-1].split(":")[0]: v for k, v in tensors.items() if name in k.split("/")
    }
    kernel = found.get("kernel")
    if kernel is None:
        raise ModelFileError(f"{path}: layer {name!r} has no kernel")
    bias = found.get("bias", np.zeros(kernel.shape[-1]))
    if kernel.ndim != 2 or bias.shape != kernel.shape[1:]:
        raise _misfit(path, name, kernel, bias)
    if not (np.all(np.isfinite(kernel)) and np.all(np.isfinite(bias))):
        raise ModelFileError(f"{path}: layer {name!r} has weights that are not finite")
    return (kernel, bias), activation


def _misfit(path: pathlib.Path, name: Any, kernel: np.ndarray, bias: np.ndarray) -> ModelFileError:
    return ModelFileError(
        f"{path}: layer {name!r}: kernel {kernel.shape} and bias {bias.shape} do not fit"
    )


def read_dense(path: PathLike) -> tuple[tuple[Layer, ...], tuple[str, ...]]:
    """(((kernel, bias), ...), (activation, ...)) of a Sequential model of Dense layers from Keras.

    ``path``: the .h5 file that Keras 2 or 3 saved. Raises ModelFileError naming file and layer.
    """
    path = pathlib.Path(path)
    text, tensors = _contents(path)
    weights: list[Layer] = []
    activations = []
    for layer in _layers(path, text):
        # neither does anything to a prediction
        if layer.get("class_name") in ("InputLayer", "Dropout"):
            continue
        (kernel, bias), activation = _dense(path, layer, tensors)
        if weights and len(weights[-1][1]) != len(kernel):
            raise _misfit(path, layer["config"].get("name"), kernel, bias)
        weights.append((kernel, bias))
        activations.append(activation)
    if not weights:
        raise ModelFileError(f"{path}: no Dense layer in it")
    return tuple(weights), tuple(activations)


def import_neurosynchro(directory: PathLike, out: PathLike) -> pathlib.Path:
    """Write the model ``out`` (.safetensors) from a neurosynchro ``directory``; returns it.

    Its nine networks, its mappings and its formulas from their outputs to the eight coefficients
    are kept, in the signs of synchrojax: rho_Q is the other way round
    (``as_array(c, convention="neurosynchro")`` turns it back). Raises ConfigError and
    ModelFileError.
    """
    directory, out = pathlib.Path(directory), pathlib.Path(out)
    if out.suffix != ".safetensors":
        raise ModelFileError(f"{out}: a model file ends in .safetensors")
    if out.exists():
        raise ModelFileError(f"{out} exists; choose another name")
    path = configuration.path_of(directory)
    if not path.is_file():
        raise ConfigError(
            f"{path}: there is no such file: give the directory that neurosynchro trained in, with "
            "its .h5 files"
        )
    config = configuration.read(directory)
    if config.space != "neurosynchro":
        raise ConfigError(
            f"{path}: its results are not those of neurosynchro: "
            f"{', '.join(SPACES['neurosynchro'])}"
        )
    if not config.is_locked:
        raise ConfigError(
            f"{path}: holds no bounds, means and deviations: neurosynchro lock-domain-range was "
            "not run"
        )
    networks, results = {}, []
    for result in config.results:
        name = result.mapping.name
        file = directory / f"{name}.h5"
        layers, activations = read_dense(file)
        *hidden, last = activations
        if len(set(hidden)) > 1 or last not in ("linear", "sigmoid"):
            raise ModelFileError(
                f"{file}: activations {', '.join(activations)}: expected one kind, then linear or "
                "sigmoid"
            )
        if len(layers[0][0]) != len(config.params) or layers[-1][0].shape[1] != 1:
            shape = f"{len(layers[0][0])} inputs and {layers[-1][0].shape[1]} outputs"
            raise ModelFileError(
                f"{file}: has {shape}; {path} has {len(config.params)} inputs and 1 output for each"
            )
        changes = {
            "units": tuple(len(bias) for _, bias in layers[:-1]),
            "activation": hidden[0] if hidden else "relu",
            "output": last,
        }
        trainer = "binary" if last == "sigmoid" else "generic"
        results.append(Result(result.mapping, trainer, None, tuple(changes.items())))
        networks[name] = Perceptron.of(layers, activation=changes["activation"], output=last)
    config = configuration.Config(config.convention, config.params, tuple(results))
    family = TableFamily(directory.resolve().name, config, 0.0)
    report = {"imported": "from a neurosynchro directory; its accuracy was not measured here"}
    make_directory(out.parent, "a model file stands in a directory", ModelFileError)
    write_model(out, family, networks, report)
    return out
