"""Power law, kappa and pitch-angle distributions: normalisation, limits, edges, bad input,
independent integrals.
"""

import copy
import itertools
import json
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import NAMES
from reference_general import PATH, points, reference
from scipy import integrate

from synchrojax import distributions, exact
from synchrojax.exact import _evaluate, _phase_space
from synchrojax.families import Family
from synchrojax.special import kinks

pytestmark = pytest.mark.usefixtures("x64")
OMIT = distributions.PowerLaw(edges="omit")  # one object: compiled once
BASE = {"nu": 230e9, "B": 30.0, "n_e": 1e3, "theta": np.pi / 3}


def test_independent_integrals():
    """SciPy's adaptive quadrature, sharp edges kept, s sin(theta) >= 25: 1e-7, 1e-6 for rho_Q."""
    rows = json.loads(PATH.read_text())
    assert [(r["name"], r["s"], r["theta"]) for r in rows] == [p[:3] for p in points()]
    for name in sorted({row["name"] for row in rows}):
        mine = [row for row in rows if row["name"] == name]
        own = {
            k: np.array([row[k] for row in mine]) for k in mine[0] if k not in ("name", "values")
        }
        truth = np.array([[row["values"][n] for n in NAMES] for row in mine])
        ours, none = exact.at_unit_frequency(name, **own), truth == 0.0
        assert np.all(np.abs(ours[none]) < 1e-200), name
        error = np.where(none, 0.0, np.abs(ours / np.where(none, 1.0, truth) - 1))
        assert np.max(np.delete(error, 6, axis=1)) < 1e-7, name
        assert np.max(error[:, 6]) < 1e-6, name


@pytest.mark.slow
def test_independent_integrals_are_reproduced():
    name, s, theta, own = points()[1]
    row = json.loads(PATH.read_text())[1]
    assert np.allclose(
        reference(name, s, theta, own), [row["values"][n] for n in NAMES], rtol=1e-9, atol=0
    )


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


def test_edges_of_the_power_law():
    """Values of the project's physics notes (nu = 1, n_e = 1): rho_V, rho_Q with and without the
    edges.
    """
    own = {"s": [1e4], "theta": [np.pi / 4], "p": [2.5], "gamma_min": [10.0], "gamma_max": [1e12]}
    keep = exact.at_unit_frequency("powerlaw", **own)[0]
    omit = exact.at_unit_frequency(OMIT, **own)[0]
    assert np.allclose(keep[6:], [-1.6447e-9, 1.6858e-8], rtol=5e-5)
    assert np.allclose(omit[6:], [-1.9570e-9, 5.2849e-8], rtol=5e-5)
    assert np.array_equal(keep[:3], omit[:3])
    # at gamma_min = 1 nothing is left of them
    own["gamma_min"] = [1.0]
    assert np.allclose(
        exact.at_unit_frequency("powerlaw", **own), exact.at_unit_frequency(OMIT, **own), rtol=1e-12
    )


def test_absorption_with_edges_is_positive_below_gamma_min(rng):
    """nu far below gamma_min^2 nu_c, where fits fail: alpha_I > 0 needs the lower edge."""
    n = 12
    own = {
        "p": rng.uniform(1.5, 7, n),
        "gamma_min": 10 ** rng.uniform(1, 3, n),
        "gamma_max": np.full(n, 1e12),
    }
    s, theta = np.full(n, 30.0), rng.uniform(0.3, 1.5, n)
    keep = exact.at_unit_frequency("powerlaw", s=s, theta=theta, **own)
    omit = exact.at_unit_frequency(OMIT, s=s, theta=theta, **own)
    assert np.all(keep[:, [0, 3]] > 0)
    assert np.all(omit[:, 3] > keep[:, 3])


def test_additive_in_gamma():
    """Two halves weighted by their electrons make the whole: all eight are linear in f."""
    p, cut = 2.8, 40.0
    share = 1.0 - cut ** (1 - p)
    low, high, both = (
        np.array(exact.coefficients("powerlaw", {**BASE, "p": p, **bounds}))
        for bounds in ({"gamma_max": cut}, {"gamma_min": cut}, {})
    )
    assert np.max(np.abs((share * low + (1 - share) * high) / both - 1)) < 1e-7


