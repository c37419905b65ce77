"""Runs a callable that was given as the source of credentials."""

from __future__ import annotations

import contextvars
import inspect
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from ._answer import as_credentials

if TYPE_CHECKING:
    import asyncio

    from ._core import _Resolver

# asyncio keeps only weak references to tasks.
_running: set[asyncio.Task[None]] = set()


def prepare(function: Callable[[], Any]) -> None:
    """Imports what the calls will need, on a thread that is not yet one of many: see `Callable` in the core."""
    if _is_coroutine_function(function):
        import asyncio  # noqa: F401


def start(function: Callable[[], Any], resolver: _Resolver, on_loop: bool) -> None:
    """Begins one call, in the context of the caller, and returns at once.

    A coroutine function runs on the caller's event loop, where whatever it holds (a session, a pool)
    belongs. Everything else gets a thread: it may block.
    """
    if on_loop and _is_coroutine_function(function):
        import asyncio

        task = asyncio.get_running_loop().create_task(_on_loop(function, resolver))
        _running.add(task)
        task.add_done_callback(_running.discard)
        return
    context = contextvars.copy_context()
    _start_thread(lambda: context.run(_in_thread, function, resolver))


async def _on_loop(function: Callable[[], Awaitable[Any]], resolver: _Resolver) -> None:
    import asyncio

    try:
        credentials = as_credentials(await function())
    except (asyncio.CancelledError, GeneratorExit):
        # The loop is closing: whoever else waits starts anew.
        resolver.abandon()
        raise
    except Exception as error:  # noqa: BLE001 - whoever waits gets it
        resolver.reject(error)
    except BaseException as error:
        resolver.reject(error)
        raise
    else:
        resolver.resolve(credentials)


def _in_thread(function: Callable[[], Any], resolver: _Resolver) -> None:
    try:
        answer = function()
        if inspect.isawaitable(answer):
            import asyncio

            answer = asyncio.run(_awaited(answer))
        credentials = as_credentials(answer)
    except BaseException as error:  # noqa: BLE001 - there is no frame above that could take it
        resolver.reject(error)
    else:
        resolver.resolve(credentials)


async def _awaited(answer: Awaitable[Any]) -> Any:
    return await answer


def _is_coroutine_function(function: Callable[[], Any]) -> bool:
    # An object with `async def __call__` is no coroutine function to inspect.
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004
    )


def _start_thread(work: Callable[[], None]) -> None:
    """A real thread, and a raw one: it must not keep the interpreter from ending.

    Where gevent has patched threading, a "thread" is a greenlet of the very thread that waits for it.
    """
    import _thread

    start_new_thread = _thread.start_new_thread
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None and monkey.is_module_patched("_thread"):
        start_new_thread = monkey.get_original("_thread", "start_new_thread")
    start_new_thread(work, ())
