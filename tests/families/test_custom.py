"""A distribution of the user's own, from f(gamma, mu) to a loaded network, as the README describes
it.
"""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pinned
import pytest

import synchrojax
from synchrojax.generate import generate
from synchrojax.model import ModelFileError, require_readable
from synchrojax.train import Options, train
from synchrojax.validate import summary, validate

BREAK, TOP = 100.0, 1e4


def broken_power_law(gamma, mu, steep):
    """N ~ gamma^-2 from 1 to 100, gamma^-steep from there to 1e4."""
    low = 1.0 - 1.0 / BREAK
    high = BREAK ** (steep - 2.0) * (BREAK ** (1.0 - steep) - TOP ** (1.0 - steep)) / (steep - 1.0)
    n = jnp.where(gamma < BREAK, gamma**-2.0, BREAK ** (steep - 2.0) * gamma**-steep) / (low + high)
    return n / (4.0 * jnp.pi * gamma * jnp.sqrt((gamma - 1.0) * (gamma + 1.0)))


FAMILY = synchrojax.Family(
    "broken", broken_power_law, {"steep": (2.5, 4.0)}, s=(1e2, 1e6), gamma_max=TOP, breaks=(BREAK,)
)
OMIT = synchrojax.distributions.PowerLaw(edges="omit")
BASE = {"nu": 230e9, "B": 30.0, "n_e": 1e3, "theta": 1.0}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    work = tmp_path_factory.mktemp("broken")
    with jax.enable_x64(True), pytest.MonkeyPatch.context() as patch:
        # blocks of the size that the tests below compile, too
        patch.setattr("synchrojax.generate._tables.PART_ROWS", 64)
        generate(FAMILY, 384, work / "table", seed=1, quiet=True)
        options = Options(widths=(12,), iterations=40)
        return train(
            work / "table",
            work / "broken.safetensors",
            distribution=FAMILY,
            options=options,
            quiet=True,
        )


@pytest.mark.slow  # the table that it needs takes minutes
def test_from_f_to_a_network(trained, x64):
    model = synchrojax.load(trained)
    assert model.inputs == ("nu", "B", "n_e", "theta", "steep")
    assert model.domain["steep"] == (2.5, 4.0)
    result = summary(validate(model, n=64, slopes=False, family=FAMILY))["value"]
    assert max(row["median"] for row in result.values()) < 5e-2
    assert min(row["points"] for row in result.values()) > 50
    c = jax.jit(model.coefficients)({**BASE, "steep": 3.0})
    truth = synchrojax.exact.coefficients(FAMILY.distribution, {**BASE, "steep": 3.0})
    assert np.max(np.abs(np.array(c) / np.array(truth) - 1)) < 0.1
    # electrons below and above, over BREAK^-1
    parts = (BREAK - 1.0, (1.0 - (TOP / BREAK) ** -2.0) / 2.0)
    truth_of_parts = sum(
        n / sum(parts) * np.array(synchrojax.exact.coefficients(OMIT, {**BASE, **own}))
        for n, own in zip(
            parts,
            ({"p": 2.0, "gamma_max": BREAK}, {"p": 3.0, "gamma_min": BREAK, "gamma_max": TOP}),
            strict=True,
        )
    )
    error = np.abs(np.array(truth) / truth_of_parts - 1)
    assert np.max(error[:6]) < 1e-7
    assert np.max(error[6:]) < 1e-6
    slope = jax.grad(lambda v: jnp.log(model.coefficients({**BASE, "steep": v}).j_I))(3.0)
    assert np.isfinite(slope)


@pytest.mark.slow  # the table that it needs takes minutes
def test_what_the_file_holds(trained, x64):
    model = synchrojax.load(trained, out_of_domain="nan")
    params = {**BASE, "steep": jnp.asarray([3.0, 5.0])}
    assert np.array_equal(np.isnan(np.array(model.coefficients(params))).all(0), [False, True])
    assert list(model.flags(params)) == [0, 1 << list(model.domain).index("steep")]
    with pytest.raises(ValueError, match="'broken': pass the Family"):
        validate(model, n=8)
    other = synchrojax.Family("broken", broken_power_law, {"steep": (2.5, 5.0)}, s=(1e2, 1e6))
    with pytest.raises(ValueError, match="the model is for 'broken' in"):
        validate(model, n=8, family=other)


@pytest.mark.filterwarnings("ignore:f integrates to")
def test_refusals(tmp_path):
    with pytest.raises(ValueError, match="box is for p; f takes steep"):
        synchrojax.Family("broken", broken_power_law, {"p": (2.0, 3.0)})
    with pytest.raises(ValueError, match="box of steep: expected"):
        synchrojax.Family("broken", broken_power_law, {"steep": (3.0, 2.0)})
    with pytest.raises(
        ValueError, match=r"f is not even in mu: .* at gamma = 1.01, mu = 0.05, .* at -mu"
    ):
        synchrojax.Family("beam", lambda gamma, mu, a: jnp.exp(a * mu - gamma), {"a": (0.0, 1.0)})
    rows = {
        k: np.ones(3)
        for k in ("s", "theta", "steep", "j_I", "j_Q", "j_V", "alpha_I", "alpha_Q", "alpha_V")
    }
    rows |= {"alpha_I": np.array([1.0, -1.0, 1.0]), "rho_Q": np.ones(3), "rho_V": np.ones(3)}
    with pytest.raises(ValueError, match="alpha_I is not positive in 1 of 3 rows"):
        FAMILY.locked(rows)
    assert repr(FAMILY) == "Family(broken: steep)"


