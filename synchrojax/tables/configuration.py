"""The configuration of a model trained on a table: TOML, in the words of neurosynchro."""

import collections.abc
import difflib
import pathlib
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, NoReturn

import tomli_w

from synchrojax.core import COMMON, PathLike, is_finite_number, read_text, write_text
from synchrojax.tables.mapping import (
    BOUNDS,
    KINDS,
    LOCKED,
    LOSSY,
    MAPPING_KEYS,
    NORMALIZATIONS,
    OUT_OF_SAMPLE,
    Mapping,
)
from synchrojax.tables.network_space import CONVENTIONS, SPACES, space_of

FILE = "nn_config.toml"
_INPUTS = ("s", "theta")


class ConfigError(ValueError):
    """A configuration that cannot be used; the message names file and key."""


@dataclass(frozen=True)
class Recipe:
    """Architecture and training of one network. A result may change any of it."""

    units: tuple[int, ...]
    activation: str = "relu"
    output: str = "linear"
    # of inputs; or "extended": with combinations of s and theta that the physics suggests
    features: str = "mapped"
    method: str = (
        "adam"  # or "levenberg_marquardt", joint training with the results of the same group
    )
    epochs: int = 30  # in each of two passes
    batch_size: int = 2000
    rate: float = 1e-3
    sigma_clip: float = 7.0  # between the passes, in deviations of the error; 0 for none
    iterations: int = 170  # of Levenberg-Marquardt


RECIPES = {
    "recommended": Recipe(
        (32, 32), "tanh", features="extended", method="levenberg_marquardt", sigma_clip=0.0
    ),
    "generic": Recipe((300,)),
    "twolayer": Recipe((120, 60)),
    "binary": Recipe((120, 60), output="sigmoid", sigma_clip=0.0),
}
_RECIPE_KEYS = tuple(f.name for f in fields(Recipe))
_CHOICES = {
    "activation": ("tanh", "relu", "sigmoid"),
    "output": ("linear", "sigmoid"),
    "features": ("mapped", "extended"),
    "method": ("adam", "levenberg_marquardt"),
}


@dataclass(frozen=True)
class Result:
    """One result: its mapping, and how it is learned."""

    mapping: Mapping
    trainer: str = "recommended"
    group: str | None = None  # results of one group share a network
    changes: tuple = ()  # ((key of Recipe, value), ...)

    @property
    def recipe(self) -> Recipe:
        """The recipe with the changes of this result."""
        return replace(RECIPES[self.trainer], **dict(self.changes))

    @property
    def head(self) -> str:
        """The network it belongs to."""
        return self.group or self.mapping.name


@dataclass(frozen=True)
class Config:
    """What a table-trained model is: conventions, inputs, results, and how they are learned."""

    convention: str
    params: tuple[Mapping, ...]
    results: tuple[Result, ...]

    @property
    def space(self) -> Any:
        """Which network space the results belong to (see ``network_space``)."""
        return space_of([r.mapping.name for r in self.results])

    @property
    def mappings(self) -> tuple[Mapping, ...]:
        """Of all columns."""
        return (*self.params, *(r.mapping for r in self.results))

    @property
    def is_locked(self) -> bool:
        """True once bounds, means and deviations are there."""
        return all(m.is_locked for m in self.mappings)

    def with_mappings(self, mappings: Sequence[Mapping]) -> "Config":
        """The same with other mappings, in the order of ``mappings``."""
        cut = len(self.params)
        results = [replace(r, mapping=m) for r, m in zip(self.results, mappings[cut:], strict=True)]
        return replace(self, params=tuple(mappings[:cut]), results=tuple(results))


def default(
    inputs: collections.abc.Mapping[str, str], *, convention: str, space: str = "synchrojax"
) -> Config:
    """A fresh configuration.

    ``inputs``: {name: "log" | "lin"}; s and theta are added where they are missing.
    """
    inputs = {"s": "log", "theta": "lin"} | dict(inputs)
    params = []
    for name, spacing in inputs.items():
        bounds = "theta" if name == "theta" else "empirical"
        maptype = "direct" if spacing == "lin" else "log"
        params.append(Mapping(name, maptype, phys_bounds_mode=bounds, out_of_sample="clip"))
    results = []
    for name in SPACES[space]:
        if space == "synchrojax":
            group = {"j": "emission", "a": "absorption"}.get(name[0], name[:5])
            results.append(
                Result(Mapping(name, "log" if name.endswith("_I") else "auto"), group=group)
            )
        elif name == "rho_Q_sign":
            results.append(
                Result(
                    Mapping(name, "direct", normalization_mode="unit_interval"), trainer="binary"
                )
            )
        else:
            maptype = {"rho_Q": "abs_log"}.get(
                name, "logit" if "_I" not in name and "rho" not in name else "log"
            )
            results.append(Result(Mapping(name, maptype), trainer="generic"))
    _check_names(params, results, FILE)
    return Config(convention, tuple(params), tuple(results))


