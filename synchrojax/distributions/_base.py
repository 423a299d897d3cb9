"""What the exact calculator needs to know of a distribution."""

import abc
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NoReturn

from jaxtyping import Float

from synchrojax.core import Arrays, Reals, Truths

# what no parameter of a user's distribution may be called: the rest of the input has these names,
# and arguments of ``exact.coefficients`` and of the methods below
RESERVED = (
    *("nu", "B", "n_e", "theta", "s", "sine", "gamma", "mu", "across"),
    *("params", "distribution", "resolution", "error"),
)


class Distribution(abc.ABC):
    """What the exact calculator needs to know of a distribution.

    ``parameters`` are the names that ``params`` must hold beside nu, B, n_e and theta, ``defaults``
    the values of those that may be left out; each method receives their values (one point) as
    keywords.
    """

    parameters: tuple[str, ...] = ()
    defaults: Mapping[str, float] = MappingProxyType({})
    extended = False  # a tail over many decades of gamma, or anisotropy, needs more nodes
    edges = "keep"  # or "omit": whether df/dgamma includes the jumps of f

    @property
    def of_user(self) -> bool:
        """Whether f comes from outside of the package."""
        return not type(self).__module__.startswith("synchrojax.")

    @property
    def written_as(self) -> Any:
        """The class or function that f is written as, however often it is wrapped."""
        return type(self)

    def __repr__(self) -> str:
        kind, written, parameters = type(self), self.written_as, ", ".join(self.parameters)
        name = [] if written is kind else [getattr(written, "__name__", repr(written))]
        return f"{kind.__name__}({': '.join([*name, *filter(None, [parameters])])})"

    @abc.abstractmethod
    def log_shape(self, gamma: Reals, mu: Reals, across: Reals, **parameters: Reals) -> Reals:
        """ln f + ``log_norm`` at gamma >= 1, -1 <= mu <= 1; ``across`` = 1 - mu^2 unrounded."""

    @abc.abstractmethod
    def log_norm(self, **parameters: Reals) -> Reals:
        """ln of the integral of exp(``log_shape``) over d^3u."""

    @abc.abstractmethod
    def gamma_bounds(self, **parameters: Reals) -> tuple[Reals, Reals]:
        """(lowest, highest) Lorentz factor at which f matters; f is taken as zero outside."""

    @abc.abstractmethod
    def harmonics_matter(self, s: Reals, sine: Reals, **parameters: Reals) -> Truths:
        """True where harmonics do not overlap and have to be summed; sine = |sin(theta)|."""

    def canonical(self, **parameters: Reals) -> dict[str, Reals]:
        """The parameters, infinity replaced by what stands for it."""
        return parameters

    def of_row(self, row: Float[Arrays, " columns"]) -> dict[str, Any]:
        """The parameters of one point that stand in a row of numbers, in order."""
        return dict(zip(self.parameters, row, strict=True))

    def jumps(self, **parameters: Reals) -> tuple[tuple[Reals, float], ...]:
        """((gamma, +1 up or -1 down), ...): where f jumps at fixed gamma."""
        return ()

    def breaks(self, **parameters: Reals) -> tuple[Any, ...]:
        """(gamma, ...) where f has kinks or jumps between ``gamma_bounds``, in any order.

        There are as many for all parameters. The integrals are split there. A jump belongs to f:
        absorption and rotativities get its delta function in df/dgamma, averaged over harmonics.
        Those outside the bounds do nothing.
        """
        return ()

    def violated(self, **parameters: Reals) -> Mapping[str, Truths]:
        """{"condition that must hold": True where it does not}; NaN violates nothing."""
        return {}

    def check(self, **parameters: Reals) -> None:  # noqa: B027
        """Raise ValueError where f itself cannot be a distribution.

        ``parameters``: arrays of one length.
        """


def require_names(parameters: tuple[str, ...], taken: tuple[str, ...] = RESERVED) -> None:
    """Raise ValueError for parameters of a user's distribution whose names are ``taken``."""
    for name in parameters:
        if name in taken:
            raise ValueError(
                f"f has a parameter called {name!r}: give it another name, none of "
                f"{', '.join(taken)}"
            )


class Absent(Distribution):
    """Stands for an f that a model file does not hold."""

    def __init__(self, name: str, parameters: tuple[str, ...]) -> None:
        self.name, self.parameters = name, parameters

    def _missing(self, *_: Any, **__: Any) -> NoReturn:
        raise ValueError(
            f"a model file does not hold the f of {self.name!r}: pass the Family that it was made "
            "with"
        )

    log_shape = log_norm = gamma_bounds = harmonics_matter = _missing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Absent) and (self.name, self.parameters) == (
            other.name,
            other.parameters,
        )

    def __hash__(self) -> int:
        return hash((self.name, self.parameters))
