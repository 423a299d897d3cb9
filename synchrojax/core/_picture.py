"""Figures, for those who have matplotlib."""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from synchrojax.core._files import written_in_one
from synchrojax.core._types import PathLike


def new_figure(width: float | int, height: float | int) -> Any:
    """An empty matplotlib Figure [inch]. Raises RuntimeError where matplotlib is missing."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise RuntimeError("pictures need matplotlib: pip install 'synchrojax[plot]'") from None
    return Figure(figsize=(width, height), layout="constrained")


def save_figure(figure: Any, path: PathLike, *, dpi: int = 110) -> None:
    """Write ``figure`` to ``path``, in the format that its suffix says."""
    with written_in_one(path) as temporary:
        figure.savefig(temporary, format=pathlib.Path(path).suffix[1:] or "png", dpi=dpi)


def loss_curve(histories: Mapping[str, Float[np.ndarray, "_ losses"]], title: str) -> Any:
    """{network: [iteration, (training, validation, ...)]} as a figure."""
    figure = new_figure(6.4, 4.0)
    axes = figure.subplots()
    for k, (head, history) in enumerate(histories.items()):
        axes.semilogy(history[:, 0], color=f"C{k % 10}", alpha=0.5)
        axes.semilogy(history[:, 1], color=f"C{k % 10}", ls="--", label=head)
    axes.set(
        xlabel="iteration or epoch",
        ylabel="root of the loss",
        title=f"{title}: training, validation dashed",
    )
    if len(histories) <= 12:
        axes.legend(frameon=False, fontsize=8)
    return figure