def test_infinite_gamma_max_and_defaults():
    given = exact.coefficients(
        "powerlaw", {**BASE, "p": 2.5, "gamma_min": 1.0, "gamma_max": np.inf}
    )
    assert np.array_equal(
        np.array(given), np.array(exact.coefficients("powerlaw", {**BASE, "p": 2.5}))
    )
    assert np.all(np.isfinite(np.array(given)))


def test_no_anisotropy_is_the_isotropic_path():
    own = {"s": [300.0, 2e5], "theta": [0.4, 1.2], "kappa": [3.5, 6.0], "w": [10.0, 0.5]}
    plain = exact.at_unit_frequency("kappa", **own)
    pitch = exact.at_unit_frequency("kappa_pitch", **own, k=[0.0, 0.0])
    assert np.max(np.abs(pitch / plain - 1)) < 1e-12


def test_kappa_tends_to_thermal():
    """f_kappa / f_thermal - 1 is of order 1 / kappa."""
    own = {"s": [200.0], "theta": [1.0]}
    thermal = exact.at_unit_frequency("thermal", theta_e=[3.0], **own)[0]
    gaps = [
        np.abs(exact.at_unit_frequency("kappa", kappa=[k], w=[3.0], **own)[0] / thermal - 1)
        for k in (1e4, 1e5)
    ]
    assert np.max(gaps[0]) < 0.05
    assert np.allclose(gaps[0] / gaps[1], 10.0, rtol=0.02)


@pytest.mark.slow  # compiles for a minute
def test_sum_and_integral_agree():
    """Where the rule switches from harmonics to the integral, at s sin(theta) = 15."""
    theta = np.array([0.4, 1.3])
    for name, own in (("powerlaw", [2.5, 1.0, 1e3]), ("kappa", [4.0, 1.0])):
        d = distributions.get_distribution(name)
        for t in theta:
            row = np.tile([15.0 / np.sin(t), t, *own], (8, 1))  # the size that others compile, too
            both = [
                np.asarray(_evaluate._block(d, mode, _phase_space.resolution_of(d), 1)(row, 8))[0]
                for mode in (0, 1)
            ]
            error = np.abs(both[0] / both[1] - 1)
            assert np.max(error[3:]) < 1e-7, (name, t)
            assert np.max(error[:3]) < 1e-6, (name, t)


@pytest.mark.parametrize(
    ("name", "own", "condition"),
    [
        ("powerlaw", {"p": 1.0}, "p > 1"),
        ("powerlaw", {"p": 2.0, "gamma_min": 0.5}, "gamma_min >= 1"),
        ("powerlaw", {"p": 2.0, "gamma_min": 20.0, "gamma_max": 10.0}, "gamma_max > gamma_min"),
        ("kappa", {"kappa": 2.0, "w": 1.0}, "kappa > 2"),
        ("kappa", {"kappa": 3.0, "w": 0.0}, "w > 0"),
        ("kappa_pitch", {"kappa": 3.0, "w": 1.0, "k": -1.0}, "k > -1"),
        ("thermal", {"theta_e": -1.0}, "theta_e > 0"),
    ],
)
def test_bad_parameters(name, own, condition):
    with pytest.raises(ValueError, match=f"{condition} does not hold"):
        exact.coefficients(name, {**BASE, **own})


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
        f, breaks=("g_b", lambda *, g_b, **_: 2 * g_b, 3, np.float32(0.5))
    )
    assert mixed.breaks(**own) == (7.0, 14.0, 3.0, 0.5)
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


def test_kinks_are_found():
    def f(x):
        return np.stack(
            [
                np.abs(np.sin(x - 1.0)) ** 3 - 4 * x,
                np.where(x < 2.5, 0.0, x - 2.5 + (x > 6.0)) + np.cosh(x),
            ]
        )

    assert np.allclose(kinks(f, 0.1, 9.0), [2.5, 6.0], atol=1e-6)
    assert len(kinks(lambda x: np.sinh(x)[None], 0.02, 20.0)) == 0


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


