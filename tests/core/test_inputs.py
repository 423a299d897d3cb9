"""Numbers, units, masks, labels and settings as users have them, over every place that takes
arrays; objects; sizes.
"""

import copy
import decimal
import fractions
import functools
import json
import pathlib
import pickle
import subprocess
import sys
import tempfile
import types
from dataclasses import replace

import jax
import jax.monitoring
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pinned
import pytest

import synchrojax
from synchrojax import Coefficients, SkyCoefficients, distributions, exact, generate, transfer
from synchrojax.core import quick_jit
from synchrojax.exact import _evaluate
from synchrojax.validate import validate

POINT = {"nu": 230e9, "B": 30.0, "n_e": 1e6, "theta": 1.0, "theta_e": 10.0}
SLAB = Coefficients(*(np.full(1, v) for v in (1.0, -0.6, 0.2, 1.5, -0.8, 0.3, -2.0, 4.0)))
# where a length or an angle goes, one cell and one ray: one compiled program for all of them
PLACES = {
    "ds": (lambda v: transfer.solve(SLAB, v, psi=0.1), "cm", 0.5),
    "psi of solve": (lambda v: transfer.solve(SLAB, 0.5, psi=v), "rad", 0.25),
    "g": (lambda v: transfer.solve(SLAB, 0.5, psi=0.1, g=v), "", 0.75),
    "background": (
        lambda v: transfer.solve(SLAB, 0.5, psi=0.1, background=(v, 0.0, 0.0, 0.0)),
        "erg s^-1 cm^-2 Hz^-1 sr^-1",
        2.0,
    ),
    "j_I of solve": (
        lambda v: transfer.solve(SLAB._replace(j_I=v), [0.5], psi=0.1),
        "erg s^-1 cm^-3 Hz^-1 sr^-1",
        2.0,
    ),
    "depths": (lambda v: transfer.depths(SLAB, v, psi=0.1), "cm", 0.5),
    "psi of rotate": (lambda v: synchrojax.rotate(SLAB, v), "rad", 0.25),
    "alpha_I of rotate": (lambda v: synchrojax.rotate(SLAB._replace(alpha_I=v), 0.1), "cm^-1", 2.0),
    "as_array": (
        lambda v: (synchrojax.as_array(SLAB._replace(j_I=v), convention="ipole"),),
        "",
        2.0,
    ),
    "factor": (lambda v: SLAB * v, "", 0.5),
}


def flat(found):
    return np.concatenate([np.ravel(np.asarray(v, np.float64)) for v in found])


def same(found, wanted, rtol=3e-6):
    found, wanted = flat(found), flat(wanted)
    np.testing.assert_allclose(found, wanted, rtol=rtol, atol=1e-12 * np.max(np.abs(wanted)))


@pytest.fixture(scope="session")
def plain(model):
    """The eight of the point."""
    return model.coefficients(POINT)


# Units -----------------------------------------------------------------------------------------

OTHER_UNITS = {
    "nu": ("GHz", 230.0),
    "B": ("mT", 3.0),
    "n_e": ("m^-3", 1e12),
    "theta": ("deg", np.degrees(1.0)),
    "theta_e": ("%", 1000.0),
}
PLACE_UNITS = {
    "cm": "pc",
    "rad": "deg",
    "": "%",
    "cm^-1": "km^-1",
    "erg s^-1 cm^-2 Hz^-1 sr^-1": "Jy sr^-1",
}


@pytest.mark.parametrize("name", POINT)
def test_quantities_in_other_units(model, plain, name):
    u = pytest.importorskip("astropy.units")
    unit, number = OTHER_UNITS[name]
    quantity = u.Quantity(number, unit)
    same(model.coefficients({**POINT, name: quantity}), plain)
    same(model.coefficients({**POINT, name: [quantity, quantity]}), np.repeat(np.array(plain), 2))
    assert model.flags({**POINT, name: quantity}) == 0
    # known numbers are folded into a program in another order
    same(
        quick_jit(lambda b: model.coefficients({**POINT, name: quantity, **b}))({}),
        plain,
        rtol=3e-5,
    )
    with pytest.raises(ValueError, match=rf"params\['{name}'\].* is in kg and takes"):
        model.coefficients({**POINT, name: 3.0 * u.kg})
    with pytest.raises(ValueError, match="is in kg and takes"):
        model.flags({**POINT, name: [3.0, 4.0] * u.kg})


def test_gauss_and_dimensionless_quantities(model, plain):
    u = pytest.importorskip("astropy.units")
    same(
        model.coefficients({**POINT, "B": 30.0 * u.G, "theta_e": 10.0 * u.dimensionless_unscaled}),
        plain,
    )
    for name, value in (
        ("nu", 1.3 * u.mm),
        ("theta_e", 6e10 * u.K),
        ("n_e", 1.0 * u.dimensionless_unscaled),
    ):
        with pytest.raises(ValueError, match=f"is in {value.unit} and takes"):
            model.coefficients({**POINT, name: value})


@pytest.mark.parametrize("place", PLACES)
def test_quantities_in_every_place(place):
    u = pytest.importorskip("astropy.units")
    call, unit, number = PLACES[place]
    other = PLACE_UNITS.get(unit)
    own = u.Quantity([number], "erg s^-1 cm^-3 Hz^-1 sr^-1" if place == "as_array" else unit)
    wanted = call(np.full(1, number))
    same(call(own), wanted)
    if other and place != "as_array":
        same(call(own.to(other, equivalencies=[])), wanted)
    with pytest.raises(ValueError, match="is in kg and takes"):
        call(3.0 * u.kg)


def test_fields_of_several_shapes_in_one_array():
    """They broadcast, as in rotate."""
    found = synchrojax.as_array(SLAB._replace(j_I=2.0), convention="synchrojax")
    same([found], synchrojax.as_array(SLAB._replace(j_I=np.full(1, 2.0)), convention="synchrojax"))


