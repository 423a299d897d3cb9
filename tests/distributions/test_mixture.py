"""Populations that share the electrons."""

import numpy as np
import pytest

from synchrojax import exact
from synchrojax.distributions import Mixture, PowerLaw, Tabulated, Thermal

POINT = {"nu": np.array([1e11, 3e11]), "B": 3.0, "n_e": 1e3, "theta": 1.0}


def test_coefficients_are_sums(x64):
    mixture = Mixture([("thermal", 3.0), (Thermal(), 1.0)])
    assert mixture.parameters == ("theta_e_1", "theta_e_2")
    given = {**POINT, "theta_e_1": 10.0, "theta_e_2": 3.0}
    found, error = exact.coefficients(mixture, given, error=True)
    parts = [exact.coefficients("thermal", {**POINT, "theta_e": t}) for t in (10.0, 3.0)]
    np.testing.assert_allclose(np.array(found), np.array(parts[0] * 0.75 + parts[1] * 0.25))
    assert np.max(np.array(error)) < 1e-6
    plain = exact.coefficients(mixture, given)
    np.testing.assert_allclose(np.array(plain), np.array(found), rtol=1e-9)
    rows = {"theta_e_1": np.full(2, 10.0), "theta_e_2": np.full(2, 3.0)}
    tables = exact.at_unit_frequency(mixture, s=[1e4, 1e5], theta=[1.0, 1.0], **rows)
    one = [
        exact.at_unit_frequency("thermal", s=[1e4, 1e5], theta=[1.0, 1.0], theta_e=[t, t])
        for t in (10.0, 3.0)
    ]
    np.testing.assert_allclose(tables, 0.75 * one[0] + 0.25 * one[1], rtol=1e-12)


def test_names_and_defaults():
    mixture = Mixture([(Thermal(), 1), (PowerLaw(), 0.1), (Tabulated([1.0, 2.0], [1.0, 1.0]), 1)])
    assert mixture.parameters == ("theta_e", "p", "gamma_min", "gamma_max")
    assert mixture.defaults["gamma_min"] == 1.0
    assert repr(mixture).startswith("Mixture(Thermal(theta_e), PowerLaw(")


BAD = [
    ([], r"a Mixture is a list \[\(distribution, weight\), ...\], got \[\]"),
    ("thermal", "a Mixture is a list"),
    ([("thermal",)], "part 1 of a Mixture is"),
    ([("thermal", -1.0)], "weight of part 1 is -1"),
    ([("thermal", np.nan)], "weight of part 1 is nan"),
    ([("thermal", 0.0)], "the weights of a Mixture are all zero"),
    ([("thermal", [1.0, 2.0])], "weight of part 1 is one number"),
    ([("maxwell", 1.0)], "unknown distribution 'maxwell'"),
    ([("tabulated", 1.0)], r"electrons on a grid are distributions.Tabulated\(gamma, N\)"),
    ([(Mixture([("thermal", 1.0)]), 1.0)], "list its parts instead"),
]


@pytest.mark.parametrize(("parts", "message"), BAD)
def test_bad_mixtures(parts, message):
    with pytest.raises(ValueError, match=message):
        Mixture(parts)


def test_bad_parameters(x64):
    mixture = Mixture([("thermal", 1.0), ("thermal", 1.0)])
    with pytest.raises(ValueError, match="missing theta_e_1, theta_e_2"):
        exact.coefficients(mixture, POINT)
    with pytest.raises(ValueError, match="theta_e > 0 does not hold"):
        exact.coefficients(mixture, {**POINT, "theta_e_1": -1.0, "theta_e_2": 1.0})
