"""Distributions: their norm, those that users write, and what is no distribution."""

import copy
import itertools
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate

from synchrojax import distributions, exact
from synchrojax.families import Family

pytestmark = pytest.mark.usefixtures("x64")
BASE = {"nu": 230e9, "B": 30.0, "n_e": 1e3, "theta": np.pi / 3}


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("thermal", {"theta_e": 0.7}),
        ("powerlaw", {"p": 1.5, "gamma_min": 1.0, "gamma_max": 1e12}),
        ("powerlaw", {"p": 4.0, "gamma_min": 30.0, "gamma_max": 31.0}),
        ("kappa", {"kappa": 2.5, "w": 100.0}),
        ("kappa", {"kappa": 8.0, "w": 0.1}),
        ("kappa_pitch", {"kappa": 4.0, "w": 3.0, "k": 0.3}),
        ("powerlaw_pitch", {"p": 2.5, "gamma_min": 3.0, "gamma_max": 1e4, "k": 4.0}),
    ],
)
def test_normalised_to_one_electron(name, own):
    d = distributions.get_distribution(name)
    lo, hi = (float(b) for b in d.gamma_bounds(**{k: jnp.asarray(v) for k, v in own.items()}))
    hi = 1e24 if name.startswith("kappa") else hi  # electrons above 1e12 count in the norm
    x, w = np.polynomial.legendre.leggauss(400)
    mu = np.sin(0.5 * np.pi * x)  # gathers nodes at mu = +-1
    weight = w * 0.5 * np.pi * np.cos(0.5 * np.pi * x)
    norm = float(d.log_norm(**own))

    def over_mu(chi):
        f = np.exp(
            np.asarray(
                d.log_shape(jnp.cosh(chi), jnp.asarray(mu), 1.0 - jnp.asarray(mu) ** 2, **own)
            )
            - norm
        )
        return 2 * np.pi * np.cosh(chi) * np.sinh(chi) ** 2 * np.sum(f * weight)

    edges = np.linspace(np.arccosh(lo) + 1e-9, np.arccosh(hi), 9)
    total = sum(integrate.quad(over_mu, a, b, epsrel=1e-9)[0] for a, b in itertools.pairwise(edges))
    assert abs(total - 1) < 1e-6


def broken_power_law(gamma, mu):
    """N ~ gamma^-2 below 100, gamma^-3 above, from 1 to 1e4."""
    low, high = 1.0 - 1e-2, 0.5 * 1e2 * (1e-4 - 1e-8)
    n = jnp.where(gamma < 100.0, gamma**-2.0, 100.0 * gamma**-3.0) / (low + high)
    return n / (4 * jnp.pi * gamma * jnp.sqrt((gamma - 1) * (gamma + 1)))


def test_norm_of_a_function_is_checked_and_reported():
    f = distributions.Function(broken_power_law, gamma_max=1e4, breaks=(100.0,))
    assert abs(f.norm() - 1) < 1e-9
    twice = distributions.Function(lambda gamma, mu: 2 * broken_power_law(gamma, mu), gamma_max=1e4)
    f.check()  # silent
    with pytest.warns(UserWarning, match=r"f integrates to 2 over d\^3u, not to 1"):
        twice.check()


def test_forms_of_breaks():
    def f(gamma, mu, g_b, height):
        return jnp.where(gamma < g_b, 1.0, height) * jnp.exp(-gamma)

    own = {"g_b": 7.0, "height": 2.0}
    mixed = distributions.Function(
        f, breaks=("g_b", lambda *, g_b, **_: 2 * g_b, 3, np.float32(1.5))
    )
    assert mixed.breaks(**own) == (7.0, 14.0, 3.0, 1.5)
    assert distributions.Function(f, breaks=lambda g_b: [g_b, 9.0]).breaks(**own) == (7.0, 9.0)
    assert distributions.Function(f, breaks="g_b").breaks(**own) == (7.0,)
    assert distributions.Function(f, breaks=np.array([2.0, 5.0])).breaks(**own) == (2.0, 5.0)
    assert distributions.PitchAngle(mixed).breaks(**own, k=1.0) == mixed.breaks(**own)
    assert (
        distributions.Function(f).breaks(**own) == distributions.Thermal().breaks(theta_e=1.0) == ()
    )
    traced = jax.jit(lambda g: distributions.Function(f, breaks=(g,)).breaks(**own)[0])
    assert traced(4.0) == 4.0
    for wrong, message in (
        ("g_c", "f has no parameter 'g_c'; it takes g_b, height"),
        (np.nan, "got nan"),
        (None, "got"),
        (0.5, "breaks: 0.5 lies outside of gamma_min = 1 to gamma_max = 1e\\+12, where f is zero"),
    ):
        with pytest.raises(ValueError, match=message):
            distributions.Function(f, breaks=(wrong,))


