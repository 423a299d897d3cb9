"""Power laws: the parts of their cumulative coefficients."""

import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from synchrojax.families.powerlaw import _cumulative

pytestmark = pytest.mark.usefixtures("x64")


def test_derivatives_of_the_limit_of_conversion():
    """The series in ln x and p and its derivatives of first and second order."""
    z, q = jnp.asarray([-0.99, -0.3, 0.1, 0.8]), jnp.asarray([-0.9, 0.2, 0.5, 0.95])
    table = _cumulative._SERIES["conversion"]
    found = _cumulative._series("conversion", 0, 0, z, q)
    assert np.allclose(found, np.polynomial.chebyshev.chebval2d(z, q, table), rtol=1e-12)
    check_grads(
        lambda z, q: _cumulative._series("conversion", 0, 0, z, q),
        (z, q),
        order=2,
        rtol=1e-4,
        atol=1e-4,
    )