ONE_NUMBER = {
    "box": (
        lambda v: synchrojax.Family(
            "steep", lambda g, mu, steep: g**-steep, {"steep": (v, 50.0)}
        ).domain["steep"][0],
        "",
    ),
    "gamma_min": (
        lambda v: distributions.Function(lambda g, mu: g**-5.0, gamma_min=v)._bounds[0],
        "",
    ),
    "break": (
        lambda v: distributions.Function(lambda g, mu: g**-5.0, breaks=(v, 3.0)).breaks()[0],
        "",
    ),
    "range of a command": (lambda v: ranges_of_command(s=("log", v, 50.0)), ""),
    "range of theta": (lambda v: ranges_of_command(theta=("lin", 0.1, v)), "rad"),
}


def ranges_of_command(**own):
    """Where the program of a table of one point would be called: theta or s, whichever range is
    given.
    """
    ranges = {"s": ("log", 10.0, 50.0), "theta": ("lin", 0.1, 1.0), **own}
    with tempfile.TemporaryDirectory() as here:
        generate.generate_command(
            "true {s} {theta}", ranges, 1, pathlib.Path(here) / "table", quiet=True
        )
        known = json.loads((pathlib.Path(here) / "table" / "table.json").read_text())["inputs"]
    (name,) = own
    return known[name][1 if name == "s" else 2]


@pytest.mark.filterwarnings("ignore:f integrates to")
@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("place", ONE_NUMBER)
def test_where_one_number_is_wanted(place):
    """Units are converted or refused, masked elements and arrays are refused."""
    u = pytest.importorskip("astropy.units")
    call, unit = ONE_NUMBER[place]
    wanted = call(1.25)
    assert float(wanted) == 1.25
    scaled = u.Quantity(125.0, u.percent) if unit == "" else u.Quantity(np.degrees(1.25), u.deg)
    assert abs(float(call(scaled)) / 1.25 - 1) < 1e-12
    for wrong, message in (
        (1.25 * u.cm, "is in cm and takes"),
        (np.ma.masked, "masked"),
        (np.ones(2), "one number|Lorentz factors"),
    ):
        with pytest.raises(ValueError, match=message):
            call(wrong)


def test_positions():
    u = pytest.importorskip("astropy.units")
    wanted = np.array([1.0, 2.5])
    same([transfer.lengths(u.Quantity([0.0, 1e-5, 3.5e-5], "km"))], [wanted])
    same([transfer.lengths([0.0 * u.m, 1.0 * u.cm, 35.0 * u.mm])], [wanted])
    same([transfer.lengths(u.Quantity([0.0, 1.0, 3.5], "pc"))], [wanted * 3.0856775814913674e18])
    with pytest.raises(ValueError, match="positions is in s and takes cm"):
        transfer.lengths([0.0, 1.0] * u.s)


@pytest.mark.usefixtures("x64")
def test_exact_takes_what_models_take():
    """One compiled program: few points of one distribution."""
    u = pytest.importorskip("astropy.units")
    pandas = pytest.importorskip("pandas")
    wanted = exact.coefficients("thermal", POINT)
    quantities = {n: u.Quantity(number, unit) for n, (unit, number) in OTHER_UNITS.items()}
    same(exact.coefficients("thermal", quantities), wanted, rtol=1e-9)
    row = pandas.DataFrame([POINT]).iloc[0]
    same(exact.coefficients("thermal", row), wanted, rtol=1e-12)
    big = {n: np.asarray(v, ">f8") for n, v in POINT.items()} | {
        "B": np.float16(30.0),
        "theta": decimal.Decimal(1),
    }
    same(exact.coefficients("thermal", big), wanted, rtol=1e-12)
    with pytest.raises(ValueError, match="is in kg and takes"):
        exact.coefficients("thermal", {**POINT, "nu": 3.0 * u.kg})
    with pytest.raises(ValueError, match=r"2 masked element"):
        exact.coefficients("thermal", {**POINT, "nu": np.ma.masked_less([1.0, 2.0, 3e9], 5.0)})
    with pytest.raises(ValueError, match="must be real numbers"):
        exact.coefficients("thermal", {**POINT, "B": True})


def test_call_forms_of_exact(model):
    for call, kind, message in (
        (
            lambda: exact.coefficients(POINT, "thermal"),
            ValueError,
            "function f.gamma, mu., not dict",
        ),
        (
            lambda: exact.coefficients(model, POINT),
            ValueError,
            "is a model: give the name of its distribution, 'thermal'",
        ),
        (
            lambda: exact.coefficients("thermal", **POINT),
            TypeError,
            'write .{"nu": ..., "B": ..., "n_e"',
        ),
        (lambda: exact.coefficients("thermal"), TypeError, "params is one mapping"),
        (
            lambda: exact.coefficients(lambda gamma: gamma**-5.0, POINT),
            ValueError,
            "function f.gamma, mu, .*, not f.gamma.",
        ),
    ):
        with pytest.raises(kind, match=message):
            call()


@pytest.mark.usefixtures("x64")
def test_exact_under_strict_settings():
    """Its threads, too."""
    wanted = exact.coefficients("thermal", {**POINT, "B": [1.0, 30.0]})
    config = {"jax_numpy_dtype_promotion": "strict", "jax_numpy_rank_promotion": "raise"}
    usual = {name: getattr(jax.config, name) for name in config}
    try:
        for name, value in config.items():
            jax.config.update(name, value)
        _evaluate._block.cache_clear()
        same(exact.coefficients("thermal", {**POINT, "B": [1.0, 30.0]}), wanted, rtol=1e-12)
    finally:
        for name, value in usual.items():
            jax.config.update(name, value)


def test_exact_says_what_is_wrong_first():
    """A wrong name before the precision."""
    with jax.enable_x64(False):
        with pytest.raises(ValueError, match="unknown Theta_e"):
            exact.coefficients("thermal", {**POINT, "Theta_e": 3.0})
        with pytest.raises(ValueError, match="missing theta_e"):
            exact.coefficients("thermal", {n: v for n, v in POINT.items() if n != "theta_e"})
        with pytest.raises(RuntimeError, match="float64"):
            exact.coefficients("thermal", POINT)


