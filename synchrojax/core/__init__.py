"""What every other room stands on.

Physical constants, the eight coefficients as one value, names and units of the inputs, arithmetic
that keeps its digits, the angle to B; and what every room needs of files, progress bars and
pictures. It imports nothing of this package.

How calls are compiled is here, too. ``pointwise`` compiles a function of points once for many
sizes. ``fused`` makes a function and its derivatives few kernels, so that they compile soon
(``python tests/compile_time.py``); inside it ``kept`` marks what is computed once, and ``stacked``
makes one array of such rows. ``quick_jit`` compiles what runs once.

Adding an input: give it a line in ``UNITS`` (``_params``), "UNIT, what it is" or "dimensionless,
what it is", and the command line, the messages and the listings know it. One with a unit takes
numbers and, in Python, quantities of any unit that Astropy converts; for text with a unit, as on
the command line, give it a kind in ``_quantities``.
"""

from synchrojax.core._coefficients import (
    Coefficients,
    LogCoefficients,
    SkyCoefficients,
    field_by_field,
    unit_of_coefficient,
)
from synchrojax.core._compiled import STEPS, elsewhere, pack, pointwise, step
from synchrojax.core._constants import (
    ABSORPTION,
    E2_OVER_MC,
    ELECTRON_CHARGE,
    ELECTRON_MASS,
    EMISSION,
    GYRO,
    SPEED_OF_LIGHT,
    cold,
)
from synchrojax.core._files import (
    existing_place,
    from_json,
    make_directory,
    read_text,
    write_text,
    written_in_one,
)
from synchrojax.core._fused import fused, kept, stacked
from synchrojax.core._geometry import (
    cosine_sine,
    from_plane,
    limit_polarization,
    sine_cosine,
    to_plane,
)
from synchrojax.core._inputs import (
    ANY_UNIT,
    UnitError,
    broadcast_shapes,
    float64_is_on,
    in_dtype,
    is_finite_number,
    is_traced,
    low_and_high,
    number,
    own_settings,
    real,
    reals,
    warn_user,
    whole_number,
)
from synchrojax.core._numbers import (
    at_least,
    at_most,
    bounded_exp,
    bounded_product,
    complex_root,
    over_with_tangents,
    power_of_two,
    product,
    ratio,
    reciprocal,
    rows_of,
    slopes_that_fit,
    smooth_step,
    softplus,
    square_root,
    with_tangents_times,
    within,
)
from synchrojax.core._params import (
    COMMON,
    UNITS,
    as_mapping,
    broadcast,
    describe,
    one_mapping,
    require_names,
    unit_of,
    unphysical,
)
from synchrojax.core._picture import loss_curve, new_figure, save_figure
from synchrojax.core._progress import progress
from synchrojax.core._quantities import QuantityError, ends, quantity, quantity_or_range
from synchrojax.core._quick import quick_jit
from synchrojax.core._sky import as_array, rotate, turned
from synchrojax.core._types import (
    Arrays,
    Columns,
    Masks,
    Numbers,
    PathLike,
    Points,
    Reals,
    Shape,
    Truths,
)

__all__ = [
    "ABSORPTION",
    "ANY_UNIT",
    "COMMON",
    "E2_OVER_MC",
    "ELECTRON_CHARGE",
    "ELECTRON_MASS",
    "EMISSION",
    "GYRO",
    "SPEED_OF_LIGHT",
    "STEPS",
    "UNITS",
    "Arrays",
    "Coefficients",
    "Columns",
    "LogCoefficients",
    "Masks",
    "Numbers",
    "PathLike",
    "Points",
    "QuantityError",
    "Reals",
    "Shape",
    "SkyCoefficients",
    "Truths",
    "UnitError",
    "as_array",
    "as_mapping",
    "at_least",
    "at_most",
    "bounded_exp",
    "bounded_product",
    "broadcast",
    "broadcast_shapes",
    "cold",
    "complex_root",
    "cosine_sine",
    "describe",
    "elsewhere",
    "ends",
    "existing_place",
    "field_by_field",
    "float64_is_on",
    "from_json",
    "from_plane",
    "fused",
    "in_dtype",
    "is_finite_number",
    "is_traced",
    "kept",
    "limit_polarization",
    "loss_curve",
    "low_and_high",
    "make_directory",
    "new_figure",
    "number",
    "one_mapping",
    "over_with_tangents",
    "own_settings",
    "pack",
    "pointwise",
    "power_of_two",
    "product",
    "progress",
    "quantity",
    "quantity_or_range",
    "quick_jit",
    "ratio",
    "read_text",
    "real",
    "reals",
    "reciprocal",
    "require_names",
    "rotate",
    "rows_of",
    "save_figure",
    "sine_cosine",
    "slopes_that_fit",
    "smooth_step",
    "softplus",
    "square_root",
    "stacked",
    "step",
    "to_plane",
    "turned",
    "unit_of",
    "unit_of_coefficient",
    "unphysical",
    "warn_user",
    "whole_number",
    "with_tangents_times",
    "within",
    "write_text",
    "written_in_one",
]
