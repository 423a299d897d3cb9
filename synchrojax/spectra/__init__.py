"""Stokes spectra of whole sources, as they are and as they are observed.

``slab``, ``sphere`` and ``cone`` are sources with the electrons of any model, ``Source`` makes one
of a function of your own: from labels (field, density, size, distance ...) to flux densities.
``StokesSpectrum`` is an observed spectrum, ``read`` and ``write`` have
it in a file. It may import core, model
and transfer.
"""

from synchrojax.spectra._data import STOKES, StokesSpectrum
from synchrojax.spectra._files import read, write
from synchrojax.spectra._sources import Source, cone, slab, sphere

__all__ = ["STOKES", "Source", "StokesSpectrum", "cone", "read", "slab", "sphere", "write"]