class Carrying:
    """A value with a unit and no way to convert it."""

    unit = "GHz"

    def __array__(self, dtype=None, copy=None):
        return np.asarray(230.0)


class Unit:
    def __init__(self, name):
        self.name = name

    def __str__(self):
        return self.name


class Pintlike:
    def __init__(self, number, units):
        self.number, self.units = number, Unit(units)

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.number)

    def m_as(self, unit):
        factors = {("mT", "G"): 10.0, ("km", "cm"): 1e5}
        if (self.units.name, unit) not in factors:
            raise TypeError(f"cannot convert {self.units} to {unit}")
        return np.asarray(self.number) * factors[self.units.name, unit]


def test_units_of_other_packages(model, plain):
    with pytest.raises(ValueError, match=r"carries the unit 'GHz' and takes Hz"):
        model.coefficients({**POINT, "nu": Carrying()})
    for call, _, _ in PLACES.values():
        with pytest.raises(ValueError, match="GHz"):
            call(Carrying())
    metres = types.SimpleNamespace(units="T", magnitude=3e-3)
    with pytest.raises(ValueError, match="carries the unit 'T' and takes G"):
        model.coefficients({**POINT, "B": metres})


def test_a_quantity_like_that_of_pint(model, plain):
    same(model.coefficients({**POINT, "B": Pintlike(3.0, "mT")}), plain)
    same(PLACES["ds"][0](Pintlike(5e-6, "km")), PLACES["ds"][0](0.5))
    with pytest.raises(ValueError, match=r"B.* s.*takes G"):
        model.coefficients({**POINT, "B": Pintlike(3.0, "s")})


# Masks and labels ------------------------------------------------------------------------------


@pytest.mark.parametrize("place", PLACES)
def test_masks_in_every_place(place):
    call, _, number = PLACES[place]
    same(call(np.ma.masked_array([number], mask=[False])), call(np.full(1, number)))
    same(call(np.ma.masked_array([number])), call(np.full(1, number)))
    with pytest.raises((ValueError, TypeError), match="1 masked element"):
        call(np.ma.masked_array([number], mask=[True]))


def test_masks_of_params(model, plain):
    same(model.coefficients({**POINT, "B": np.ma.masked_array([30.0], mask=[False])}), plain)
    for what in (model.coefficients, model.flags):
        with pytest.raises(ValueError, match=r"params\['B'\].* has 1 masked element"):
            what({**POINT, "B": np.ma.masked_array([30.0, 1.0], mask=[False, True])})
    with pytest.raises(ValueError, match="masked"):
        model.coefficients({**POINT, "B": np.ma.masked})


def test_columns_of_an_astropy_table(model, plain):
    table = pytest.importorskip("astropy.table")
    u = pytest.importorskip("astropy.units")
    for kind in (table.Table, table.QTable):
        rows = kind({"nu": [230.0, 230.0] * u.GHz, "B": [3.0, 3.0] * u.mT, "p": [1.0, 1.0]})
        found = model.coefficients({**POINT, "nu": rows["nu"], "B": rows["B"], "theta": rows["p"]})
        same(found, np.repeat(np.array(plain), 2))
        masked = kind(rows, masked=True)
        masked["B"].mask = [False, True]
        with pytest.raises(ValueError, match="1 masked element"):
            model.coefficients({**POINT, "B": masked["B"]})
        same(model.coefficients({**POINT, "nu": masked["nu"]}), np.repeat(np.array(plain), 2))
        with pytest.raises(ValueError, match="takes G"):
            model.coefficients({**POINT, "B": rows["nu"]})


def test_xarray(model, plain):
    xarray = pytest.importorskip("xarray")
    x = xarray.DataArray([30.0, 30.0], dims="x")
    same(
        model.coefficients({**POINT, "B": x, "theta": 1.0 + 0.0 * x}), np.repeat(np.array(plain), 2)
    )
    other = xarray.DataArray([1.0, 1.0], dims="y")
    with pytest.raises(ValueError, match="has the axes"):
        model.coefficients({**POINT, "B": x, "theta": other})
    with pytest.raises(ValueError, match="has the axes"):
        transfer.solve(SLAB._replace(j_I=x), other, psi=0.1)
    with pytest.raises(ValueError, match="has the axes"):
        synchrojax.rotate(SLAB._replace(j_I=x), other)
    labelled = [xarray.DataArray([1.0, 1.0], dims="x", coords={"x": c}) for c in ([0, 1], [0, 2])]
    with pytest.raises(ValueError, match="other labels along 'x'"):
        model.coefficients({**POINT, "theta": labelled[0], "theta_e": labelled[1]})
    gauss = xarray.DataArray([30.0], dims="x", attrs={"units": "G"})
    same(model.coefficients({**POINT, "B": gauss}), plain)
    with pytest.raises(ValueError, match="'T' and takes G"):
        model.coefficients({**POINT, "B": gauss.assign_attrs(units="T")})
    with pytest.raises(ValueError, match="'km' and takes cm"):
        transfer.solve(SLAB, xarray.DataArray([1.0], dims="x", attrs={"units": "km"}), psi=0.1)
    data = xarray.Dataset({n: ("x", [v, v]) for n, v in POINT.items()})
    same(model.coefficients(data), np.repeat(np.array(plain), 2))