def _unknown(key: str, known: tuple[str, ...], where: PathLike) -> NoReturn:
    near = difflib.get_close_matches(key, known, 1)
    hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"
    raise ConfigError(f"{where}: unknown key {key!r}{hint}")


def _choice(value: Any, choices: tuple[str, ...], where: str) -> None:
    if value not in choices:
        raise ConfigError(f"{where}: {value!r} is not one of {', '.join(choices)}")


def _number(value: Any, where: str, kind: type = float) -> Any:
    if not is_finite_number(value) or (kind is int and value != int(value)):
        raise ConfigError(f"{where}: {value!r} is not a {'whole ' * (kind is int)}number")
    return kind(value)


def _mapping_of(entry: dict[str, Any], where: str, *, auto: bool) -> Mapping:
    for key in ("name", "maptype"):
        if not isinstance(entry.get(key), str):
            raise ConfigError(f"{where}: key {key!r} is missing or not text")
    where = f"{where} ({entry['name']})"
    _choice(entry["maptype"], (*KINDS, "auto") if auto else tuple(KINDS), f"{where}, maptype")
    for key, choices in (
        ("phys_bounds_mode", tuple(BOUNDS)),
        ("normalization_mode", NORMALIZATIONS),
        ("out_of_sample", OUT_OF_SAMPLE),
    ):
        if key in entry:
            _choice(entry[key], choices, f"{where}, {key}")
    numbers = {k: _number(entry[k], f"{where}, {k}") for k in (*LOCKED, "scale") if k in entry}
    for key in ("x_std", "scale"):
        if numbers.get(key, 1.0) <= 0.0:
            raise ConfigError(f"{where}, {key}: {numbers[key]:g} is not above 0")
    rest = {k: entry[k] for k in MAPPING_KEYS if k in entry and k not in numbers}
    return Mapping(**{**rest, **numbers})


def _result_of(entry: dict[str, Any], where: str) -> Result:
    mapping = _mapping_of(entry, where, auto=True)
    where = f"{where} ({mapping.name})"
    trainer = entry.get("trainer", "binary" if mapping.name.endswith("_sign") else "recommended")
    _choice(trainer, tuple(RECIPES), f"{where}, trainer")
    changes = []
    for key in _RECIPE_KEYS:
        if key not in entry:
            continue
        value, at = entry[key], f"{where}, {key}"
        if key == "units":
            if not isinstance(value, list) or not value:
                raise ConfigError(f"{at}: expected a list of layer widths such as [32, 32]")
            value = tuple(_number(v, at, int) for v in value)
        elif key in _CHOICES:
            _choice(value, _CHOICES[key], at)
        else:
            value = _number(value, at, float if key in ("rate", "sigma_clip") else int)
        if (
            key in ("units", "epochs", "batch_size", "rate", "iterations")
            and min([value] if key != "units" else value) <= 0
        ):
            raise ConfigError(f"{at}: {entry[key]!r} is not positive")
        changes.append((key, value))
    group = entry.get("group")
    if group is not None and not (isinstance(group, str) and group.isidentifier()):
        raise ConfigError(f"{where}, group: {group!r} is not a plain name")
    result = Result(mapping, trainer, group, tuple(changes))
    if result.recipe.output == "sigmoid" and mapping.normalization_mode != "unit_interval":
        raise ConfigError(f'{where}: a sigmoid output needs normalization_mode = "unit_interval"')
    return result


def _entries(text: str, name: PathLike) -> dict[str, Any]:
    """TOML ``text`` as data with known keys only."""
    try:
        entries = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name}: not valid TOML: {error}") from None
    for key in entries:
        if key not in ("convention", "params", "results"):
            _unknown(key, ("convention", "params", "results"), name)
    for key in ("params", "results"):
        if not isinstance(entries.get(key), list) or not all(
            isinstance(e, dict) for e in entries[key]
        ):
            raise ConfigError(f"{name}: no [[{key}]] in it")
    for kind, known in (
        ("params", MAPPING_KEYS),
        ("results", (*MAPPING_KEYS, "trainer", "group", *_RECIPE_KEYS)),
    ):
        for number, entry in enumerate(entries[kind], 1):
            for key in entry:
                if key not in known and not (kind == "params" and key == "trainer"):
                    _unknown(
                        key, known, f"{name}: [[{kind}]] number {number} ({entry.get('name')})"
                    )
    return entries