def test_a_break_splits_what_checks_f():
    """The norm of a jump, and evenness in a piece that no other sample meets."""
    own = {"low": 3.0, "high": 3.01}

    def box(gamma, mu, low, high):
        inside = (gamma > low) & (gamma < high)
        return jnp.where(inside, 1.0 + mu, 1e-3) / (
            4 * jnp.pi * gamma * jnp.sqrt((gamma - 1) * (gamma + 1))
        )

    f = distributions.Function(box, gamma_max=50.0, breaks=("high", "low", "low"))
    assert abs(f.norm(**own) / (0.01 + 1e-3 * 48.99) - 1) < 1e-9
    with pytest.raises(ValueError, match=r"f is not even in mu: .* at gamma = 3.00"):
        f.require_even(**own)
    distributions.Function(box, gamma_max=50.0).require_even(**own)  # unseen


@pytest.mark.parametrize(
    ("f", "message"),
    [
        (
            lambda gamma, mu: jnp.where(gamma > 9, -1.0, 1.0) * jnp.exp(-gamma),
            r"f is negative at gamma = 9\.\d+, mu",
        ),
        (
            lambda gamma, mu: jnp.where(mu > 0.5, jnp.nan, jnp.exp(-gamma)),
            r"f is not finite at gamma = .*, mu = 0\.\d",
        ),
        (lambda gamma, mu: 0.0 * gamma, "f cannot be normalised: its integral over d\\^3u is 0"),
        (lambda gamma, mu: jnp.ones(3), "came back with shape"),
        (lambda gamma, mu: "hot", "returned 'hot': it must return an array of real numbers"),
        (lambda gamma, mu: None, "returned None: it must return an array of real numbers"),
        (lambda gamma, mu: gamma * 1j, "returned complex numbers: it must return an array of real"),
        (lambda gamma, mu: {"f": gamma}, "returned a dict: it must return an array of real"),
        (max, r"a distribution is a function f\(gamma, mu, \.\.\.\), not max"),
        (lambda gamma: gamma, r"is a function f\(gamma, mu, \.\.\.\), not f\(gamma\)"),
        (lambda gamma, *, mu: gamma, r"\(gamma, mu, \.\.\.\), not f\(gamma, \*, mu\)"),
        (
            lambda gamma, mu, a, /: gamma,
            "f takes a by position alone: parameters are given by name",
        ),
    ],
)
def test_a_function_that_is_no_distribution(f, message):
    with pytest.raises(ValueError, match=message):
        exact.coefficients(f, BASE)


class Scaled(distributions.Thermal):
    """Of a user; theta would be both the angle and its parameter."""

    parameters = ("theta",)


@pytest.mark.parametrize("name", distributions.RESERVED)
def test_a_parameter_is_not_called_like_another_input(name):
    """theta would be both the angle to B and the parameter of f."""
    f = eval(f"lambda x, y, {name}: jnp.exp(-x / {name})")
    for given in (f, Scaled()):
        called = name if given is f else "theta"
        with pytest.raises(ValueError, match=f"a parameter called '{called}': give it another"):
            exact.coefficients(given, {**BASE, name: 1.0})


def unit_f(gamma, mu):
    return jnp.exp(-gamma)


def two_parameters(gamma, mu, a, b):
    return jnp.exp(-gamma * a) + b * mu**2


def test_distributions_say_what_they_are():
    assert repr(distributions.Thermal()) == "Thermal(theta_e)"
    assert repr(distributions.Function(unit_f)) == "Function(unit_f)"
    bump = distributions.Function(two_parameters)
    assert repr(bump) == "Function(two_parameters: a, b)"
    assert repr(distributions.PitchAngle("kappa")) == "PitchAngle(Kappa: kappa, w, k)"


def test_bad_distributions():
    with pytest.raises(ValueError, match="edges must be one of keep, omit"):
        distributions.PowerLaw(edges="soft")
    with pytest.raises(ValueError, match="is isotropic, not another PitchAngle"):
        distributions.PitchAngle("kappa_pitch")
    with pytest.raises(ValueError, match="missing k"):
        exact.coefficients("kappa_pitch", {**BASE, "kappa": 3.0, "w": 1.0})


@pytest.mark.parametrize(
    "base", ["powerlaw", distributions.Kappa(), distributions.Function(unit_f)]
)
def test_pitch_angles_are_copied_and_judged_with_their_base(base):
    d = distributions.PitchAngle(base)
    for other in (pickle.loads(pickle.dumps(d)), copy.deepcopy(d)):
        assert other.parameters == d.parameters
        assert other.defaults == d.defaults


def test_an_f_below_zero_is_refused_wherever_it_stands():
    def below(gamma, mu):
        return -jnp.exp(-gamma)

    message = "f is negative at gamma = 1"
    with pytest.raises(ValueError, match=message):
        exact.coefficients(distributions.PitchAngle(below), {**BASE, "k": 1.0})
    with pytest.raises(ValueError, match=message):
        Family("below", below, {})