def test_pandas(model, plain):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame([POINT, POINT])
    same(model.coefficients(frame), np.repeat(np.array(plain), 2))
    same(model.coefficients(frame.iloc[0]), plain)
    assert model.flags(frame.iloc[0]) == 0
    shifted = pandas.Series([1.0, 1.0], index=[1, 2])
    with pytest.raises(ValueError, match="other labels along 'index'"):
        model.coefficients({**POINT, "B": frame["B"], "theta": shifted})
    same(
        model.coefficients({**POINT, "B": frame["B"], "theta": [1.0, 1.0]}),
        np.repeat(np.array(plain), 2),
    )
    with pytest.raises(ValueError, match=r"missing theta_e.*"):
        model.coefficients(frame.iloc[0].drop("theta_e"))
    missing = pandas.Series([30.0, None], dtype="Float64")
    for wrong in (missing, missing.array):
        with pytest.raises(ValueError, match="1 masked element"):
            model.coefficients({**POINT, "B": wrong})
    same(model.coefficients({**POINT, "B": missing[:1]}), plain)
    weights = pandas.Series([1.0, 2.0])
    same(weights * plain, np.array(plain)[:, None] * [1.0, 2.0])


def test_rows_of_structured_arrays(model, plain):
    kinds = [(n, ">f8") for n in POINT]
    rows = np.array([tuple(POINT.values())] * 2, kinds)
    same(model.coefficients(rows), np.repeat(np.array(plain), 2))
    same(model.coefficients(rows[0]), plain)
    same(model.coefficients(rows.view(np.recarray)), np.repeat(np.array(plain), 2))
    same(model.coefficients(rows.view(np.recarray)[1]), plain)


# Forms of real numbers -------------------------------------------------------------------------

