"""Stokes spectra of whole sources, as they are and as they are observed, and what fits them.

``slab``, ``sphere`` and ``cone`` are sources with the electrons of any model, ``Source`` makes one
of a function of your own: from labels (field, density, size, distance ...) to flux densities.
``StokesSpectrum`` is an observed spectrum, ``read`` and ``write`` have it in a file. ``fit`` and
``fit_many`` find labels with errors and say what speaks against them, ``log_likelihood`` is for
samplers. It may import core, model, transfer and generate.
"""

from synchrojax.spectra._data import STOKES, StokesSpectrum
from synchrojax.spectra._files import read, write
from synchrojax.spectra._fit import fit, fit_many
from synchrojax.spectra._likelihood import log_likelihood
from synchrojax.spectra._results import Fit, Fits, Mode
from synchrojax.spectra._sources import Source, cone, slab, sphere
from synchrojax.spectra._space import LogNormal, Normal

__all__ = [
    "STOKES",
    "Fit",
    "Fits",
    "LogNormal",
    "Mode",
    "Normal",
    "Source",
    "StokesSpectrum",
    "cone",
    "fit",
    "fit_many",
    "log_likelihood",
    "read",
    "slab",
    "sphere",
    "write",
]
