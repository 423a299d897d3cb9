"""The one training loop with networks, losses and optimisers that the package does not have."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from synchrojax.networks import parameters_of
from synchrojax.train import Gradient, Plan, TrainingError, run


class Density(nnx.Module):
    """A normal density: its mean and the logarithm of its width are learned."""

    def __init__(self):
        self.mean, self.log_width = nnx.Param(jnp.zeros(())), nnx.Param(jnp.zeros(()))


def minus_log_likelihood(module, rows):
    width = jnp.exp(module.log_width[...])
    return jnp.mean(0.5 * ((rows - module.mean[...]) / width) ** 2 + module.log_width[...])


def nowhere(module, rows):
    return minus_log_likelihood(module, rows) * jnp.nan


ROWS = np.linspace(-0.2, 0.3, 200).astype(np.float32)
PARAMETERS, FRAME = parameters_of(Density())
SLOW = optax.adam(0.05)


def trained(
    steps, loss=minus_log_likelihood, patience=100, transformation=SLOW, batch=100, **options
):
    optimiser = Gradient(transformation, loss, FRAME, ROWS, batch_size=batch, seed=0)
    return run(
        optimiser,
        lambda parameters: float(loss(FRAME.module(parameters), ROWS)),
        lambda: (PARAMETERS, optimiser.start(PARAMETERS), (np.inf, np.inf)),
        Plan(steps, patience),
        like=PARAMETERS,
        quiet=True,
        **options,
    )


def test_a_loss_below_zero_is_learned_and_recorded():
    state = trained(150, batch=len(ROWS))
    best = FRAME.module(state.best)
    assert state.best_loss < -1.4
    assert abs(float(jnp.exp(best.log_width[...])) / np.std(ROWS) - 1.0) < 0.05
    training, validation = state.history[1:, :2].T
    # of the same rows and parameters: those before and after the only step of an epoch
    assert np.allclose(training[1:], validation[:-1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("loss", "best", "improves"),
    [
        (0.997, 1.0, True),
        (0.999, 1.0, False),
        (-1.0, -0.999, False),
        (-1.003, -1.0, True),
        (-0.5, np.inf, True),
        (np.nan, 1.0, False),
    ],
)
def test_patience_is_for_losses_of_either_sign(loss, best, improves):
    assert Plan(1, 1, better=0.998).improves(loss, best) == improves


def test_patience_ends_a_run_of_losses_below_zero():
    class Idle:
        def start(self, parameters):
            return np.zeros(())

        def update(self, parameters, memory, step):
            return parameters, memory, 0.0

        def exhausted(self, memory):
            return False

    losses = iter([-1.0, -0.9999, -1.0001, -0.9999, -1.0, -1.0])
    state = run(
        Idle(),
        lambda parameters: next(losses),
        lambda: (PARAMETERS, np.zeros(()), (np.inf, np.inf)),
        Plan(6, 2, better=0.998),
        like=PARAMETERS,
        quiet=True,
    )
    assert (int(state.step), int(state.best_step), float(state.best_loss)) == (3, 1, -1.0001)


def test_a_longer_plan_goes_on(tmp_path):
    """With the numbers of a run that was never interrupted; states that were seen stay."""
    seen = []
    trained(3, checkpoints=tmp_path / "state")
    longer = trained(6, checkpoints=tmp_path / "state", callback=seen.append)
    whole = trained(6)
    assert [int(s.step) for s in seen] == [4, 5, 6]
    assert np.array_equal(longer.history[1:, :2], whole.history[1:, :2])
    assert longer.best_loss == whole.best_loss
    assert [int(np.sum(np.isfinite(s.history[:, 1]))) for s in seen] == [4, 5, 6]
    shorter = trained(2, checkpoints=tmp_path / "state")
    assert int(shorter.step) == 6


def test_a_run_of_another_optimiser_is_refused(tmp_path):
    trained(2, checkpoints=tmp_path / "state")
    with pytest.raises(TrainingError, match=r"state holds a run of other networks or of another"):
        trained(2, checkpoints=tmp_path / "state", transformation=optax.sgd(0.1))


def test_a_loss_that_is_no_number():
    with pytest.raises(
        TrainingError, match="train: none of 3 validation losses is a finite number"
    ):
        trained(9, nowhere, patience=3)


@pytest.mark.parametrize(
    ("data", "size", "message"),
    [
        (ROWS[:0], 10, "a row for each example, got arrays of 0 rows"),
        ((ROWS, ROWS[:3]), 10, "got arrays of 3 and 200 rows"),
        ((), 10, "got arrays of no rows"),
        (ROWS, 0, "batch_size is a number of rows from 1 up, got 0"),
    ],
)
def test_batches_of_nothing(data, size, message):
    with pytest.raises(ValueError, match=message):
        Gradient(SLOW, minus_log_likelihood, FRAME, data, batch_size=size, seed=0)