def test_distributions_say_what_they_are():
    assert repr(distributions.Thermal()) == "Thermal(theta_e)"
    assert repr(distributions.Function(unit_f)) == "Function(unit_f)"
    bump = distributions.Function(two_parameters)
    assert repr(bump) == "Function(two_parameters: a, b)"
    assert repr(distributions.PitchAngle("kappa")) == "PitchAngle(Kappa: kappa, w, k)"


def test_anisotropy_holds_along_b():
    """sin^k where 1 - mu^2 rounds: with s sin(theta) fixed coefficients go as powers of theta."""
    theta = np.array([1e-4, 1e-5, 1e-6, 1e-7])
    own = {"kappa": np.full(4, 4.0), "w": np.full(4, 30.0), "k": np.full(4, 2.0)}
    h = exact.at_unit_frequency("kappa_pitch", s=30.0 / np.sin(theta), theta=theta, **own)
    powers = np.diff(np.log(np.abs(h)), axis=0) / np.log(0.1)
    expected = np.array([6, 6, 6, 7, 7, 7, 4, 1])
    assert np.allclose(powers[-1], expected, rtol=1e-4)


def test_emission_is_positive_where_gamma_max_cuts_it_off(rng):
    """s far above gamma_max^2, low s sin(theta): a difference of sum and integral is noise."""
    n = 16
    theta = 10 ** rng.uniform(-4, -2, n)
    own = {"p": rng.uniform(1.5, 7, n), "gamma_min": np.ones(n), "gamma_max": np.full(n, 200.0)}
    h = exact.at_unit_frequency(
        "powerlaw", s=rng.uniform(5.0, 15.0, n) / np.sin(theta), theta=theta, **own
    )
    assert np.all(h[:, [0, 3]] >= 0.0)
    assert np.all(np.hypot(h[:, 1], h[:, 2]) <= h[:, 0] * (1.0 + 1e-9))


def test_bad_distributions():
    with pytest.raises(ValueError, match="edges must be one of keep, omit"):
        distributions.PowerLaw(edges="soft")
    with pytest.raises(ValueError, match="is isotropic, not another PitchAngle"):
        distributions.PitchAngle("kappa_pitch")
    with pytest.raises(ValueError, match="missing k"):
        exact.coefficients("kappa_pitch", {**BASE, "kappa": 3.0, "w": 1.0})


@pytest.mark.benchmark(group="exact")
@pytest.mark.parametrize("name", ["powerlaw", "kappa", "powerlaw_pitch", "kappa_pitch"])
def test_speed(benchmark, name, rng):
    """Points per second for all eight, all cores, over the box of the issue; 100 is the bar."""
    n = 256
    theta = np.arccos(rng.uniform(0, 1, n))
    own = {"s": np.maximum(10 ** rng.uniform(1, 8, n), 5 / np.sin(theta)), "theta": theta}
    if name.startswith("power"):
        own |= {"p": rng.uniform(1.5, 7, n), "gamma_min": 10 ** rng.uniform(0, 3, n) * np.ones(n)}
        own["gamma_max"] = own["gamma_min"] * 10 ** rng.uniform(1, 9, n)
    else:
        own |= {"kappa": rng.uniform(2.5, 8, n), "w": 10 ** rng.uniform(-1, 2.3, n)}
    if name.endswith("pitch"):
        own["k"] = rng.uniform(0, 4, n)
    exact.at_unit_frequency(name, **own)
    result = benchmark.pedantic(lambda: exact.at_unit_frequency(name, **own), rounds=3)
    assert np.all(np.isfinite(result))
    benchmark.extra_info["points_per_second"] = n / benchmark.stats.stats.min


def unit_f(gamma, mu):
    return jnp.exp(-gamma)


def two_parameters(gamma, mu, a, b):
    return jnp.exp(-gamma * a) + b * mu**2


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
