"""Progress on standard error: count, rate, time left, and a note."""

import contextlib
import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_LOG_EVERY = 10.0  # [s] between lines where standard error is not a terminal


def _clock(seconds):
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60:d}:{minutes % 60:02d}:{seconds:02d}"


@contextlib.contextmanager
def progress(title, total, unit, *, quiet=False):
    """Yields ``advance(steps, note="", counted=True)``; silent with ``quiet``.

    A bar on a terminal, a line every ten seconds in a log. ``counted=False`` for steps that were there
    already and say nothing about the rate.
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
        begin = last = time.monotonic()
        done = fresh = 0

        def advance(steps, note="", counted=True):
            nonlocal done, fresh, last
            done, fresh = done + steps, fresh + steps * counted
            now = time.monotonic()
            rate = fresh / max(now - begin, 1e-9)
            bar.update(task, completed=done, note=note, rate=f"{rate:.3g} {unit}/s" if fresh else "")
            if not live and not quiet and (now - last > _LOG_EVERY or done >= total):
                last, left = now, _clock((total - done) / rate) if fresh else "?"
                print(f"{title}: {done}/{total} {unit}, {rate:.3g}/s, eta {left} {note}", file=console.file, flush=True)

        yield advance
