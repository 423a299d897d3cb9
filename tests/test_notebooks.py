"""Every notebook runs from top to bottom, at small size."""

import os
import pathlib
import subprocess
import sys

import pytest

NOTEBOOKS = sorted((pathlib.Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
SMALL = {"SYNCHROJAX_NOTEBOOK_PIXELS": "16", "SYNCHROJAX_NOTEBOOK_ROWS": "512"}


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda p: p.stem)
def test_runs(notebook):
    options = ["--nbmake", "--nbmake-timeout=900", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *options, str(notebook)]
    done = subprocess.run(
        command, env={**os.environ, **SMALL}, cwd=notebook.parent, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert "1 passed" in done.stdout
