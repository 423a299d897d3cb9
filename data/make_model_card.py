"""Write the card of the packaged models, synchrojax/weights/README.md, from ``validate``.

For each model NAME of ``synchrojax models``

    synchrojax validate NAME --seed 4711 --against fits --json > cards/NAME.json

(half an hour each on two cores, or less; ``--n 2000`` for tabulated), then ``python
data/make_model_card.py cards``. A model without a file there keeps its part of the card. It also
prints the numbers of the table of models in README.md.
"""

import json
import pathlib
import sys

import synchrojax

OUT = pathlib.Path(synchrojax.__file__).parent / "weights" / "README.md"
EMISSION = ("j_I", "j_Q", "j_V", "alpha_I", "alpha_Q", "alpha_V")
ROTATION = ("rho_Q", "rho_V")
HEAD = """# The packaged models

What `data/make_model_card.py` made of `synchrojax validate NAME --seed 4711 --against fits
--json`: errors of every model on 5,000 fresh points of its box, of the power laws with s up to 1e8,
relative to the exact integrals; of tabulated on 2,000 random spectra (broken power laws,
log-parabolas, cooled ones, thermal and kappa electrons) on grids of 32 to 256 nodes.
For rho_Q, which changes sign, they are relative to no less than a few percent of its scale.
Emission and absorption count inside the box; those of a power law count where j_I is above a
thousandth of its value without gamma_max.

Errors of slopes d ln|c| / d ln(input), or d / d(input) for theta and k, are absolute, and
relative where the slope exceeds one; the table gives the worst of the eight coefficients. Slopes
of tabulated are not measured here. A published fit is shown where its authors state it to hold,
next to the network at the same points: median and 99 % of the coefficient for which the fit is
worst.

Files are safetensors with a readable header; reading one executes no code.
"""


def worst(rows, names):
    """(median, p99, max), the worst of the named coefficients each."""
    known = [rows[name] for name in names if rows[name]["points"]]
    return [max(row[k] for row in known) for k in ("median", "p99", "max")]


def card(name, found):
    model = synchrojax.load(name)
    training, inputs = model.report["training"], ", ".join(model.inputs)
    weights = found["cost"]["weights"]
    yield f"\n## {name}\n"
    yield f"Takes {inputs}; {weights:,} weights. Trained on {training['rows']:,} rows"
    yield f"in {training['seconds']:,} s. Its box:\n"
    yield "| | from | to |\n|---|---|---|"
    yield from (f"| {key} | {low:g} | {high:g} |" for key, (low, high) in model.domain.items())
    yield "\n| error | median | 90 % | 99 % | largest | points |\n|---|---|---|---|---|---|"
    for coefficient, row in found["value"].items():
        numbers = " | ".join(f"{row[k]:.1e}" for k in ("median", "p90", "p99", "max"))
        yield f"| {coefficient} | {numbers} | {row['points']:,} |"
    slopes = {title: rows for title, rows in found.items() if title.startswith("d ln")}
    if slopes:
        yield "\n| error of the slope | median | 99 % | largest |\n|---|---|---|---|"
    for title, rows in slopes.items():
        numbers = " | ".join(f"{v:.1e}" for v in worst(rows, rows))
        yield f"| {title.replace('|', chr(92) + '|')} | {numbers} |"
    fits = {k: v for k, v in found.get("published fit, its range", {}).items() if v["points"]}
    if fits:
        coefficient = max(fits, key=lambda c: fits[c]["median"])
        network = found["network, range of the fit"][coefficient]
        yield f"\n| {coefficient} in the range of the fit | median | 99 % |\n|---|---|---|"
        for who, row in (("published fit", fits[coefficient]), ("network", network)):
            yield f"| {who} | {row['median']:.1e} | {row['p99']:.1e} |"


def main(directory):
    lines = [HEAD.rstrip("\n")]
    for name in sorted(
        synchrojax.models(), key=lambda n: ("pitch" in n, n != "thermal", n[0] != "p")
    ):
        path = pathlib.Path(directory) / f"{name}.json"
        if not path.exists():
            kept = OUT.read_text(encoding="utf-8").split(f"\n## {name}\n")[1].split("\n## ")[0]
            lines.append(f"\n## {name}\n{kept.rstrip()}")
            continue
        found = json.loads(path.read_text(encoding="utf-8"))
        lines += card(name, found)
        columns = (worst(found["value"], names) for names in (EMISSION, ROTATION))
        print(name, *(" / ".join(f"{v:.1e}" for v in column) for column in columns), sep=" | ")
    OUT.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
