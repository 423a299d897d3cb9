"""Progress on standard error: count, rate, time left, and a note."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_LOG_EVERY = 10.0  # [s] between lines where standard error is not a terminal


def _clock(seconds: float | int) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60:d}:{minutes % 60:02d}:{seconds:02d}"


@contextlib.contextmanager
def _every(seconds: float | int, action: Callable[[], None]) -> Iterator[None]:
    """Runs ``action`` every so many seconds beside the block, whatever that waits for."""
    over = threading.Event()

    def tick() -> None:
        while not over.wait(seconds):
            # who reads may have gone: the block will notice
            with contextlib.suppress(OSError, ValueError):
                action()

    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextlib.contextmanager
def progress(
    title: str, total: float | int, unit: str, *, quiet: bool = False
) -> Iterator[Callable[..., None]]:
    """Yields ``advance(steps, note="", counted=True)``; silent with ``quiet``.

    A bar on a terminal, a line every ten seconds in a log, also while the first step is still being
    compiled. ``counted=False`` for steps that were there already and say nothing about the rate.
    """
    console = Console(stderr=True)
    columns = (
        TextColumn(title),
        BarColumn(bar_width=24),
        TextColumn("{task.completed:.0f}/{task.total:.0f} " + unit),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("eta"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    live = console.is_terminal and not quiet
    with Progress(*columns, console=console, disable=not live) as bar:
        task = bar.add_task(title, total=total, rate="", note="")
        begin = time.monotonic()
        done = fresh = 0
        latest = ""

        def line() -> None:
            elapsed = max(time.monotonic() - begin, 1e-9)
            if fresh:
                eta = _clock((total - done) * elapsed / fresh)
                what = f"{fresh / elapsed:.3g}/s, eta {eta} {latest}".rstrip()
            else:
                what = f"{_clock(elapsed)} so far, the first take longest"
            print(f"{title}: {done}/{total} {unit}, {what}", file=console.file, flush=True)

        def advance(steps: int, note: str = "", counted: bool = True) -> None:
            nonlocal done, fresh, latest
            done, fresh, latest = done + steps, fresh + steps * counted, note
            rate = fresh / max(time.monotonic() - begin, 1e-9)
            bar.update(
                task, completed=done, note=note, rate=f"{rate:.3g} {unit}/s" if fresh else ""
            )
            if not live and not quiet and done >= total:
                line()

        def unfinished() -> None:
            if done < total:
                line()

        with _every(_LOG_EVERY, unfinished) if not live and not quiet else contextlib.nullcontext():
            yield advance