def _check_names(params: list[Mapping], results: list[Result], name: PathLike) -> None:
    """Refuse names that stand there twice and inputs that are missing or lose digits or signs."""
    for kind, names in (
        ("params", [m.name for m in params]),
        ("results", [r.mapping.name for r in results]),
    ):
        for n in names:
            if names.count(n) > 1:
                raise ConfigError(
                    f"{name}: [[{kind}]] name {n!r} stands there {names.count(n)} times"
                )
    taken = [m.name for m in params if m.name in COMMON and m.name not in _INPUTS]
    if taken:
        raise ConfigError(
            f"{name}: [[params]] name {taken[0]!r} is an input of every model: give the column "
            "another name; s = nu / nu_c stands for nu and B, and coefficients scale with n_e"
        )
    missing = [n for n in _INPUTS if n not in [m.name for m in params]]
    if missing:
        raise ConfigError(
            f"{name}: [[params]] lacks {' and '.join(missing)}: coefficients scale with them"
        )
    for m in params:
        if m.maptype in LOSSY:
            raise ConfigError(
                f"{name}: [[params]] {m.name}: maptype {m.maptype!r} loses {LOSSY[m.maptype]}"
            )


def _check_results(results: list[Result], name: PathLike) -> None:
    """Refuse signs that are lost and groups whose members differ in their recipes."""
    names = [r.mapping.name for r in results]
    for r in results:
        lossy = LOSSY.get(r.mapping.maptype)
        if (
            lossy
            and not (r.mapping.name == "rho_Q" and "rho_Q_sign" in names)
            and r.mapping.name != "rho_Q_sign"
        ):
            pair = ": add a result rho_Q_sign, which restores it" * (r.mapping.name == "rho_Q")
            raise ConfigError(
                f"{name}: [[results]] {r.mapping.name}: maptype {r.mapping.maptype!r} loses "
                f"{lossy}{pair}"
            )
        if r.mapping.name == "rho_Q" and "rho_Q_sign" in names and r.mapping.maptype != "abs_log":
            raise ConfigError(
                f"{name}: rho_Q_sign stands beside rho_Q only if that is mapped by abs_log"
            )
    for head in {r.head for r in results}:
        shared = [r for r in results if r.head == head]
        if any(r.recipe != shared[0].recipe for r in shared):
            raise ConfigError(f"{name}: the results of group {head!r} differ in their recipes")


def parse(text: str, name: PathLike) -> Config:
    """A ``Config`` from TOML ``text``, one of neurosynchro too; ``name`` stands in messages.

    A nn_config.toml of neurosynchro names no convention: it is that of neurosynchro. Raises
    ConfigError.
    """
    entries = _entries(text, name)
    params = [
        _mapping_of(e, f"{name}: [[params]] number {i}", auto=False)
        for i, e in enumerate(entries["params"], 1)
    ]
    results = [
        _result_of(e, f"{name}: [[results]] number {i}")
        for i, e in enumerate(entries["results"], 1)
    ]
    _check_names(params, results, name)
    config = Config(entries.get("convention", "neurosynchro"), tuple(params), tuple(results))
    _choice(config.convention, CONVENTIONS, f"{name}, convention")
    if config.space is None:
        listed = "; or ".join(", ".join(names) for names in SPACES.values())
        raise ConfigError(
            f"{name}: [[results]] must be {listed}; got "
            f"{', '.join(r.mapping.name for r in results)}"
        )
    _check_results(results, name)
    return config


def path_of(directory: PathLike) -> pathlib.Path:
    """The configuration file in ``directory``, or ``directory`` itself if it is a file."""
    directory = pathlib.Path(directory)
    return directory if directory.suffix == ".toml" else directory / FILE


def read(directory: PathLike) -> Config:
    """The ``Config`` in a directory."""
    path = path_of(directory)
    try:
        text = read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path}: cannot be read ({error}); `synchrojax init` makes one"
        ) from None
    return parse(text, path)


def dump(config: Config) -> str:
    """TOML text of ``config``."""

    def entry(mapping: Mapping) -> dict[str, Any]:
        return {k: v for k, v in asdict(mapping).items() if v is not None}

    results = []
    for r in config.results:
        extra = {"trainer": r.trainer, **({"group": r.group} if r.group else {})}
        results.append(
            entry(r.mapping) | extra | {k: list(v) if k == "units" else v for k, v in r.changes}
        )
    return tomli_w.dumps(
        {
            "convention": config.convention,
            "params": [entry(m) for m in config.params],
            "results": results,
        }
    )


def write(directory: PathLike, config: Config) -> pathlib.Path:
    """Write the configuration file at once: a killed run leaves the old one."""
    path = path_of(directory)
    write_text(path, dump(config))
    return path
