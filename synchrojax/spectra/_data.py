"""An observed Stokes spectrum: flux densities, errors, masks and upper limits."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from synchrojax.core import low_and_high, real

STOKES = ("I", "Q", "U", "V")

_Row = Float[np.ndarray, " nu"]


class StokesSpectrum:
    """Flux densities [Jy] of I and any of Q, U, V at frequencies ``nu`` [Hz], as observed.

    ``errors``: standard deviations [Jy]: one number or array [nu] for all, or a mapping from Stokes
    parameters to them. ``mask``: True where a channel is bad, an array [nu] for all or a mapping.
    ``upper``: True where I is an upper limit, of which it is known that the noise, of the given
    error, would have hidden anything fainter: what counts there is the probability that the source
    is below (see ``log_likelihood``).

    Quantities with units are converted. Arrays are copied, and those that are given stay as they
    are. Raises ValueError for frequencies that do not increase, shapes that do not fit, errors that
    are not positive and values that are not finite where nothing masks them, and where no channel
    is left.
    """

    nu: _Row
    """Frequencies [Hz], increasing."""
    values: Mapping[str, _Row]
    """Stokes parameter -> flux densities [Jy], of those that were observed."""
    errors: Mapping[str, _Row]
    """Stokes parameter -> standard deviations [Jy]."""
    mask: dict[str, Bool[np.ndarray, " nu"]]
    """Stokes parameter -> True where a channel is not used."""
    upper: Bool[np.ndarray, " nu"]
    """True where I is an upper limit."""

    def __init__(
        self,
        nu: Any,
        *,
        I: Any = None,
        Q: Any = None,
        U: Any = None,
        V: Any = None,
        errors: Any = None,
        mask: Any = None,
        upper: Any = None,
    ) -> None:
        self.nu = _frequencies(nu)
        given = {n: v for n, v in zip(STOKES, (I, Q, U, V), strict=True) if v is not None}
        if not given:
            raise ValueError("StokesSpectrum: give at least one of I, Q, U and V")
        self.values = {n: self._row(v, n, "Jy") for n, v in given.items()}
        if errors is None:
            raise ValueError("StokesSpectrum: errors are missing: give standard deviations [Jy]")
        self.errors = {
            n: self._row(v, f"errors of {n}", "Jy") for n, v in self._each(errors, "errors")
        }
        if len(self.errors) < len(self.values):
            missing = ", ".join(n for n in self.values if n not in self.errors)
            raise ValueError(f"StokesSpectrum: errors of {missing} are missing")
        masks = dict(self._each(False if mask is None else mask, "mask"))
        self._given = {n: self._truths(masks.get(n, False), f"mask of {n}") for n in self.values}
        self.upper = self._truths(False if upper is None else upper, "upper")
        if np.any(self.upper) and "I" not in self.values:
            raise ValueError("StokesSpectrum: upper limits are of I, which is missing")
        self.reset_mask()
        self.check()

    def _each(self, given: Any, what: str) -> Iterator[tuple[str, Any]]:
        """(Stokes parameter, what belongs to it) of a mapping, or of what is for all."""
        if not isinstance(given, Mapping):
            yield from ((n, given) for n in self.values)
            return
        unknown = sorted(set(map(str, given)) - set(self.values))
        if unknown:
            known = ", ".join(self.values)
            raise ValueError(
                f"StokesSpectrum: {what} of {', '.join(unknown)}, but what is given is {known}"
            )
        yield from given.items()

    def _row(self, given: Any, what: str, unit: str) -> _Row:
        array = np.array(real(given, f"StokesSpectrum: {what}", unit), float)
        return _read_only(self._wide(array, what))

    def _truths(self, given: Any, what: str) -> Bool[np.ndarray, " nu"]:
        array = np.array(given)
        if array.dtype != bool and not np.all((array == 0) | (array == 1)):
            raise ValueError(f"StokesSpectrum: {what} must be True or False")
        return self._wide(array.astype(bool), what)

    def _wide(self, array: np.ndarray, what: str) -> np.ndarray:
        if array.shape not in ((), self.nu.shape):
            raise ValueError(
                f"StokesSpectrum: {what} has the shape {array.shape}, nu has {self.nu.shape}"
            )
        return np.broadcast_to(array, self.nu.shape).copy()

    def check(self) -> None:
        """Raise ValueError where a value that is used is not finite, or none is left."""
        for n, used in self.used.items():
            for what, row in (("", self.values[n]), ("error of ", self.errors[n])):
                bad = used & ~np.isfinite(row)
                _refuse(f"{what}{n}", row, bad, "not finite: mask such channels")
            _refuse(
                f"error of {n}", self.errors[n], used & (self.errors[n] <= 0), "must be positive"
            )
        if not self.size:
            raise ValueError("StokesSpectrum: every channel is masked")

    def __repr__(self) -> str:
        limits = int(np.sum(self.upper & self.used["I"])) if "I" in self.used else 0
        return (
            f"StokesSpectrum({', '.join(self.values)} at {len(self.nu)} frequencies from "
            f"{self.nu[0]:g} to {self.nu[-1]:g} Hz; {self.size} values used"
            + f", {limits} of them upper limits" * bool(limits)
            + ")"
        )

    @property
    def used(self) -> dict[str, Bool[np.ndarray, " nu"]]:
        """Stokes parameter -> True where a channel is used."""
        return {n: ~mask for n, mask in self.mask.items()}

    @property
    def size(self) -> int:
        """How many values are used."""
        return sum(int(np.sum(used)) for used in self.used.values())

    def add_mask_region(self, low: Any, high: Any, *, stokes: Any = None) -> "StokesSpectrum":
        """Mask the channels from ``low`` to ``high`` [Hz], both included; returns itself.

        ``stokes``: one Stokes parameter or several; by default all.
        """
        low, high = low_and_high((low, high), "add_mask_region", "Hz")
        names = tuple(self.values) if stokes is None else tuple(stokes)
        unknown = [n for n in names if n not in self.values]
        if unknown:
            raise ValueError(f"add_mask_region: no {', '.join(unknown)} in this spectrum")
        for n in names:
            self.mask[n] |= (self.nu >= low) & (self.nu <= high)
        return self

    def reset_mask(self) -> "StokesSpectrum":
        """Return to the mask that was given; returns itself."""
        self.mask = {n: mask.copy() for n, mask in self._given.items()}
        return self

    def table(self) -> tuple[Float[np.ndarray, "4 nu"], Float[np.ndarray, "4 nu"]]:
        """(values, their weights 1 / error) of I, Q, U, V; both 0 where nothing is used."""
        values, weights = np.zeros((2, 4, len(self.nu)))
        for n, used in self.used.items():
            k = STOKES.index(n)
            values[k, used] = self.values[n][used]
            weights[k, used] = 1.0 / self.errors[n][used]
        return values, weights


def _frequencies(nu: Any) -> _Row:
    row = np.array(real(nu, "StokesSpectrum: nu", "Hz"), float)
    if row.ndim != 1 or not row.size:
        raise ValueError(f"StokesSpectrum: nu is one row of frequencies, got shape {row.shape}")
    _refuse("nu", row, ~(np.isfinite(row) & (row > 0.0)), "frequencies are positive numbers")
    after = np.concatenate([[False], np.diff(row) <= 0.0])
    _refuse("nu", row, after, "frequencies must increase; sort them and join what is twice")
    return _read_only(row)


def _read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


def _refuse(what: str, row: np.ndarray, broken: np.ndarray, why: str) -> None:
    if np.any(broken):
        i = int(np.flatnonzero(broken)[0])
        raise ValueError(f"StokesSpectrum: {what}[{i}] = {row[i]:g}: {why}")
