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
        out = subprocess.run(
            [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, cwd=ROOT
        )
        assert out.returncode == 0, out.stderr
        assert out.stdout.strip()


def test_map_names_every_room():
    rooms = {
        p.stem
        for p in (ROOT / "synchrojax").iterdir()
        if (p / "__init__.py").is_file() or p.suffix == ".py"
    }
    assert set(re.findall(r"^\| `(\w+)` \|", README.split("\n## Rooms\n")[1], re.M)) == rooms - {
        "__init__",
        "__main__",
    }


def test_ci_runs_the_readme():
    script = (ROOT / ".ci" / "run").read_text()
    assert "README.md" in script
    install, test = blocks("sh")[:2]
    assert "pip install" in install
    assert "--compare" in install
    assert "pytest" in test


def test_package_never_switches_float64_on():
    """Only the command line, which is its own process, touches the global switch."""
    for path in (ROOT / "synchrojax").rglob("*.py"):
        if path.parent.name != "cli":
            code = re.sub(r'(""".*?"""|"[^"\n]*"|\'[^\'\n]*\')', "", path.read_text(), flags=re.S)
            assert "config.update" not in code, path.name
