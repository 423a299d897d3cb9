"""What annotations of arrays are made of: the name of an axis is one size in all of a call."""

import os
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Array, Bool, Float, Real, Shaped

Arrays: TypeAlias = Array | np.ndarray
# JAX gives constants to rules of derivatives as Python numbers
Reals: TypeAlias = float | int | Float[Arrays, "..."]
# as users hold them, any kind of real numbers
Numbers: TypeAlias = Real[Arrays, "..."]
# of one shape, a point each; and where something holds
Points: TypeAlias = Float[Arrays, "*points"]
Masks: TypeAlias = Bool[Arrays, "*points"]
Truths: TypeAlias = bool | np.bool_ | Bool[Arrays, "..."]
# columns of a table {name: values}
Columns: TypeAlias = Mapping[str, Shaped[np.ndarray, " rows"]]
PathLike: TypeAlias = str | os.PathLike[str]
# of whole numbers, or of symbols in an export
Shape: TypeAlias = tuple[Any, ...]
