"""Numbers with units on the command line."""

import math

import pytest

from synchrojax.core import UNITS, QuantityError, broadcast, quantity, quantity_or_range
from synchrojax.core._params import unit_of


@pytest.mark.parametrize(
    ("text", "name", "wanted"),
    [
        ("230e9", "nu", 230e9),
        ("230GHz", "nu", 230e9),
        ("230 GHz", "nu", 230e9),
        ("230*GHz", "nu", 230e9),
        ("230 * GHz", "frequency", 230e9),
        ("2.3e2GHz", "nu", 230e9),
        (".23 THz", "nu", 230e9),
        ("1mHz", "nu", 1e-3),
        ("1MHz", "nu", 1e6),
        ("30", "B", 30.0),
        ("30G", "B", 30.0),
        ("3mT", "B", 30.0),
        ("30µG", "B", 3e-5),
        ("30μG", "B", 3e-5),
        ("30uG", "B", 3e-5),
        ("2GG", "B", 2e9),
        ("60deg", "theta", math.pi / 3.0),
        ("60°", "theta", math.pi / 3.0),
        ("-90deg", "theta", -math.pi / 2.0),
        ("60arcmin", "theta", math.pi / 180.0),
        ("3600 arcsec", "psi", math.pi / 180.0),
        ("1rad", "theta", 1.0),
        ("1e6cm^-3", "n_e", 1e6),
        ("1e6 cm-3", "n_e", 1e6),
        ("1e6*cm**-3", "n_e", 1e6),
        ("1e6cm⁻³", "n_e", 1e6),
        ("1e6/cm^3", "n_e", 1e6),
        ("1e6 1/cm3", "n_e", 1e6),
        ("1e12 m^-3", "n_e", 1e6),
        ("1pc", "distance", 3.0856775814913674e18),
        ("2 Mpc", "distance", 6.1713551629827347e24),
        ("1au", "radius", 1.495978707e13),
        ("3km", "length", 3e5),
        ("180deg", "viewing", math.pi),
        ("4e6 mas^2", "solid_angle", 4.0 * (math.pi / 648000.0) ** 2),
        ("5 rad m^-2", "rotation_measure", 5.0),
        ("30s", "timeout", 30.0),
        ("2min", "timeout", 120.0),
        ("inf", "gamma_max", math.inf),
        ("10", "theta_e", 10.0),
    ],
)
def test_values(text, name, wanted):
    assert math.isclose(quantity(text, name), wanted, rel_tol=1e-15)


@pytest.mark.parametrize(
    ("text", "name", "parts"),
    [
        (
            "30 G",
            "nu",
            (
                "'30 G': G measures a magnetic field",
                "nu is a frequency [Hz]",
                "accepted: Hz with SI prefix",
            ),
        ),
        (
            "230GHz",
            "B",
            ("GHz measures a frequency", "B is a magnetic field [G]", "accepted: G or T"),
        ),
        (
            "60deg",
            "n_e",
            ("deg measures an angle", "n_e is a number density [cm^-3]", "accepted: cm^-3, m^-3"),
        ),
        ("10 keV", "theta_e", ("'keV' is not known as a unit", "theta_e is dimensionless")),
        ("10 Hz", "p", ("Hz measures a frequency", "p is dimensionless")),
        ("230ghz", "nu", ("'ghz' is not known as a unit (did you mean GHz?)",)),
        (
            "60degrees",
            "theta",
            ("'degrees' is not known", "theta is an angle [rad]", "accepted: rad, deg"),
        ),
        ("GHz", "nu", ("'GHz' is not a number",)),
        ("", "nu", ("'' is not a number",)),
    ],
)
def test_a_unit_that_does_not_fit(text, name, parts):
    with pytest.raises(QuantityError) as refused:
        quantity(text, name)
    assert all(part in str(refused.value) for part in parts), refused.value


def test_ranges():
    assert quantity_or_range("1GHz:1THz:50", "nu") == (1e9, 1e12, 50)
    assert quantity_or_range("1 GHz:1 THz:50", "nu") == (1e9, 1e12, 50)
    assert quantity_or_range("1e9:1e12:50", "nu") == (1e9, 1e12, 50)
    assert quantity_or_range("0:180deg:3", "theta") == (0.0, math.pi, 3)
    assert quantity_or_range("3mT", "B") == 30.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1e9,1e10", "'1e9,1e10' is neither a number nor low:high:count, such as 1e9:1e10:2"),
        ("1GHz, 2GHz, 5GHz", "neither a number nor low:high:count, such as 1GHz:5GHz:3"),
        ("1e9:1e12", "lacks how many points: a range is low:high:count, such as 1e9:1e12:50"),
        ("1GHz:1THz", "such as 1GHz:1THz:50"),
        ("fast", "'fast' is neither a number nor low:high:count"),
        ("1:2:3:4", "neither a number nor low:high:count"),
        ("1e9:1e12:0", "the count in low:high:count is a positive whole number, not '0'"),
        ("1e9:1e12:2.5", "positive whole number, not '2.5'"),
        ("1e9:inf:5", "must be finite"),
        ("1e9:1e12:100000000", "at most 10,000,000 points at a time"),
        ("1:100GHz:50", "give both ends a unit, or none"),
        ("1G:1T:50", "G measures a magnetic field"),
    ],
)
def test_ranges_that_are_none(text, message):
    with pytest.raises(QuantityError) as refused:
        quantity_or_range(text, "nu")
    assert message in str(refused.value)


def test_an_input_that_a_contributor_adds(monkeypatch):
    """Its line in ``UNITS`` says in which unit it is wanted."""
    monkeypatch.setitem(UNITS, "e_cut", "keV, cutoff energy")
    monkeypatch.setitem(UNITS, "slope", "dimensionless, whatever it is")
    assert [unit_of(n) for n in ("nu", "B", "theta_e", "e_cut", "slope", "unheard_of")] == [
        *("Hz", "G", "", "keV", "", "")
    ]
    with pytest.raises(QuantityError, match=r"'keV' is not .*; e_cut is in keV and takes a plain"):
        quantity("10keV", "e_cut")
    u = pytest.importorskip("astropy.units")
    values, _, _ = broadcast({"e_cut": u.Quantity(2.0, "MeV")}, ("e_cut",))
    assert values["e_cut"] == 2000.0
    with pytest.raises(ValueError, match=r"params\['e_cut'\] \[keV, cutoff energy\] is in Hz"):
        broadcast({"e_cut": u.Quantity(2.0, "Hz")}, ("e_cut",))
