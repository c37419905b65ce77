"""Where Vercel looks for an ASGI application named `app`."""

from todos.app import app

__all__ = ["app"]
