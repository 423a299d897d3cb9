"""Rooms in order: data flow one way, and a room is entered by its door."""

import ast
import inspect
import pathlib

import pytest

import synchrojax
from synchrojax import distributions, families
from synchrojax.core import COMMON, UNITS
from synchrojax.families import FAMILIES, AbstractFamily, Family, TableFamily

PACKAGE = pathlib.Path(synchrojax.__file__).parent
# from below; each may import those before it
ORDER = (
    *(
        "core",
        "special",
        "distributions",
        "exact",
        "tables",
        "networks",
        "families",
        "model",
        "transfer",
    ),
    *("generate", "train", "validate", "spectra", "cli"),
)
WITHOUT_CODE = ("weights",)
# one room knows each
OWN_LIBRARIES = {"flax": "networks", "optax": "train", "h5py": "model", "argparse": "cli"}


def sources():
    """{dotted name below the package: parsed source}."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def imported(tree):
    """Every module or name that is imported, dotted, wherever in the file it is."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def by_string(tree):
    """What is imported by a call: the text of its name, "" where that is computed."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if called in ("import_module", "__import__"):
                given = [*node.args, *(k.value for k in node.keywords if k.arg == "name")]
                first = given[0] if given else None
                yield str(first.value) if isinstance(first, ast.Constant) else ""


def faults(sources):
    """What breaks the rules, one line each."""
    for name, tree in sources.items():
        room = name.split(".")[0]
        if room in ("__init__", "__main__"):  # the doors of the house
            continue
        for target in by_string(tree):
            # a name that is computed, or relative, may be that of the package
            if target.partition(".")[0] in ("", "synchrojax"):
                yield f"{name} imports {target or 'something'} by a string: write an import"
        others = [t for t in by_string(tree) if t.partition(".")[0] in OWN_LIBRARIES]
        for target in (*imported(tree), *others):
            library, *inside = target.split(".")
            if OWN_LIBRARIES.get(library, room) != room:
                yield f"{name} imports {target}, which belongs to {OWN_LIBRARIES[library]}"
            if library != "synchrojax" or (room == "cli" and inside[:1] == ["__version__"]):
                continue
            if not inside:
                if room != "cli":
                    yield f"{name} imports the whole package"
                continue
            other = inside[0]
            if other not in ORDER:
                yield f"{name} imports {target}: no room"
            elif ORDER.index(other) > ORDER.index(room):
                yield f"{name} imports {target}: upwards"
            elif other != room and any(part.startswith("_") for part in inside):
                yield f"{name} imports {target}: not by the door of {other}"


def test_all_public_names_are_there():
    assert all(hasattr(synchrojax, name) for name in synchrojax.__all__)
    assert not hasattr(synchrojax, "nothing")


def test_every_room_has_its_place():
    found = {
        p.stem for p in PACKAGE.iterdir() if p.suffix in ("", ".py") and not p.name.startswith("_")
    }
    assert found == {*ORDER, *WITHOUT_CODE}


def test_nothing_is_imported_upwards():
    assert list(faults(sources())) == []


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("core._sky", "from synchrojax.model import load", "upwards"),
        ("special._bessel", "import synchrojax.exact", "upwards"),
        ("transfer._solve", "from synchrojax.core._sky import turned", "not by the door of core"),
        ("train._train", "from synchrojax import validate", "upwards"),
        ("families.thermal._physics", "from flax import nnx", "belongs to networks"),
        ("exact._integrals", "from synchrojax import load", "no room"),
        ("core._inputs", "import synchrojax", "whole package"),
        ("core._files", 'importlib.import_module("synchrojax.validate")', "by a string"),
        ("core._files", 'import_module(name="synchrojax")', "by a string"),
        ("core._files", 'f = lambda: __import__("synchrojax.validate").validate', "by a string"),
        ("core._files", 'import_module(".validate", "synchrojax")', "by a string"),
        ("core._files", 'import_module(f"synchrojax.{name}")', "imports something by a string"),
        ("core._files", "import_module(options.name)", "imports something by a string"),
        ("families.thermal._physics", 'importlib.import_module("flax.nnx")', "belongs to networks"),
        ("families._kappa", "def f():\n    from synchrojax.cli import main", "upwards"),
    ],
)
def test_an_upward_import_is_seen(name, line, message):
    (fault,) = faults({name: ast.parse(line)})
    assert message in fault


def test_libraries_may_be_imported_by_a_string():
    line = 'importlib.import_module("scipy.stats"), __import__("math")'
    assert list(faults({"core._files": ast.parse(line)})) == []


def test_rooms_say_what_they_are():
    for name, tree in sources().items():
        if name in ORDER:
            text = ast.get_docstring(tree)
            assert text, name
            assert "import" in text, f"{name} does not say what it may import"


def test_a_packaged_family_is_in_every_register():
    """The steps of "Adding a distribution", which name each register."""
    for name, family in FAMILIES.items():
        assert distributions.get_distribution(name) is family.distribution
        assert set(family.parameters) <= set(UNITS) - set(COMMON), name
        module = inspect.getmodule(type(family))
        assert vars(module)[name.upper()] is family
    for text, registers in (
        (families.__doc__, ("_NAMES", "UNITS", "FAMILIES", "pip install -e")),
        (distributions.__doc__, ("_NAMES", "UNITS", "pip install -e")),
    ):
        assert all(register in " ".join(text.split()) for register in registers)


def test_no_family_overrides_a_method_that_has_a_body():
    """A class is abstract or final, and what an abstract one does, no other does again."""
    kinds = [type(family) for family in FAMILIES.values()] + [Family, TableFamily]
    for kind in kinds:
        assert kind.__final__, kind
        bases = [b for b in kind.__mro__[1:] if issubclass(b, AbstractFamily)]
        assert all(inspect.isabstract(b) for b in bases)
        for base in bases:
            done = {n for n, v in vars(base).items() if inspect.isfunction(v)}
            done -= base.__abstractmethods__
            assert not done & set(vars(kind)), kind
