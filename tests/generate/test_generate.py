"""Tables made by other processes, on other machines, and by other programs."""

import concurrent.futures
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import jax.numpy as jnp
import numpy as np
import pytest

import synchrojax.generate._tables as module
from synchrojax.cli import main
from synchrojax.distributions import Thermal
from synchrojax.generate import GenerateError, dask_executor, generate, generate_command
from synchrojax.tables import table_files

N, ROWS = 40, 8
NAMES = ["s", "theta", "theta_e", *table_files.RESULTS]
INPUTS = {"s": ("log", 10.0, 1e4), "theta": ("lin", 0.2, 1.4), "p": ("lin", 2.0, 3.0)}


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(module, "PART_ROWS", ROWS)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The table as one process makes it."""
    out = tmp_path_factory.mktemp("plain") / "table"
    with pytest.MonkeyPatch.context() as patch:
        import jax

        patch.setattr(module, "PART_ROWS", ROWS)
        with jax.enable_x64(True):
            generate("thermal", N, out, seed=5, quiet=True)
    return out


def same(a, b):
    ours, theirs = (table_files.read_columns(t, NAMES) for t in (a, b))
    return all(np.array_equal(ours[n], theirs[n]) for n in NAMES)


class Backwards(concurrent.futures.Executor):
    """Finishes in another order than it was asked, and loses its first job."""

    def __init__(self):
        self.jobs, self.lost = [], 0

    def submit(self, fn, /, *args, **kwargs):
        future = concurrent.futures.Future()
        self.jobs.append((future, fn, args))
        if len(self.jobs) == N // ROWS:
            threading.Thread(target=self.finish).start()
        elif self.lost:
            future.set_result(fn(*args))
        return future

    def finish(self):
        for future, fn, args in reversed(self.jobs):
            if not self.lost:
                self.lost = 1
                future.set_exception(ConnectionError("the worker is gone"))
            else:
                future.set_result(fn(*args))


@pytest.mark.usefixtures("x64")
def test_any_executor_gives_the_same_table(plain, tmp_path):
    executor = Backwards()
    generate("thermal", N, tmp_path / "t", seed=5, quiet=True, executor=executor)
    assert executor.lost == 1
    assert same(plain, tmp_path / "t")


@pytest.mark.usefixtures("x64")
def test_a_killed_process_costs_its_chunk(plain, tmp_path):
    """Two worker processes, one of which is killed as soon as the first part is there."""
    out = tmp_path / "t"
    killed = []

    def kill():
        while not list(out.glob("part-*")):
            time.sleep(0.05)
        children = subprocess.run(
            ["pgrep", "-P", str(os.getpid()), "-f", "spawn_main"], capture_output=True, text=True
        )
        killed.append(int(children.stdout.split()[0]))
        os.kill(killed[0], signal.SIGKILL)

    watcher = threading.Thread(target=kill)
    watcher.start()
    generate("thermal", N, out, seed=5, quiet=True, workers=2)
    watcher.join()
    assert killed
    assert same(plain, out)


@pytest.fixture
def cluster(tmp_path):
    """A real Dask scheduler and two real workers: (address, the processes of the workers)."""
    dask = [sys.executable, "-m", "dask"]
    file = tmp_path / "scheduler.json"
    log = (tmp_path / "dask.log").open("w")
    started = []

    def start(*words):
        started.append(subprocess.Popen([*dask, *words], stdout=log, stderr=log))

    start(
        "scheduler",
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--no-dashboard",
        "--scheduler-file",
        str(file),
    )
    for _ in range(300):
        if file.exists() and file.read_text().strip().endswith("}"):
            break
        time.sleep(0.1)
    address = json.loads(file.read_text())["address"]
    for _ in range(2):
        start(
            "worker",
            address,
            "--nthreads",
            "1",
            "--no-nanny",
            "--no-dashboard",
            "--local-directory",
            str(tmp_path),
        )
    yield address, started[1:]
    for process in reversed(started):
        process.kill()
        process.wait()
    log.close()


@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::FutureWarning"
)
@pytest.mark.usefixtures("x64")
def test_dask_loses_a_worker_and_gives_the_same_table(plain, tmp_path, cluster):
    address, workers = cluster
    out = tmp_path / "t"

    def kill():
        while not list(out.glob("part-*")):
            time.sleep(0.05)
        workers[0].kill()

    watcher = threading.Thread(target=kill)
    watcher.start()
    with dask_executor(address) as executor:
        generate("thermal", N, out, seed=5, quiet=True, executor=executor)
    watcher.join()
    assert workers[0].wait() == -signal.SIGKILL
    assert workers[1].poll() is None
    assert same(plain, out)


PROGRAM = """
import sys
s, theta, p = map(float, sys.argv[1:])
if s > 5e3: sys.exit("s is too large")
if theta > 1.3: print("nothing"); sys.exit()
if p > 2.9: import time; time.sleep(60)
print(s, theta, p, *range(5), sep=", " if s < 100 else "\\n")
"""


def test_an_external_program(tmp_path, capsys):
    """Numbers in order, what failed aside with the reason; the command line in the same words."""
    program = tmp_path / "a program.py"
    program.write_text(PROGRAM)
    command = f"{sys.executable} '{program}' {{s}} {{theta}} {{p}}"
    words = [
        "generate",
        "--command",
        command,
        "--n",
        "48",
        "--out",
        str(tmp_path / "t"),
        "--timeout",
        "3",
        "--quiet",
    ]
    for k, (spacing, low, high) in INPUTS.items():
        words += ["--input", f"{k}={spacing}:{low}:{high}"]
    assert main(words) == 0
    out = capsys.readouterr().out
    table = table_files.read_columns(tmp_path / "t")
    assert np.array_equal(table["j_I"], table["s"])
    assert np.array_equal(table["j_V"], table["p"])
    assert np.array_equal(table["rho_V"], np.full(len(table["s"]), 4.0))
    aside = [
        line
        for p in sorted((tmp_path / "t" / "failed").iterdir())
        for line in p.read_text().splitlines()[1:]
    ]
    assert len(aside) + len(table["s"]) == 48
    assert f"{48 - len(aside)} rows" in out
    assert f"{len(aside)} points failed" in out
    for why in (
        "exit status 1: s is too large",
        "printed 1 numbers instead of 8: 'nothing'",
        "no answer within 3 s",
    ):
        assert any(line.endswith(why) for line in aside), why
    kinds = table_files.header_of(table_files.parts(tmp_path / "t")[0])
    assert [kinds[k] for k in ("s", "theta", "p", "time_ms", "j_I")] == [
        "log",
        "lin",
        "lin",
        "meta",
        "res",
    ]


@pytest.mark.parametrize(
    ("command", "inputs", "message"),
    [
        ("prog {s} {theta}", INPUTS, "takes s, theta; the inputs are s, theta, p"),
        ("prog {s} {theta} {q}", INPUTS, "takes q, s, theta; the inputs are"),
        ("prog {s", INPUTS, "--command 'prog {s': "),
        ("prog {s}", {"s": ("log", 1.0, 2.0)}, "needs --input theta"),
        ("/no/such/program {s} {theta} {p}", INPUTS, "'/no/such/program' cannot be run"),
        (
            "prog {s} {theta}",
            {"s": ("log", 0.0, 2.0), "theta": ("lin", 0.0, 1.0)},
            "--input s=log:0.0:2.0: expected log or lin, and 0 < low for log",
        ),
        (
            "prog {s} {theta}",
            {"s": ("log", 1.0, 2.0), "theta": ("lin", 1.0, 1.0)},
            "--input theta: expected (low, high) with low < high, got (1.0, 1.0)",
        ),
    ],
)
def test_command_refusals(tmp_path, command, inputs, message):
    with pytest.raises(GenerateError) as error:
        generate_command(command, inputs, 16, tmp_path / "t", quiet=True)
    assert message in str(error.value)
    assert not (tmp_path / "t").exists()


@pytest.mark.filterwarnings("ignore:f integrates to")
@pytest.mark.usefixtures("x64")
def test_refusals(tmp_path, capsys):
    import synchrojax

    family = synchrojax.Family(
        "local", lambda gamma, mu, a: gamma**-a, {"a": (2.0, 3.0)}, gamma_max=1e3
    )
    with pytest.raises(
        GenerateError, match=r"cannot be sent to other processes .* define f at the top of a module"
    ):
        generate(family, 8, tmp_path / "t", quiet=True, workers=2)
    for words, message in (
        ([], "needs a distribution, or --command"),
        (["thermal", "--workers", "2", "--dask", "tcp://x:1"], "exclude each other"),
        (["thermal", "--input", "s=log:1:2"], "--input goes with --command"),
        (["thermal", "--dask", "tcp://127.0.0.1:9"], "no scheduler answers at tcp://127.0.0.1:9"),
        (["thermal", "--dask", "nonsense::"], "no scheduler answers at nonsense::"),
    ):
        assert main(["generate", *words, "--out", str(tmp_path / "u")]) == 2
        err = capsys.readouterr().err
        assert message in err
        assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "changed", "message"),
    [
        ("thermal", {"n": 10.5}, "n (rows) must be a whole number from 1 up, got 10.5"),
        ("thermal", {"n": "a"}, "n (rows) must be a whole number from 1 up, got 'a'"),
        ("thermal", {"n": True}, "n (rows) must be a whole number from 1 up, got True"),
        ("thermal", {"n": 0}, "n (rows) must be a whole number from 1 up, got 0"),
        ("thermal", {"seed": -1}, "seed must be a whole number from 0 up, got -1"),
        ("thermal", {"workers": 0}, "workers (processes) must be a whole number from 1 up, got 0"),
        ("thermal", {"margin": np.nan}, "widened, from 1 to 100, got nan"),
        ("thermal", {"margin": np.inf}, "widened, from 1 to 100, got inf"),
        ("thermal", {"margin": 0.9}, "widened, from 1 to 100, got 0.9"),
        ("powerlaw_pitch", {"margin": 9}, "margin 9 widens the box of 'powerlaw_pitch' to where "),
        ("thermal", {"suffix": ".csv"}, "format '.csv': expected one of .txt"),
        ("maxwell", {}, "unknown distribution 'maxwell'; available: kappa"),
    ],
)
def test_arguments_are_refused_before_anything_is_written(tmp_path, name, changed, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        generate(name, out=tmp_path / "t", quiet=True, **({"n": 8} | changed))
    assert list(tmp_path.iterdir()) == []


def test_a_table_is_a_directory(tmp_path):
    (tmp_path / "t").write_text("mine")
    with pytest.raises(table_files.TableError, match="t: is a file, and a table is a directory"):
        generate("thermal", 8, tmp_path / "t", quiet=True)
    assert (tmp_path / "t").read_text() == "mine"


@pytest.mark.parametrize("name", [3, Thermal(), abs])
def test_what_is_no_distribution(tmp_path, name):
    message = f"distribution is a name (thermal, .*Family(name, f, box), not {name!r}"
    with pytest.raises(TypeError, match=re.escape(message).replace(r"\.\*", ".*")):
        generate(name, out=tmp_path / "t", n=8, quiet=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("timeout", [-1.0, 0.0, np.nan, np.inf])
def test_no_answer_can_be_waited_for_so_long(tmp_path, timeout):
    command = "prog {s} {theta} {p}"
    with pytest.raises(GenerateError, match=r"timeout \[s\] must be finite and above zero, got"):
        generate_command(command, INPUTS, 8, tmp_path / "t", timeout=timeout, quiet=True)
    assert list(tmp_path.iterdir()) == []


def test_whole_numbers_of_any_kind():
    for n in (3, 3.0, np.int32(3), np.float32(3), np.asarray(3), jnp.asarray(3)):
        found = table_files.integer(n, "n", 1)
        assert type(found) is int
        assert found == 3
    for n in (3.5, np.inf, np.nan, -3, True, np.True_, None, "3", [3], 3j, np.timedelta64(3)):
        with pytest.raises(table_files.TableError, match="n must be a whole number from 1 up, got"):
            table_files.integer(n, "n", 1)
