"""Runs a callable that was given as the source of credentials or identity tokens."""

from __future__ import annotations

import contextvars
import inspect
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from ._answer import as_credentials, as_identity_token

if TYPE_CHECKING:
    import asyncio

    from ._core import _Resolver

# asyncio keeps only weak references to tasks.
_running: set[asyncio.Task[None]] = set()


def prepare(function: Callable[[], Any]) -> None:
    """Imports what the calls will need, on a thread that is not yet one of many: see `Callable` in the core."""
    if _is_coroutine_function(function):
        import asyncio  # noqa: F401


class Call:
    """A function and the context of the caller who needs its answer; it may be called again from elsewhere.

    A coroutine function runs on the caller's event loop, where whatever it holds (a session, a pool)
    belongs. Everything else gets a thread: it may block.
    """

    def __init__(self, function: Callable[[], Any], read: Callable[[Any], Any], on_loop: bool) -> None:
        self._function = function
        self._read = read
        self._context = contextvars.copy_context()
        self._loop: asyncio.AbstractEventLoop | None = None
        if on_loop and _is_coroutine_function(function):
            import asyncio

            self._loop = asyncio.get_running_loop()

    def start(self, resolver: _Resolver) -> None:
        """Begins one call and returns at once."""
        if self._loop is None:
            # A context can be entered once at a time, and a first call may still run in it.
            context = self._context.copy()
            _start_thread(lambda: context.run(self._in_thread, resolver))
        elif _is_running(self._loop):
            self._on_loop(self._loop, resolver)
        else:
            try:
                self._loop.call_soon_threadsafe(self._on_loop, self._loop, resolver, context=self._context)
            except RuntimeError:  # closed in the meantime
                resolver.abandon()

    def _on_loop(self, loop: asyncio.AbstractEventLoop, resolver: _Resolver) -> None:
        task = loop.create_task(self._awaited_on_loop(resolver))
        _running.add(task)
        task.add_done_callback(_running.discard)

    async def _awaited_on_loop(self, resolver: _Resolver) -> None:
        import asyncio

        try:
            answer = self._read(await self._function())
        except (asyncio.CancelledError, GeneratorExit):
            # The loop is closing: whoever else waits starts anew.
            resolver.abandon()
            raise
        except Exception as error:  # noqa: BLE001 - all of it is the waiting caller's
            resolver.reject(error)
        except BaseException as error:
            resolver.reject(error)
            raise
        else:
            resolver.resolve(answer)

    def _in_thread(self, resolver: _Resolver) -> None:
        try:
            answer = self._function()
            if inspect.isawaitable(answer):
                import asyncio

                answer = asyncio.run(_awaited(answer))
            answer = self._read(answer)
        except BaseException as error:  # noqa: BLE001 - there is no frame above that could take it
            resolver.reject(error)
        else:
            resolver.resolve(answer)


def start(function: Callable[[], Any], resolver: _Resolver, on_loop: bool) -> None:
    """Begins one call of a source of credentials."""
    Call(function, as_credentials, on_loop).start(resolver)


def prepare_identity(function: Callable[[], Any], on_loop: bool) -> Call:
    """A source of identity tokens, in the context of the caller."""
    return Call(function, as_identity_token, on_loop)


async def _awaited(answer: Awaitable[Any]) -> Any:
    return await answer


def _is_running(loop: asyncio.AbstractEventLoop) -> bool:
    import asyncio

    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


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
