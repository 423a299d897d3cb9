"""Electrons on a grid of Lorentz factors: N(gamma) times the kernels of one electron, summed.

``_grid`` says where, ``_spectrum`` what N is there, ``_sum`` adds up; the kernels and their network
are those of ``monoenergetic``, which a model of this family holds.
"""

from synchrojax.families.tabulated._family import TABULATED, TabulatedFamily

__all__ = ["TABULATED", "TabulatedFamily"]
