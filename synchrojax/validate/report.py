"""Pictures: coefficients against an input, a validation, and one self-contained page of those."""

import base64
import html
import io
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from synchrojax.core import PathLike, loss_curve, new_figure, unit_of_coefficient, write_text
from synchrojax.tables.listing import NAMES, Listing, unit_of_input
from synchrojax.tables.table_files import RESULTS

_SHOWN = 20_000  # points in a picture
_STYLE = (
    "body{font-family:sans-serif;max-width:75em;margin:2em auto;padding:0 1em;color:#222}"
    "pre{background:#f4f4f4;padding:1em;overflow-x:auto}img{max-width:100%}"
)


def check_picture(path: PathLike) -> None:
    """Raise ValueError where matplotlib cannot write what the suffix of ``path`` says.

    Raise RuntimeError without matplotlib.
    """
    known = new_figure(1.0, 1.0).canvas.get_supported_filetypes()
    suffix = pathlib.Path(path).suffix[1:].lower()
    if suffix not in known:
        raise ValueError(
            f"{path}: a picture ends in one of {', '.join('.' + k for k in sorted(known))}"
        )


def _signed(
    axes: Any,
    x: Float[np.ndarray, " points"],
    values: Float[np.ndarray, " points"],
    sign: float,
    **style: Any,
) -> None:
    """|values| where they have that sign, continued to where it changes; a lone point as a dot."""
    here = np.sign(values) == sign
    y = np.where(here, np.abs(values), np.nan)
    lone = here & ~np.append(here[1:], False) & ~np.append(False, here[:-1])
    axes.plot(x, y, ls="-" if sign > 0 else "--", **style)
    axes.plot(x[lone], y[lone], "." if sign > 0 else "x", color=style["color"])


