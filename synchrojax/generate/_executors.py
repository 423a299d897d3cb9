"""Chunks of work on executors: inline, in processes of ours, or those of the user."""

import concurrent.futures
import contextlib
import multiprocessing
import os
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from typing import Any

_ATTEMPTS = 3  # at a chunk whose worker was lost


class GenerateError(ValueError):
    """A table that cannot be made; the message says why."""


class Inline(concurrent.futures.Executor):
    """Runs a job where it is submitted: the integrals use all cores by themselves."""

    def submit(self, fn: Callable, /, *args: Any, **kwargs: Any) -> concurrent.futures.Future:
        future: concurrent.futures.Future = concurrent.futures.Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def run_all(
    jobs: dict[int, tuple[Any, ...]],
    function: Callable,
    make_executor: Callable[[], tuple[Any, bool]],
    done: Callable[[int, Any], None],
    width: int,
) -> None:
    """Run ``function(*jobs[k])`` for all k, ``done(k, result)`` as they come.

    A lost worker costs its chunk only. ``make_executor()`` gives (executor, whether it is ours to
    close); ours is made again after a worker died.
    """
    waiting, attempts = list(reversed(jobs)), dict.fromkeys(jobs, 0)
    running: dict[concurrent.futures.Future, int] = {}
    executor, ours = make_executor()
    try:
        while waiting or running:
            while waiting and len(running) < width:
                key = waiting.pop()
                try:
                    running[executor.submit(function, *jobs[key])] = key
                except BrokenProcessPool:
                    if not ours:
                        raise
                    waiting.append(key)
                    executor.shutdown(wait=False)
                    executor, ours = make_executor()
            finished, _ = concurrent.futures.wait(
                running, return_when=concurrent.futures.FIRST_COMPLETED
            )
            for future in finished:
                key = running.pop(future)
                error = future.exception()
                if error is None:
                    done(key, future.result())
                    continue
                if (
                    isinstance(error, pickle.PicklingError | AttributeError)
                    and "pickle" in str(error).lower()
                ):
                    raise GenerateError(
                        f"what is computed cannot be sent to other processes ({error}): define f "
                        "at the top of a module"
                    ) from None
                if isinstance(error, ValueError | TypeError | KeyboardInterrupt):
                    raise error  # would fail again
                attempts[key] += 1
                if attempts[key] >= _ATTEMPTS:
                    raise GenerateError(
                        f"chunk {key} failed {_ATTEMPTS} times: {error!r}"
                    ) from error
                waiting.append(key)
    finally:
        for future in running:
            future.cancel()
        if ours:
            executor.shutdown(wait=True, cancel_futures=True)


def workers_of(
    executor: Any, workers: int | None, default: tuple[Any, ...]
) -> tuple[Callable[[], tuple[Any, bool]], int]:
    """(what makes the executor and whether it is ours, chunks in flight).

    ``default``: (class, arguments).
    """
    if executor is not None:
        return lambda: (executor, False), max(4 * (os.cpu_count() or 1), 64)
    if workers and workers > 1:
        context = multiprocessing.get_context("spawn")  # a forked JAX hangs
        return lambda: (
            concurrent.futures.ProcessPoolExecutor(workers, mp_context=context),
            True,
        ), 2 * workers
    kind, *count = default
    return lambda: (kind(*count), True), max(2 * sum(count), 1)


@contextlib.contextmanager
def dask_executor(address: str) -> Iterator[Any]:
    """An ``Executor`` of the Dask cluster whose scheduler is at ``address``. Needs distributed."""
    try:
        from distributed import Client
    except ImportError:
        raise GenerateError("--dask needs distributed: pip install 'synchrojax[dask]'") from None
    try:
        client = Client(address, timeout="10s")
    except (OSError, ValueError, TypeError) as error:
        raise GenerateError(f"--dask: no scheduler answers at {address} ({error})") from None
    with client:
        yield client.get_executor(pure=False)