def test_a_description_gives_the_family_again(rng):
    """So that training does not refuse it."""
    names = ("s", "theta", "steep", "j_I", "j_Q", "j_V", "alpha_I", "alpha_Q", "alpha_V")
    rows = {k: rng.uniform(0.1, 1.0, 32) for k in (*names, "rho_Q", "rho_V")}
    locked = FAMILY.locked(rows | {"s": 1e4 * rows["s"], "j_I": 3.0 + rows["j_I"]})
    assert locked.maps
    require_readable(locked)


def tilted(gamma, mu, a):
    return gamma ** (a - 4.0)


def with_parameter(name):
    """An f whose parameter has this name."""
    return eval(f"lambda gamma_, mu_, {name}: gamma_ ** -4.0")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"name": None}, "the name of a Family is a word of letters, digits, .*, got None"),
        ({"name": ""}, "the name of a Family is a word .*, got ''"),
        ({"name": "a/b"}, "the name of a Family is a word .*, got 'a/b'"),
        ({"f": synchrojax.distributions.Thermal}, r"f is the class Thermal: .*, Thermal\(\)"),
        ({"f": "thermal"}, r"a distribution is a function f\(gamma, mu\), not str"),
        ({"box": None}, r"box is a mapping of parameters to \(low, high\), got None; f takes a"),
        ({"box": [1.0, 2.0]}, r"box is a mapping .*, got \[1.0, 2.0\]; f takes a"),
        ({"box": {}}, "box is for none; f takes a"),
        ({"box": {"a": "low"}}, "box of a must be real numbers, got 'l'"),
        ({"s": (-1, 5)}, "s = nu / nu_c starts at -1, .* let it start at 5 or above"),
        ({"s": (0, 1e3)}, "s = nu / nu_c starts at 0, but"),
        ({"s": (1, 4)}, r"s = nu / nu_c starts at 1, but s sin\(theta\) is from 5 up"),
        ({"highest_x": "x"}, "highest_x must be real numbers, got 'x'"),
        ({"highest_x": -1}, "highest_x, .*, must lie above the lowest s, 10, got -1"),
        ({"highest_x": 0}, "highest_x, .*, must lie above the lowest s, 10, got 0"),
        ({"highest_x": np.nan}, "highest_x, .*, must lie above the lowest s, 10, got nan"),
        ({"highest_x": 1e-3}, "highest_x, .*, must lie above the lowest s, 10, got 0.001"),
        ({"gamma_max": 1.5}, r"the lowest s, 10, got 3 gamma_max\^2 = 6.75, the default"),
    ],
)
def test_refused_settings(changed, message):
    given = {"name": "tilted", "f": tilted, "box": {"a": (0.0, 1.0)}, "gamma_max": 1e3} | changed
    with pytest.raises(ValueError, match=message):
        synchrojax.Family(**given)


@pytest.mark.parametrize(
    "name", ["s", "sine", "cosine", "theta", "nu", "B", "n_e", "_a", "across", "j_I", "time_ms"]
)
def test_names_that_are_taken(name):
    with pytest.raises(ValueError, match=f"f has a parameter called '{name}': give it another"):
        synchrojax.Family("named", with_parameter(name), {name: (1.0, 2.0)}, gamma_max=1e3)


def test_a_box_inside_what_the_distribution_allows():
    with pytest.raises(ValueError, match="theta_e > 0 does not hold at its corner theta_e = -1"):
        synchrojax.Family("t", synchrojax.distributions.Thermal(), {"theta_e": (-1.0, 2.0)})
    box = {"p": (2.0, 3.0), "gamma_min": (1.0, 100.0), "gamma_max": (50.0, 1e4)}
    where = "gamma_max > gamma_min .* p = 2, gamma_min = 100, gamma_max = 50"
    with pytest.raises(ValueError, match=where):
        synchrojax.Family("t", OMIT, box)
    family = synchrojax.Family("t", OMIT, box | {"gamma_max": (200.0, 1e4)}, highest_x=np.inf)
    assert family.domain["s_over_sin_theta"] == (10.0, 1e16 / 5.0)


def test_breaks_travel():
    """To other processes and into copies; a Distribution has its own."""
    for distribution in (
        pickle.loads(pickle.dumps(FAMILY.distribution)),
        FAMILY.replaced(maps=()).distribution,
    ):
        assert distribution.breaks(steep=3.0) == (BREAK,)
    with pytest.raises(ValueError, match="a Distribution has its own"):
        synchrojax.Family("broken", OMIT, {"p": (2.0, 3.0)}, breaks=(9.0,))


@pytest.mark.parametrize("ends", [{"gamma_min": 10.0}, {"gamma_max": 20.0}])
def test_a_distribution_has_its_own_ends(ends):
    with pytest.raises(ValueError, match=f"{next(iter(ends))} belongs to a function f"):
        synchrojax.Family("t", synchrojax.distributions.Thermal(), {"theta_e": (1.0, 2.0)}, **ends)


@pytest.mark.slow  # the table that it needs takes minutes
def test_a_damaged_description(trained, tmp_path):
    import safetensors.numpy

    path = tmp_path / "damaged.safetensors"
    with safetensors.safe_open(trained, framework="numpy") as file:
        header, tensors = file.metadata(), {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
    safetensors.numpy.save_file(tensors, path, {**header, "family": '{"name": "broken"}'})
    with pytest.raises(ModelFileError, match="its description of 'broken' cannot be read"):
        synchrojax.load(path)


@pytest.mark.filterwarnings("ignore:f integrates to")
def test_the_edges_of_a_box_are_inside(precision):
    """Those below zero, too, whatever the rounding."""
    model = pinned.family_model()  # a from -0.7 to 0.7
    flags = model.flags({**BASE, "a": jnp.asarray([-0.7, 0.7, -0.7001, 0.7001, 0.0], precision)})
    assert flags.tolist() == [0, 0, 4, 4, 0]
