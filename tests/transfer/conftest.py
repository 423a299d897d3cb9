import pytest

from synchrojax.core import _inputs


@pytest.fixture(autouse=True)
def _ranks_of_rays(monkeypatch):
    """The associative method multiplies matrices along rays by light of one axis or two less."""
    monkeypatch.setitem(_inputs._OWN, "numpy_rank_promotion", "allow")
