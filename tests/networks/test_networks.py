"""Networks of a user's own: what can be trained and kept, and what is refused with its name."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from own_networks import Skipping

from synchrojax.model import packaged, read_model, write_model
from synchrojax.networks import Perceptron, checked, initial, register

pytestmark = pytest.mark.usefixtures("x64")
SIZES = {"inputs": 4, "outputs": 9, "widths": [6], "activation": "tanh", "output": "linear"}


def test_a_network_that_can_be_kept():
    network = checked(Skipping, **SIZES, seed=3)
    again = initial(Skipping, **SIZES, seed=3)
    x = jnp.linspace(-1.0, 1.0, 8).reshape(4, 2)
    assert network(x).shape == (9, 2)
    assert np.array_equal(network(x), again(x))


class Thirsty(Skipping):
    """Needs what nobody gives, and takes less than is given."""

    def __init__(self, inputs, outputs, *, depth, widths, rngs):
        super().__init__(inputs, outputs, widths=widths, rngs=rngs)


class Silent(nnx.Module):
    def __init__(self, inputs, outputs, *, widths, activation, output, rngs):
        self.deep = Perceptron(inputs, outputs, widths=widths, rngs=rngs)


class Dropping(Skipping):
    def __init__(self, *sizes, rngs, **kind):
        super().__init__(*sizes, rngs=rngs, **kind)
        self.drop = nnx.Dropout(0.1, rngs=rngs)


class Normalising(Skipping):
    def __init__(self, inputs, outputs, *, rngs, **kind):
        super().__init__(inputs, outputs, rngs=rngs, **kind)
        self.norm = nnx.BatchNorm(outputs, rngs=rngs)


class Bare(Skipping):
    def __init__(self, inputs, outputs, *, rngs, **kind):
        super().__init__(inputs, outputs, rngs=rngs, **kind)
        self.scale = jnp.ones(outputs)


class FromNumPy(Skipping):
    def settings(self):
        return {**super().settings(), "widths": [np.int64(6)]}


class Forgetful(Skipping):
    def settings(self):
        return {k: v for k, v in super().settings().items() if k != "outputs"}


class Wider(Skipping):
    def settings(self):
        return {**super().settings(), "widths": [7]}


class Across(Skipping):
    def __call__(self, x):
        return super().__call__(x).T


class OneRow(Skipping):
    def __call__(self, x):
        return super().__call__(x)[:1]


class Constant(nnx.Module):
    def __init__(self, inputs, outputs, *, widths, activation, output, rngs):
        self.value = nnx.Variable(jnp.ones(outputs))

    def settings(self):
        return {}


for unusual in (Thirsty, Silent, Dropping, Normalising, Bare, FromNumPy, Forgetful, Wider, Across):
    register(unusual.__name__)(unusual)
register("one row")(OneRow)
register("constant")(Constant)
UNUSABLE = {
    Thirsty: r"made as Thirsty\(inputs=\.\.\., .*its __init__ does not take activation, output and "
    "needs depth, which has no default",
    Silent: r"Silent has no settings\(\)",
    Dropping: r"Dropping keeps drop\.rngs\.\w+, \w+, which its calls change",
    Normalising: r"Normalising keeps norm\.\w+, BatchStat, which its calls change",
    Bare: "Bare keeps scale as a bare array",
    FromNumPy: r"FromNumPy.settings\(\), 'widths': .* cannot be written to a model file",
    Forgetful: r"Forgetful.settings\(\), 'outputs': None; it was made with 9",
    Wider: r"Wider could not be read back from a model file: tensor .* its network needs",
    Across: r"Across makes \(3, 9\) of features of shape \(4, 3\); it should be \(9, 3\)",
    OneRow: r"OneRow makes \(1,\) of features of shape \(4,\); it should be \(9,\)",
    Constant: "Constant has no nnx.Param",
}


@pytest.mark.parametrize("network", UNUSABLE, ids=lambda kind: kind.__name__)
def test_networks_that_cannot_be_kept(network):
    with pytest.raises(ValueError, match=UNUSABLE[network]):
        checked(network, **SIZES, seed=0)


def test_unregistered_networks_are_told(tmp_path):
    class Own(Skipping):
        pass

    with pytest.raises(ValueError, match="Own is not registered"):
        checked(Own, **SIZES, seed=0)
    network = initial(Own, inputs=4, outputs=3, widths=(8,), seed=0)
    family, networks, _ = read_model(packaged("thermal"))
    with pytest.raises(ValueError, match="Own is not registered"):
        write_model(tmp_path / "own.safetensors", family, {**networks, "rho_V": network}, {})
    with pytest.raises(ValueError, match="named 'skipping' is registered already"):
        register("skipping")(Own)