def curves(listing: Listing, *, title: str = "") -> Any:
    """The eight of a ``Listing`` against its one varied input.

    Positive ones are solid, negative ones dashed. Axes are logarithmic, but for theta. Exact
    values, where there are some to compare with, as open circles. Needs matplotlib.
    """
    from matplotlib.lines import Line2D

    (name,) = listing.varied
    x = listing.inputs[name]
    figure = new_figure(7.0, 10.0)
    panels = figure.subplots(3, 1, sharex=True)
    for k, coefficient in enumerate(NAMES):
        axes, style = panels[min(k // 3, 2)], {"color": f"C{'IQV'.index(coefficient[-1])}"}
        for sign in (1.0, -1.0):
            _signed(axes, x, listing.shown[k], sign, **style)
        if listing.exact is not None:
            axes.plot(x, np.abs(listing.exact[k]), "o", mfc="none", ms=4, **style)
    for axes, kind in zip(panels, ("j", "alpha", "rho"), strict=True):
        some = [n for n in NAMES if n.startswith(kind)]
        keys = [Line2D([], [], color=f"C{'IQV'.index(n[-1])}", label=n) for n in some]
        axes.set(yscale="log", ylabel=f"|{kind}| [{unit_of_coefficient(kind)}]")
        axes.legend(handles=keys, frameon=False)
    if name != "theta":
        panels[-1].set_xscale("log")
    panels[-1].set_xlabel(f"{name} [{unit_of_input(name)}]")
    compared = "; circles: exact" * (listing.exact is not None)
    figure.suptitle(f"{title}: > 0 solid, < 0 dashed{compared}")
    return figure


def _scale(validation: Any, name: str) -> str:
    """Of the axis of an input: a logarithm is for what spans a decade or more."""
    x = validation.points[name]
    short = name in validation.linear or np.min(x) <= 0.0 or np.max(x) < 10.0 * np.min(x)
    return "linear" if short else "log"


def _errors(validation: Any, title: str) -> Any:
    """Errors of the values against every input, all coefficients; published fits in grey."""
    inputs = [n for n in validation.points if np.ptp(validation.points[n]) > 0.0]
    figure = new_figure(2.6 * len(inputs), 11.0)
    grid = figure.subplots(len(RESULTS), len(inputs), sharex="col", sharey="row", squeeze=False)
    for row, coefficient in zip(grid, RESULTS, strict=True):
        use = validation.used[coefficient][:_SHOWN]
        for axes, name in zip(row, inputs, strict=True):
            x = validation.points[name][use]
            for errors, style in (
                (validation.fits[coefficient], {"color": "0.6", "label": "published fit"}),
                (validation.values[coefficient], {"color": "C0", "label": "network"}),
            ):
                if np.any(np.isfinite(errors)):
                    shown = np.maximum(errors[:_SHOWN], 1e-7)
                    axes.plot(x, shown, ".", ms=1.2, alpha=0.6, rasterized=True, **style)
            axes.set(xscale=_scale(validation, name), yscale="log", ylim=(1e-7, 10.0))
        row[0].set_ylabel(coefficient)
    for axes, name in zip(grid[-1], inputs, strict=True):
        axes.set_xlabel("theta [rad]" if name == "theta" else name)
    grid[0, 0].legend(frameon=False, fontsize=7, markerscale=6)
    figure.suptitle(f"{title}: relative error")
    return figure


def _truth(validation: Any) -> Any:
    """Prediction over truth, by the logarithm of their magnitude; red where truth is negative."""
    figure = new_figure(11.0, 5.6)
    for axes, (k, name) in zip(figure.subplots(2, 4).ravel(), enumerate(RESULTS), strict=True):
        use = validation.used[name][:_SHOWN]
        truth, ours = validation.truth[use, k], validation.predicted[use, k]
        with np.errstate(all="ignore"):
            x, y = np.log10(np.abs(truth)), np.log10(np.abs(ours))
        for mask, colour in ((truth > 0.0, "C0"), (truth < 0.0, "C3")):
            axes.plot(x[mask], y[mask], ".", ms=1.5, alpha=0.5, color=colour, rasterized=True)
        shown = x[np.isfinite(x)]
        if len(shown):
            ends = [shown.min(), shown.max()]
            axes.plot(ends, ends, color="0.3", lw=0.8)
        axes.set(title=name, xlabel="log10 |truth|", ylabel="log10 |prediction|")
    figure.suptitle("truth against prediction, blue > 0, red < 0")
    return figure


def _histogram(validation: Any) -> Any:
    figure = new_figure(8.0, 4.0)
    axes = figure.subplots()
    bins = np.linspace(-8.0, 1.0, 91)
    for k, name in enumerate(RESULTS):
        errors = np.clip(validation.values[name], 1e-8, 10.0)
        axes.hist(np.log10(errors), bins, histtype="step", color=f"C{k}", label=name)
    axes.set(xlabel="log10 relative error", ylabel="points", title="errors")
    axes.legend(frameon=False, ncols=2)
    return figure


def _loss(path: PathLike) -> Any:
    """The loss curve from the .loss.csv of a training."""
    try:
        rows = np.atleast_1d(
            np.genfromtxt(path, delimiter=",", names=True, dtype=None, encoding="utf-8-sig")
        )
        both = np.stack([rows["train_rms"], rows["validation_rms"]], -1).astype(float)
    except (ValueError, IndexError) as error:
        raise ValueError(f"{path}: not the loss curve of a training ({error})") from None
    return loss_curve(
        {head: both[rows["head"] == head] for head in dict.fromkeys(rows["head"])}, "loss"
    )


def figures(validation: Any, *, title: str = "", loss: PathLike | None = None) -> dict[str, Any]:
    """{name: matplotlib Figure} of a validation.

    Errors against each input, truth against prediction, histogram, and the loss curve. ``loss``:
    path of a ``.loss.csv``. Needs matplotlib.
    """
    found = {
        "errors": _errors(validation, title),
        "truth": _truth(validation),
        "histogram": _histogram(validation),
    }
    if loss is not None and pathlib.Path(loss).is_file():
        found["loss"] = _loss(loss)
    return found


def write_html(path: PathLike, title: str, text: str, pictures: Mapping[str, Any]) -> None:
    """One page with the table ``text`` and all ``pictures`` inside it."""
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{html.escape(title)}</title>"
    ]
    parts.append(
        f"<style>{_STYLE}</style><h1>{html.escape(title)}</h1><pre>{html.escape(text)}</pre>"
    )
    for name, figure in pictures.items():
        data = io.BytesIO()
        figure.savefig(data, format="png", dpi=110)
        code = base64.b64encode(data.getvalue()).decode()
        parts.append(
            f'<h2>{html.escape(name)}</h2><img alt="{html.escape(name)}" '
            f'src="data:image/png;base64,{code}">'
        )
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, "\n".join(parts) + "\n")
