"""Pictures of a validation, and one self-contained page of them."""

import base64
import html
import io
import pathlib

import numpy as np

from synchrojax._files import whole
from synchrojax._table import RESULTS
from synchrojax.validate import draw_errors

_SHOWN = 20_000  # points in a picture
_STYLE = (
    "body{font-family:sans-serif;max-width:75em;margin:2em auto;padding:0 1em;color:#222}"
    "pre{background:#f4f4f4;padding:1em;overflow-x:auto}img{max-width:100%}"
)


def _figure(*size):
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise RuntimeError("pictures need matplotlib: pip install 'synchrojax[plot]'") from None
    return Figure(figsize=size, layout="constrained")


def _truth(validation):
    """Prediction over truth, by the logarithm of their magnitude; red where truth is negative."""
    figure = _figure(11.0, 5.6)
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


def _histogram(validation):
    figure = _figure(8.0, 4.0)
    axes = figure.subplots()
    bins = np.linspace(-8.0, 1.0, 91)
    for k, name in enumerate(RESULTS):
        errors = np.clip(validation.values[name], 1e-8, 10.0)
        axes.hist(np.log10(errors), bins, histtype="step", color=f"C{k}", label=name)
    axes.set(xlabel="log10 relative error", ylabel="points", title="errors")
    axes.legend(frameon=False, ncols=2)
    return figure


def _loss(path):
    """The loss curve from the .loss.csv of a training."""
    rows = np.atleast_1d(np.genfromtxt(path, delimiter=",", names=True, dtype=None, encoding=None))
    figure = _figure(8.0, 4.0)
    axes = figure.subplots()
    for k, head in enumerate(dict.fromkeys(rows["head"])):
        part = rows[rows["head"] == head]
        axes.semilogy(part["iteration"], part["train_rms"], color=f"C{k % 10}", alpha=0.5)
        axes.semilogy(part["iteration"], part["validation_rms"], color=f"C{k % 10}", ls="--", label=head)
    axes.set(xlabel="iteration or epoch", ylabel="root of the loss", title="training, validation dashed")
    if len(set(rows["head"])) <= 12:
        axes.legend(frameon=False, fontsize=8)
    return figure


def figures(validation, *, title="", loss=None):
    """{name: matplotlib Figure}: errors against each input, truth against prediction, histogram, and the loss curve.

    ``loss``: path of a ``.loss.csv``. Needs matplotlib.
    """
    found = {
        "errors": draw_errors(validation, title=title),
        "truth": _truth(validation),
        "histogram": _histogram(validation),
    }
    if loss is not None and pathlib.Path(loss).is_file():
        found["loss"] = _loss(loss)
    return found


def write_html(path, title, text, pictures):
    """One page with the table ``text`` and all ``pictures`` inside it."""
    parts = [f"<!doctype html><html lang=en><meta charset=utf-8><title>{html.escape(title)}</title>"]
    parts.append(f"<style>{_STYLE}</style><h1>{html.escape(title)}</h1><pre>{html.escape(text)}</pre>")
    for name, figure in pictures.items():
        data = io.BytesIO()
        figure.savefig(data, format="png", dpi=110)
        code = base64.b64encode(data.getvalue()).decode()
        parts.append(f'<h2>{html.escape(name)}</h2><img alt="{html.escape(name)}" src="data:image/png;base64,{code}">')
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as temporary:
        temporary.write_text("\n".join(parts) + "\n")
