"""What the texts say is true: their code runs, the map is complete, CI runs the commands."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

import synchrojax

ROOT = pathlib.Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
TEXTS = sorted(
    p.relative_to(ROOT)
    for p in ROOT.rglob("*.md")
    if not any(part.startswith(".") for part in p.relative_to(ROOT).parts)
)
NOT_CODE = ("text",)


def blocks(text):
    """(language, code, why it is not run or None) of every fenced block; indented ones are told."""
    fenced = re.compile(
        r"^(?:<!-- not run: (?P<why>.+?) -->\n)?^```(?P<language>\w*)\n(?P<code>.*?)^```$",
        re.M | re.S,
    )
    rest = fenced.sub("", text)
    indented = re.search(r"\n\n(?:    |\t)(?![-*\d])\S", rest)
    assert not indented, f"a block without a fence: {rest[indented.start() :][:80]!r}"
    return [(m["language"], m["code"], m["why"]) for m in fenced.finditer(text)]


def cases():
    for path in TEXTS:
        for number, block in enumerate(blocks((ROOT / path).read_text(encoding="utf-8"))):
            yield pytest.param(*block, id=f"{path}-{number}")


@pytest.mark.parametrize(("language", "code", "why"), list(cases()))
def test_blocks_run(language, code, why, tmp_path):
    """Every block of every text runs, or says why not."""
    assert language in ("python", "sh", *NOT_CODE)
    if why or language in NOT_CODE:
        return
    path = os.pathsep.join([str(pathlib.Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", "-c"] if language == "python" else ["bash", "-euc"]
    done = subprocess.run(
        [*command, code], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() or any(tmp_path.iterdir())


def test_compiled_programs_are_kept(tmp_path):
    """The block of the README that names a directory for them: a second process finds all."""
    code = next(code for _, code, _ in blocks(README) if "jax_compilation_cache_dir" in code)
    count = (
        "import jax, jax.monitoring\n"
        "events = []\n"
        "jax.monitoring.register_event_listener(lambda name, **_: events.append(name))\n"
        f"{code}\n"
        "missed = events.count('/jax/compilation_cache/cache_misses')\n"
        "print(events.count('/jax/compilation_cache/cache_hits'), missed)\n"
    )
    # compiled as it is for users: quickly compiled programs are not worth keeping
    ours = ("JAX_COMPILATION_CACHE_DIR", "XLA_FLAGS")
    own = {k: v for k, v in os.environ.items() if k not in ours}
    own["PYTHONPATH"] = str(ROOT)

    def run():
        done = subprocess.run(
            [sys.executable, "-c", count], capture_output=True, text=True, cwd=tmp_path, env=own
        )
        assert done.returncode == 0, done.stderr
        return [int(n) for n in done.stdout.split()[-2:]]

    first, second = run(), run()
    assert first[0] == 0
    assert first[1] >= 1
    assert second[0] >= 1
    assert second[1] < first[1]


def test_the_rooms_are_those_of_the_package():
    listed = re.search(r"in the order of their imports: ([^.]+)\.", " ".join(README.split()))[1]
    rooms = {
        p.stem
        for p in (ROOT / "synchrojax").iterdir()
        if (p / "__init__.py").is_file() or (p.suffix == ".py" and not p.stem.startswith("_"))
    }
    assert set(listed.split(", ")) == rooms


def test_files_that_texts_name_exist():
    for path in TEXTS:
        text = (ROOT / path).read_text(encoding="utf-8")
        for name in re.findall(r"`((?:notebooks|data|tests|synchrojax)/[\w/]+\.\w+)`", text):
            assert (ROOT / name).is_file(), (path, name)


def test_models_have_the_errors_of_their_card():
    """Median, 99 % and largest error of the worst coefficient, in README.md and in the card."""
    card = (ROOT / "synchrojax" / "weights" / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \|.*\| (.+) \| (.+) \|$", README, re.M)
    assert {name for name, *_ in rows} == set(synchrojax.models())
    for name, *shown in rows:
        part = card.split(f"\n## {name}\n")[1].split("\n## ")[0]
        for kind, numbers in zip(("(?:j|alpha)", "rho"), shown, strict=True):
            found = re.findall(
                rf"^\| {kind}_\w \| (.+) \| .+ \| (.+) \| (.+) \| .+ \|$", part, re.M
            )
            wanted = [max(map(float, column)) for column in zip(*found, strict=True)]
            assert [float(n) for n in numbers.split(" / ")] == wanted, (name, kind)


def test_ci_runs_the_readme():
    script = (ROOT / ".ci" / "run").read_text()
    assert "README.md" in script
    install, test = [code for language, code, _ in blocks(README) if language == "sh"][:2]
    assert "pip install" in install
    assert "--compare" in install
    assert "pytest" in test
    for tool in ("ruff check", "ruff format --check", "mypy"):
        assert tool in script


def test_package_never_switches_float64_on():
    """Only the command line, which is its own process, touches the global switch."""
    for path in (ROOT / "synchrojax").rglob("*.py"):
        if path.parent.name != "cli":
            source = path.read_text(encoding="utf-8")
            code = re.sub(r'(""".*?"""|"[^"\n]*"|\'[^\'\n]*\')', "", source, flags=re.S)
            assert "config.update" not in code, path.name
