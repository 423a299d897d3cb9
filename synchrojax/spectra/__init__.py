"""Stokes spectra of whole sources.

``slab``, ``sphere`` and ``cone`` are sources with the electrons of any model, ``Source`` makes one
of a function of your own: from labels (field, density, size, distance ...) to flux densities. It
may import core, model and transfer.
"""

from synchrojax.spectra._sources import Source, cone, slab, sphere

__all__ = ["Source", "cone", "slab", "sphere"]
