"""What the README says is true: its code runs, its map is complete, CI runs its commands."""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.M | re.S)


def test_python_examples_run():
    assert len(blocks("python")) >= 1
    for code in blocks("python"):
        out = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, cwd=ROOT)
        assert out.returncode == 0, out.stderr
        assert out.stdout.strip()


def test_map_names_every_module():
    rows = set(re.findall(r"^\| `([\w.]+\.py)` \|", README, re.M))
    modules = {p.name for p in (ROOT / "synchrojax").glob("*.py")} - {"__init__.py"}
    assert rows == modules


def test_modules_import_only_downward():
    """The order of the map is the order of the imports."""
    order = re.findall(r"^\| `([\w.]+)\.py` \|", README, re.M)
    for position, name in enumerate(order):
        source = (ROOT / "synchrojax" / f"{name}.py").read_text()
        used = set(
            re.findall(
                r"from synchrojax\.(\w+) import|from synchrojax import ([\w, ]+)|import synchrojax\.(\w+)", source
            )
        )
        used = {m.strip() for groups in used for g in groups for m in g.split(",") if m.strip() in order}
        assert all(order.index(m) < position for m in used), (name, used)


def test_ci_runs_the_readme():
    script = (ROOT / ".ci" / "run").read_text()
    assert "README.md" in script
    install, test = blocks("sh")[:2]
    assert "pip install" in install
    assert "--compare" in install
    assert "pytest" in test


def test_package_never_switches_float64_on():
    """Only the command line, which is its own process, touches the global switch."""
    for path in (ROOT / "synchrojax").glob("*.py"):
        if path.name != "cli.py":
            code = re.sub(r'(""".*?"""|"[^"\n]*"|\'[^\'\n]*\')', "", path.read_text(), flags=re.S)
            assert "config.update" not in code, path.name
