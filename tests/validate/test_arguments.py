"""What ``validate`` and its kin refuse before they compute anything."""

import re
from types import SimpleNamespace

import numpy as np
import pytest

import synchrojax
from synchrojax.families import FAMILIES
from synchrojax.model import Model
from synchrojax.validate import _fits, cost, report, validate, validate_table


def tilted(highest):
    """A Family of an f that is not normalised, which is told when it is made."""
    with pytest.warns(UserWarning, match="f integrates to"):
        return synchrojax.Family(
            "tilted", lambda gamma, mu, a: gamma ** (a - 4.0), {"a": (0.0, highest)}, gamma_max=1e3
        )


OWN, OTHER = tilted(1.0), tilted(2.0)
MINE = Model({}, OWN, "clip", "{}")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"n": 0}, "n (points) must be a whole number from 1 up, got 0"),
        ({"n": 2.5}, "n (points) must be a whole number from 1 up, got 2.5"),
        ({"seed": -1}, "seed must be a whole number from 0 up, got -1"),
        ({"family": OWN}, "the model of 'thermal' has its distribution: leave family out"),
        ({"family": FAMILIES["thermal"]}, "family is the synchrojax.Family that a model of your"),
        ({"family": "thermal"}, "a model of your own was made with, got 'thermal'"),
    ],
)
def test_refused_by_validate(model, given, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        validate(model, quiet=True, **given)


@pytest.mark.parametrize(
    ("family", "message"),
    [
        (FAMILIES["kappa"], "family is the synchrojax.Family that a model of your own was made"),
        (OTHER, "the model is for 'tilted' in {'s': (10.0, 100000000.0), "),
    ],
)
def test_a_family_that_the_model_was_not_made_with(family, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        validate(MINE, family=family, quiet=True)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"convention": "x"}, "convention 'x' of the table: expected one of"),
        ({"convention": ["x"]}, "convention ['x'] of the table: expected one of"),
        ({"max_rows": 0}, "max_rows must be a whole number from 1 up, got 0"),
        ({"seed": -1}, "seed must be a whole number from 0 up, got -1"),
        ({"rows": 3}, "the mask of those to use, not 3; max_rows is how many of a large table"),
    ],
)
def test_refused_by_validate_table(model, tmp_path, given, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        validate_table(model, tmp_path, **given)


@pytest.mark.parametrize("call", [validate, cost, lambda name: validate_table(name, "table")])
def test_a_name_is_no_model(call):
    message = "needs a model, got 'thermal': load one by its name or path first, with synchrojax.lo"
    with pytest.raises(ValueError, match=message):
        call("thermal")


@pytest.mark.parametrize(
    ("name", "own", "emission", "rotation"),
    [
        ("thermal", {"theta_e": [2.0, 10.0, 10.0, 50.0]}, [0, 1, 0, 0], [0, 1, 1, 0]),
        ("kappa", {"kappa": [3.0, 8.0, 3.0, 3.0], "w": [5.0, 5.0, 5.0, 50.0]}, [1, 0, 1, 0], None),
        (
            "powerlaw",
            {"p": [3.0, 1.4, 3.0, 1.8], "gamma_min": [1.0, 6.0, 6.0, 6.0], "gamma_max": [1e9] * 4},
            [1, 0, 1, 1],
            [0, 0, 1, 0],
        ),
    ],
)
def test_where_fits_are_stated_to_hold(name, own, emission, rotation):
    points = {"s": np.array([2e3, 2e3, 1e6, 2e3]), "theta": np.full(4, 1.0)}
    points |= {k: np.array(v) for k, v in own.items()}
    found = _fits.stated(name, points)
    assert found["j_I"].tolist() == [bool(v) for v in emission]
    assert found["rho_V"].tolist() == [bool(v) for v in rotation or emission]
    for edge in ({"s": np.full(4, 9.0)}, {"theta": np.full(4, 0.2)}):
        assert not np.any(list(_fits.stated(name, points | edge).values()))


def test_axes_of_errors_are_for_the_span_of_an_input():
    """Whatever its name is: a logarithm for a decade or more, if nothing says that it is linear."""
    points = {
        "theta": np.geomspace(0.01, 1.5, 9),
        "kappa": np.geomspace(0.1, 100.0, 9),
        "steep": np.linspace(1.5, 7.0, 9),
        "k": np.linspace(0.0, 400.0, 9),
    }
    found = SimpleNamespace(points=points, linear=("theta",))
    scales = {name: report._scale(found, name) for name in points}
    assert scales == {"theta": "linear", "kappa": "log", "steep": "linear", "k": "linear"}
