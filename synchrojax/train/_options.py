"""What a training depends on beside its table, and what is allowed."""

import functools
import math
import numbers
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias, TypeVar

from synchrojax.core import whole_number
from synchrojax.tables import table_files

# what returns a value as plain numbers, or raises, and what is allowed, in words
Allowed: TypeAlias = tuple[Callable[[Any], Any], str]


class Options(NamedTuple):
    """What a training depends on, beside the table."""

    widths: tuple[int, ...] | None = None  # the family's own
    seed: int = 0
    adam_steps: int = 100  # more saturate units that the second stage cannot free
    adam_batch: int = 1024
    adam_rate: float = 3e-3
    iterations: int = 170  # of Levenberg-Marquardt, the last 15 % of them on `final_rows`
    rows: int = (
        16384  # drawn afresh for each of the others; up to four times as many where outputs are few
    )
    final_rows: int = 262144  # at most so many in the last iterations
    patience: int = 40  # iterations without a better validation loss before stopping
    validation: float = 0.1
    test: float = 0.1


class TableOptions(NamedTuple):
    """What a training depends on, beside configuration and table."""

    seed: int = 0
    members: int = 1  # of an ensemble
    max_rows: int = 2_000_000  # drawn at random from a larger table
    patience: int = 40  # iterations or epochs without a better validation loss before stopping
    validation: float = 0.1
    test: float = 0.1


_HIGHEST_SEED = 2**62  # JAX makes keys of 64 bits, to which a number of steps is added


def _real(value: Any) -> Any:
    """``value``, if it is a real number; NumPy's are too."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError
    return value


def _integer(low: int, high: int | None = None) -> Allowed:
    """What takes a whole number from ``low`` to ``high``, and words for it."""
    if high is None:
        return functools.partial(whole_number, least=low), f"a whole number from {low} up"
    taken = functools.partial(whole_number, least=low, most=high)
    return taken, f"a whole number from {low} to {high}"


def _positive(below: float = math.inf) -> Allowed:
    """What takes a positive number, and words for it."""

    def taken(value: Any) -> float:
        if not 0.0 < _real(value) < below:
            raise ValueError
        return float(value)

    return taken, "a positive number" + (
        ", not infinite" if below == math.inf else f" below {below:g}"
    )


def _widths(value: Any) -> tuple[int, ...] | None:
    if value is None:
        return None
    if isinstance(value, str | bytes | Mapping) or not hasattr(value, "__iter__"):
        raise TypeError
    found = tuple(map(_integer(1)[0], value))
    if not found:
        raise ValueError
    return found


_ALLOWED: dict[str, Allowed] = {
    "widths": (
        _widths,
        "the widths of the hidden layers, whole numbers from 1 up such as (32, 32), or None",
    ),
    "seed": _integer(0, _HIGHEST_SEED),
    "members": _integer(1),
    "max_rows": _integer(1),
    "adam_steps": _integer(1),
    "adam_batch": _integer(1),
    "adam_rate": _positive(),
    "iterations": _integer(0),
    "rows": _integer(1),
    "final_rows": _integer(1),
    "patience": _integer(1),
    "validation": _positive(1.0),
    "test": _positive(1.0),
}
_Kind = TypeVar("_Kind", Options, TableOptions)


def checked_options(options: Any, kind: type[_Kind]) -> _Kind:
    """``options`` of that kind, as plain numbers.

    Raises TypeError for what is none or holds a value of a wrong type, ValueError for a value that
    is not allowed; the message names it and what is.
    """
    if not isinstance(options, kind):
        raise TypeError(
            f"options is a synchrojax.train.{kind.__name__}, such as {kind.__name__}(seed=1), not "
            f"{options!r}"
        )
    plain = {}
    for name, value in options._asdict().items():
        take, words = _ALLOWED[name]
        try:
            plain[name] = take(value)
        except (TypeError, ValueError) as error:
            raise type(error)(f"options.{name} is {words}, not {value!r}") from None
    if not plain["validation"] + plain["test"] < 1.0:
        raise ValueError(
            f"options.validation is {plain['validation']:g} and options.test {plain['test']:g} of "
            "the rows, which leaves none to train on: their sum is below 1"
        )
    return kind(**plain)


def require_parts(table: Any, n: int, options: Options | TableOptions) -> None:
    """Raise TableError where ``n`` rows leave none for validation or for testing."""
    for name in ("validation", "test"):
        share = getattr(options, name)
        if int(share * n) == 0:
            raise table_files.TableError(
                f"{table}: of {n} rows, options.{name} = {share:g} is less than one: give a larger "
                "share or more rows"
            )