FORMS = {
    "big-endian": lambda v: np.asarray(v, ">f8"),
    "big-endian single": lambda v: np.asarray([v], ">f4")[0:1],
    "big-endian whole": lambda v: np.asarray([v], ">i4"),
    "half": np.float16,
    "half array": lambda v: np.full(1, v, np.float16),
    "bfloat16": lambda v: jnp.full(1, v, jnp.bfloat16),
    "bfloat16 of NumPy": lambda v: np.full(1, v, ml_dtypes.bfloat16),
    "half of JAX": lambda v: jnp.asarray(v, jnp.float16),
    "extended": np.longdouble,
    "extended array": lambda v: np.full(1, v, np.longdouble),
    **{
        t.__name__: t
        for t in (np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64)
    },
    "fraction": fractions.Fraction,
    "decimal": decimal.Decimal,
    "decimals": lambda v: [decimal.Decimal(v)],
    "int": int,
    "range": lambda v: range(int(v), int(v) + 1),
    "objects": lambda v: np.array([v], object),
    "memory": lambda v: memoryview(np.full(1, float(v))),
    "jax": jnp.asarray,
    "list of jax": lambda v: [jnp.asarray(v)],
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_numbers(model, plain, form):
    """Those that every form holds exactly."""
    make = FORMS[form]
    found = model.coefficients({**POINT, "B": make(30), "theta": make(1), "theta_e": make(10)})
    same(found, plain)
    assert all(v.dtype == jnp.float32 for v in found)
    assert np.all(np.asarray(model.flags({**POINT, "B": make(30), "theta": make(1)})) == 0)
    for place in ("ds", "psi of solve", "g", "background", "psi of rotate", "factor"):
        call = PLACES[place][0]
        if place == "factor" and isinstance(make(2), list | range):
            continue  # the product of a tuple and a list has no meaning
        found = call(make(2))
        same(found, call(2.0))
        assert all(v.dtype in (jnp.float32, np.float64) for v in found), place


@pytest.mark.usefixtures("x64")
def test_precision_of_results(model):
    """The widest form decides; Python's numbers and whole ones go along; half precision becomes
    single.
    """
    for value, wanted in (
        (np.float32(30.0), "float32"),
        (np.float16(30.0), "float32"),
        (jnp.asarray(30.0, jnp.bfloat16), "float32"),
        (np.longdouble(30.0), "float64"),
        (np.asarray(30.0, ">f8"), "float64"),
        (np.asarray(30.0, ">f4"), "float32"),
        (30, "float64"),
        (30.0, "float64"),
        (np.int8(30), "float64"),
    ):
        assert model.coefficients({**POINT, "B": value}).j_I.dtype == wanted, value
    same(
        [model.coefficients({**POINT, "n_e": 10**30}).j_I],
        [model.coefficients({**POINT, "n_e": 1e30}).j_I],
    )
    both = model.coefficients(
        {n: np.float32(v) for n, v in POINT.items()} | {"B": np.float64(30.0)}
    )
    assert both.j_I.dtype == "float64"


def test_lists_that_hold_tracers(model, plain):
    def call(b):
        return jnp.stack(model.coefficients({**POINT, "B": [b, 30.0], "theta": (1, 1)}))

    same(quick_jit(call)(30.0), np.repeat(np.array(plain), 2), rtol=3e-5)
    same(
        jax.jit(lambda v: jnp.stack(synchrojax.rotate(SLAB, [v])))(0.25),
        synchrojax.rotate(SLAB, 0.25),
    )


REFUSED = {
    "bool": True,
    "bool of NumPy": np.True_,
    "bools": np.array([True]),
    "bools of JAX": jnp.array([True]),
    "list of bools": [True],
    "duration": np.timedelta64(3, "s"),
    "durations": np.array([1, 2], "timedelta64[s]"),
    "complex": 1j,
    "complex array": np.full(1, 1 + 0j),
    "complex of JAX": jnp.full(1, 1 + 0j),
    "text": "30",
    "texts": ["30"],
    "bytes": b"30",
    "None": None,
    "list of None": [None],
    "mapping": {"a": 1.0},
    "set": {1.0},
    "huge": 10**400,
    "date": np.datetime64("2026-01-01"),
    "ragged": [[1.0], [1.0, 2.0]],
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_real_number(model, kind):
    value = REFUSED[kind]
    for name in POINT:
        with pytest.raises(ValueError, match=rf"params\['{name}'\].* must be real numbers"):
            model.coefficients({**POINT, name: value})
    with pytest.raises(ValueError, match="must be real numbers"):
        model.flags({**POINT, "B": value})
    for place, (call, _, _) in PLACES.items():
        if place == "factor":
            with pytest.raises(TypeError):
                call(value)
        # None says that there is no psi and no g
        elif not (value is None and place in ("psi of solve", "g")):
            with pytest.raises(ValueError, match=r"must be real numbers|four Stokes"):
                call(value)


# Settings of JAX -------------------------------------------------------------------------------


def test_strict_promotion(model, plain):
    params = {n: np.full(1, v, np.float32) for n, v in POINT.items()} | {
        "B": np.float64(30.0),
        "n_e": 10**6,
    }
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        same(model.coefficients(params), plain)
        assert np.all(np.asarray(model.flags(params)) == 0)
        same(jax.jit(model.coefficients)(params), plain)
        column = {**POINT, "B": jnp.full((2, 1), 30.0), "theta": jnp.ones(3)}
        assert model.coefficients(column).j_I.shape == (2, 3)
        c = model.coefficients(params)
        turned = synchrojax.rotate(c, np.float32(0.25))
        same(turned, synchrojax.rotate(Coefficients(*map(np.asarray, c)), 0.25))
        light = transfer.solve(c, np.int32(3), psi=0.25, g=np.float16(0.5))
        same(light, transfer.solve(turned, [3.0], g=0.5))
        same(c + 2 * c, 3.0 * c)
        slope = jax.grad(lambda b: model.coefficients({**POINT, "B": b}).j_I)(30.0)
        each = jax.vmap(lambda b: model.coefficients({**POINT, "B": b}).j_I)(jnp.full(2, 30.0))
        assert np.isfinite(slope)
        # another program: ln j, about - 70, may differ in its last digit
        same([each], [np.repeat(np.asarray(plain.j_I), 2)], rtol=3e-5)
        assert synchrojax.as_array(c, convention="ipole").shape == (1, 8)
    difference = [model.coefficients({**POINT, "B": b}).j_I for b in (29.9, 30.1)]
    assert float(slope) == pytest.approx(float(difference[1] - difference[0]) / 0.2, rel=1e-2)


def test_debug_nans(model, plain):
    """Nothing on the way to ordinary results is NaN."""
    with jax.debug_nans(True):
        same(model.coefficients(POINT), plain)
        assert model.flags(POINT) == 0
        slope = jax.grad(lambda b: model.coefficients({**POINT, "B": b}).j_I * 1e16)(30.0)
        assert np.isfinite(slope)
        synchrojax.rotate(plain, 0.25)
        light = transfer.solve(SLAB, 0.5, psi=0.1)
    assert np.all(np.isfinite(flat(light)))


def test_without_jit(model, plain):
    with jax.disable_jit():
        same(model.coefficients(POINT), plain)
        assert model.flags(POINT) == 0
        same(synchrojax.rotate(SLAB, 0.25).j_U, [-0.6 * np.sin(0.5)])


# Export ----------------------------------------------------------------------------------------


def exported(function, *shapes):
    """``function`` through serialised code."""
    pytest.importorskip("flatbuffers")
    from jax import export

    found = export.export(jax.jit(function))(*shapes)
    return export.deserialize(found.serialize(vjp_order=1))


def test_export_of_coefficients_for_any_size(model):
    from jax import export

    (n,) = export.symbolic_shape("n")
    shape = jax.ShapeDtypeStruct((n,), jnp.float32)
    again = exported(lambda p: tuple(model.coefficients(p)), dict.fromkeys(POINT, shape))
    flags = exported(lambda p: model.flags(p), dict.fromkeys(POINT, shape))
    for size in (3, 7):
        params = {k: jnp.full(size, v, jnp.float32) for k, v in POINT.items()}
        params["B"] = params["B"] * jnp.linspace(1.0, 2.0, size)
        found = again.call(params)
        same(found, model.coefficients(params), rtol=3e-5)
        assert np.array_equal(flags.call(params), model.flags(params))

    def slopes(function):
        # each coefficient in units of its own: an exported call has no vmap, so no jacrev
        units = [1.0 / np.max(np.abs(v)) for v in model.coefficients(params)]
        return quick_jit(
            jax.grad(lambda p: sum(jnp.sum(v * u) for v, u in zip(function(p), units, strict=True)))
        )(params)

    mine, again_mine = slopes(model.coefficients), slopes(again.call)
    for k in POINT:
        np.testing.assert_allclose(
            again_mine[k], mine[k], rtol=1e-3, atol=1e-4 * np.max(np.abs(mine[k]))
        )


def test_results_are_known_to_serialisation(model):
    """Coefficients, Stokes and the rest as what they are, in and out, without the user's help."""
    again = exported(
        lambda p: model.coefficients(p), dict.fromkeys(POINT, jax.ShapeDtypeStruct((), jnp.float32))
    )
    assert again.out_tree == jax.tree.structure(SLAB)
    again = exported(lambda c: synchrojax.rotate(c, 0.25), jax.tree.map(jnp.asarray, SLAB))
    assert again.out_tree == jax.tree.structure(synchrojax.rotate(SLAB, 0.25))
    again = exported(lambda c: transfer.solve(c, 0.5, psi=0.1), jax.tree.map(jnp.asarray, SLAB))
    assert again.out_tree == jax.tree.structure(transfer.Stokes(0, 0, 0, 0))
    again = exported(lambda c: transfer.depths(c, 0.5, psi=0.1), jax.tree.map(jnp.asarray, SLAB))
    assert again.out_tree == jax.tree.structure(transfer.Depths(0, 0, 0))


def check_export_of_solve(rays, cells, sizes, method="scan"):
    psi = jax.ShapeDtypeStruct((cells,), jnp.float32)
    field = jax.ShapeDtypeStruct((rays, cells), jnp.float32)

    def light(c, ds, psi):
        return tuple(transfer.solve(c, ds, psi=psi, method=method))

    again = exported(lambda c, ds, psi: light(Coefficients(*c), ds, psi), (field,) * 8, psi, psi)
    for size, length in sizes:
        rng = np.random.default_rng(size)
        c = tuple(
            jnp.asarray(v * rng.uniform(0.5, 1.5, (size, length)), jnp.float32)
            for v in (1.0, -0.6, 0.2, 1.5, -0.8, 0.3, -2.0, 4.0)
        )
        ds, angles = (jnp.asarray(rng.uniform(0.1, 0.5, length), jnp.float32) for _ in range(2))
        wanted, pull = jax.vjp(
            lambda c, ds, angles: light(Coefficients(*c), ds, angles), c, ds, angles
        )
        found, again_pull = jax.vjp(again.call, c, ds, angles)
        same(found, wanted, rtol=1e-4)
        ones = tuple(map(jnp.ones_like, wanted))
        for x, y in zip(
            jax.tree.leaves(again_pull(ones)), jax.tree.leaves(pull(ones)), strict=True
        ):
            np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-4)


@pytest.mark.slow  # every size is compiled again
@pytest.mark.parametrize("method", transfer.METHODS)
def test_export_of_rays_of_any_number(method):
    from jax import export

    (rays,) = export.symbolic_shape("r")
    check_export_of_solve(rays, 3, [(1, 3), (4, 3)], method)


@pytest.mark.slow
def test_export_of_rays_of_any_length():
    from jax import export

    rays, cells = export.symbolic_shape("r, c")
    check_export_of_solve(rays, cells, [(1, 3), (4, 2)])


# Sizes -----------------------------------------------------------------------------------------

COMPILED = []


@pytest.fixture(scope="session", autouse=True)
def count_compilations():
    def listen(event, duration, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            COMPILED.append(duration)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield
    jax.monitoring.unregister_event_duration_listener(listen)


@pytest.fixture
def fresh(model):
    """A model that no other test has compiled anything for."""
    return replace(model, report_text='{"held_out": "fresh"}')


SIZES = (1, 2, 10, 100, 129, 500, 1024, 1500, 3000, 4096)


def compilations(call, sizes):
    before = len(COMPILED)
    for size in sizes:
        jax.block_until_ready(call(size))
    return len(COMPILED) - before


@pytest.mark.parametrize("what", ["coefficients", "flags"])
def test_ten_sizes_compile_four_times(fresh, what):
    def call(size):
        return getattr(fresh, what)({**POINT, "B": np.linspace(10.0, 40.0, size)})

    assert 1 <= compilations(call, SIZES) <= 4
    assert compilations(call, (*SIZES, 7, 3333)) == 0
    found = np.array(call(100))
    np.testing.assert_allclose(found[..., 40], np.array(call(3333))[..., 1346], rtol=1e-2)
    assert found.shape[-1] == 100


def test_ten_sizes_of_rotate_compile_four_times():
    assert compilations(lambda n: synchrojax.rotate(SLAB, np.linspace(0.0, 1.0, n)), SIZES) <= 4


@pytest.mark.slow  # the scan takes 10 s for every step
def test_ten_sizes_of_solve_compile_four_times():
    def rays(size):
        return transfer.solve(SLAB, 0.5, psi=np.linspace(0.0, 1.0, size)[:, None])

    assert compilations(rays, SIZES) <= 4
    assert compilations(rays, SIZES) == 0


@pytest.mark.slow  # compiles for half a minute
@pytest.mark.usefixtures("x64")
def test_ten_sizes_of_exact_compile_four_times():
    def call(size):
        return exact.coefficients("thermal", {**POINT, "B": np.linspace(10.0, 40.0, size)})

    quick_jit(jnp.negative)  # asks once which options the compiler takes
    assert compilations(call, (1, 2, 3, 10, 17, 64, 100, 128, 300, 500)) <= 4
    assert compilations(call, (7, 333)) == 0


def test_few_rays_share_a_program():
    def rays(size):
        return transfer.solve(SLAB, 0.5, psi=np.linspace(0.0, 1.0, size)[:, None])

    assert compilations(rays, (2, 3, 10, 64, 100, 128)) <= 1


def test_a_second_large_call_does_not_compile(fresh):
    def call(_):
        return fresh.coefficients({**POINT, "B": np.linspace(10.0, 40.0, 60_000)})

    assert compilations(call, [0]) >= 1
    assert compilations(call, [0, 0]) == 0


QUICK = """
import statistics, time, jax, synchrojax
model, point = synchrojax.load("thermal"), POINT
def median():
    times = []
    for _ in range(200):
        start = time.perf_counter()
        jax.block_until_ready(model.coefficients(point))
        times.append(time.perf_counter() - start)
    return statistics.median(times)
print(min(median() for _ in range(3)))
"""


def test_a_repeated_call_of_one_point_is_quick():
    """300 microseconds on a quiet machine; before, 27,000. As users run it: no checks of types."""
    code = QUICK.replace("POINT", repr({k: float(v) for k, v in POINT.items()}))
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(found.stdout) <= 5 * 300e-6


# Objects ---------------------------------------------------------------------------------------


@functools.partial(jax.jit, static_argnums=0)
def flags_of(model, params):
    return model.flags(params)


@pytest.mark.filterwarnings("ignore:f integrates to")
@pytest.mark.parametrize("kind", pinned.MAKERS)
def test_models_are_values(kind):
    one, two = pinned.MAKERS[kind](), pinned.MAKERS[kind]()
    assert one is not two
    assert one == two
    copies = [two, copy.deepcopy(one), copy.copy(one)]
    copies += [
        pickle.loads(pickle.dumps(one, protocol))
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)
    ]
    for other in copies:
        assert other == one
        assert hash(other) == hash(one)
        assert other.inputs == one.inputs
        assert other.domain == one.domain
    assert len({one, *copies}) == 1
    assert one != replace(one, out_of_domain="nan")
    assert one != replace(one, networks=jax.tree.map(lambda w: 1.5 * w, one.networks))
    assert one != "thermal"
    assert one != None  # noqa: E711
    params = dict.fromkeys(one.inputs, 1.0)
    before = len(COMPILED)
    first = int(flags_of(one, params))
    assert len(COMPILED) > before
    before = len(COMPILED)
    assert all(int(flags_of(other, params)) == first for other in copies)
    assert len(COMPILED) == before


def test_a_model_being_traced_has_no_hash(model):
    with pytest.raises(TypeError, match="no hash"):
        jax.jit(lambda m: hash(m) * jnp.ones(()))(model)


@pytest.mark.filterwarnings("ignore:f integrates to")
def test_a_family_named_thermal_is_another(tmp_path, model):
    mine = pinned.family_model("thermal")
    assert mine != model
    assert model != mine
    assert len({mine, model}) == 2
    again = pickle.loads(pickle.dumps(mine))
    assert again == mine
    assert again != model
    assert again.family != model.family
    assert again.inputs == ("nu", "B", "n_e", "theta", "a")
    assert pickle.loads(pickle.dumps(model)).family is model.family
    params = {n: v for n, v in POINT.items() if n != "theta_e"} | {"a": 0.1}
    same(again.coefficients(params), mine.coefficients(params))
    from synchrojax.model import write_model

    write_model(tmp_path / "mine.safetensors", mine.family, mine.networks, {})
    read = synchrojax.load(tmp_path / "mine.safetensors")
    assert read != model
    same(read.coefficients(params), mine.coefficients(params))


@pytest.mark.slow  # compiles the exact integrals of another f
@pytest.mark.usefixtures("x64")
@pytest.mark.filterwarnings("ignore:f integrates to")
def test_validate_of_a_family_named_thermal_knows_no_published_fit():
    mine = pinned.family_model("thermal")
    result = validate(mine, n=8, slopes=False, family=mine.family, quiet=True)
    assert all(np.all(np.isnan(v)) for v in result.fits.values())


@pytest.mark.slow  # starts processes
def test_a_model_travels_to_a_spawned_process(tmp_path):
    code = (
        "import concurrent.futures, multiprocessing, operator, sys\n"
        "sys.path.insert(0, 'tests')\n"
        "import synchrojax, pinned\n"
        "if __name__ == '__main__':\n"
        "    models = [make() for make in pinned.MAKERS.values()]\n"
        "    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context('spawn')) "
        "as pool:\n"
        "        for m in models:\n"
        "            params = dict.fromkeys(m.inputs, 1.0)\n"
        "            assert pool.submit(operator.methodcaller('flags', params), m).result() == "
        "m.flags(params)\n"
        "            assert pool.submit(operator.attrgetter('family'), m).result() == m.family\n"
    )
    (tmp_path / "run.py").write_text(code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, tmp_path / "run.py"], capture_output=True, text=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr


def test_calls_by_name_are_told(model):
    with pytest.raises(TypeError, match=r'write \(\{"nu": \.\.\., "B": \.\.\.'):
        model.coefficients(nu=1e9, B=3.0)
    with pytest.raises(TypeError, match="one mapping of names to values"):
        model.flags(**POINT)
    with pytest.raises(TypeError, match="one mapping of names to values"):
        model.coefficients()
    for given in ((POINT,), ()):
        with pytest.raises(TypeError, match=r'call model\.coefficients\(\{"nu"'):
            model(*given)
    with pytest.raises(TypeError, match=r"call model\.coefficients"):
        model(**POINT)


# Arithmetic ------------------------------------------------------------------------------------

EIGHT, ELEVEN = np.arange(1.0, 9.0), np.arange(1.0, 12.0)


KINDS = {
    Coefficients: EIGHT,
    SkyCoefficients: ELEVEN,
    transfer.Stokes: EIGHT[:4],
    transfer.Depths: EIGHT[:3],
}


@pytest.mark.parametrize(("kind", "numbers"), KINDS.items())
def test_arithmetic(kind, numbers):
    c = kind(*map(jnp.asarray, numbers))
    d = kind(*map(jnp.asarray, numbers[::-1].copy()))
    column = np.array([[1.0], [2.0]])
    cases = [
        (c + d, numbers + numbers[::-1]),
        (c - d, numbers - numbers[::-1]),
        (2 * c, 2 * numbers),
        (c * 0.5, 0.5 * numbers),
        (0.5 * c, 0.5 * numbers),
        (c / 4, numbers / 4),
        (np.float64(3.0) * c, 3 * numbers),
        (np.float32(3.0) * c, 3 * numbers),
        (c * np.int64(3), 3 * numbers),
        (jnp.float32(3.0) * c, 3 * numbers),
        (fractions.Fraction(1, 2) * c, 0.5 * numbers),
        (sum([c, d, c]), 2 * numbers + numbers[::-1]),
        (sum([c]), numbers),
        (c * column, numbers[:, None, None] * column),
        (column * c, numbers[:, None, None] * column),
        (jnp.asarray(column) * c, numbers[:, None, None] * column),
        (np.array([1.0, 2.0]) * c, numbers[:, None] * np.array([1.0, 2.0])),
        (c / column, numbers[:, None, None] / column),
        (column * c + column[:, 0] * c, numbers[:, None, None] * (column + column[:, 0])),
        (
            jax.jit(lambda x, y, w: w * x + (1.0 - w) * y)(c, d, 0.25),
            0.25 * numbers + 0.75 * numbers[::-1],
        ),
        (0.3 * c + 0.7 * c, numbers),
    ]
    for found, wanted in cases:
        assert type(found) is kind
        same(found, wanted)
        assert all(v.dtype == jnp.float32 for v in found)
    slope = jax.grad(lambda w: jnp.sum(jnp.stack(w * c - c / (1.0 + w))))(1.0)
    assert float(slope) == pytest.approx(1.25 * numbers.sum(), rel=1e-6)


@pytest.mark.parametrize("kind", [Coefficients, SkyCoefficients, transfer.Stokes])
@pytest.mark.parametrize(
    "wrong",
    [
        lambda c, o: c + 1.0,
        lambda c, o: 1.0 + c,
        lambda c, o: c - 1.0,
        lambda c, o: 1.0 - c,
        lambda c, o: c * c,
        lambda c, o: c / c,
        lambda c, o: 1.0 / c,
        lambda c, o: c + o,
        lambda c, o: o + c,
        lambda c, o: c - o,
        lambda c, o: c * "2",
        lambda c, o: c * True,
        lambda c, o: c * 1j,
        lambda c, o: c * None,
        lambda c, o: c + tuple(c),
        lambda c, o: tuple(c) + c,
        lambda c, o: c + np.ones(8),
        lambda c, o: np.ones(8) + c,
        lambda c, o: jnp.ones(8) + c,
        lambda c, o: np.float64(2.0) / c,
        lambda c, o: jnp.float32(2.0) / c,
        lambda c, o: np.ones(8) - c,
        lambda c, o: sum([c], 1.0),
        lambda c, o: c**2,
        lambda c, o: c // 2,
        lambda c, o: c @ np.ones(8),
        lambda c, o: -1j * c,
        lambda c, o: -c,
        lambda c, o: +c,
        lambda c, o: ~c,
        lambda c, o: abs(c),
        lambda c, o: 2.0**c,
        lambda c, o: 2 // c,
        lambda c, o: c % 2,
        lambda c, o: divmod(c, 2),
        lambda c, o: divmod(2, c),
        lambda c, o: np.ones(8) @ c,
        lambda c, o: jnp.ones(8) ** c,
        lambda c, o: c & c,
        lambda c, o: 1 | c,
        lambda c, o: c << 1,
        lambda c, o: c < c,
        lambda c, o: c <= o,
        lambda c, o: c > 1.0,
        lambda c, o: c >= jnp.ones(8),
        lambda c, o: max(c, c),
    ],
)
def test_what_has_no_meaning(kind, wrong):
    other = SkyCoefficients if kind is Coefficients else Coefficients
    with pytest.raises(TypeError, match=r"and products with and quotients by real n|the factor"):
        wrong(*(k(*(jnp.ones(()) for _ in k._fields)) for k in (kind, other)))


def test_messages_of_arithmetic(plain):
    with pytest.raises(
        TypeError, match=r"Coefficients \+ float: only Coefficients \+ Coefficients"
    ):
        plain + 1.0
    for wrong, written in (
        (lambda: -plain, r"-Coefficients"),
        (lambda: 1 / plain, r"int / Coefficients"),
        (lambda: plain**2, r"Coefficients \*\* int"),
        (lambda: plain < plain, r"Coefficients < Coefficients"),
    ):
        with pytest.raises(TypeError, match=f"^{written}: only Coefficients"):
            wrong()
    with pytest.raises(ValueError, match=r"shapes .* do not broadcast"):
        (np.ones(2) * plain) + (np.ones(3) * plain)


@pytest.mark.parametrize("convention", ["grmonty", ["ipole"], None, 3])
def test_conventions_that_are_not_known(convention):
    with pytest.raises(ValueError, match=r"unknown convention .*; available: synchrojax, neuro"):
        synchrojax.as_array(SLAB, convention=convention)


@pytest.mark.parametrize("wrong", [tuple(SLAB), np.ones(8), transfer.Stokes(1.0, 0.0, 0.0, 0.0)])
def test_what_is_not_the_coefficients(wrong):
    message = f"needs Coefficients or SkyCoefficients, got {type(wrong).__name__}; of a sequence"
    with pytest.raises(ValueError, match=message):
        synchrojax.as_array(wrong, convention="ipole")


def test_mixtures_are_differentiated(model):
    """Sums inside jit and grad, as of two electron gases."""

    def intensity(share):
        cold, hot = (model.coefficients({**POINT, "theta_e": t}) for t in (5.0, 20.0))
        return ((1.0 - share) * cold + share * hot).j_I

    cold, hot = (model.coefficients({**POINT, "theta_e": t}).j_I for t in (5.0, 20.0))
    value, slope = jax.jit(jax.value_and_grad(intensity))(0.25)
    assert float(value) == pytest.approx(0.75 * float(cold) + 0.25 * float(hot), rel=1e-5)
    assert float(slope) == pytest.approx(float(hot - cold), rel=1e-4)


# Angles in degrees -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", synchrojax.models())
def test_sixty_is_no_angle(name):
    """Its bit is set under every policy; the value is that of the angle folded by symmetry."""
    own = {
        "thermal": {"theta_e": 10.0},
        "powerlaw": {"p": 3.0, "gamma_min": 1.0, "gamma_max": 1e6},
        "kappa": {"kappa": 4.0, "w": 10.0},
        "tabulated": {"gamma": np.array([1.0, 1e2, 1e4]), "N": np.array([1.0, 1e-4, 1e-9])},
    }[name.split("_")[0]]
    own |= {"k": 0.5} if name.endswith("pitch") else {}
    folded = float(np.arccos(np.cos(60.0)))
    base = {"nu": 230e9, "B": 30.0, "n_e": 1e6, **own}
    values, flags = [], []
    for policy in ("clip", "extrapolate", "nan"):
        model = synchrojax.load(name, out_of_domain=policy)
        bit = 1 << list(model.domain).index("theta")
        angles = jnp.array([60.0, -1.0, folded, 0.0, np.pi])
        found = np.asarray(quick_jit(model.flags)({**base, "theta": angles}))
        assert [bool(v & bit) for v in found] == [True, True, False, False, False]
        flags.append(found[0])
        values.append(
            np.array(quick_jit(model.coefficients)({**base, "theta": jnp.array([60.0, folded])}))
        )
    assert len(set(flags)) == 1
    for value in values:
        assert np.all(np.isfinite(value))
        np.testing.assert_allclose(value[:, 0], value[:, 1], rtol=1e-4)
        np.testing.assert_allclose(value, values[0], rtol=1e-6)
