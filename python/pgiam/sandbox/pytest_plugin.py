"""The pytest fixture `pgiam_sandbox`: one sandbox for the session, without faults at the start of each test.

A test asks for another kind with `@pytest.mark.pgiam_sandbox(flavor="dsql")`, with the options of `Sandbox`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .box import Sandbox

MARK = "pgiam_sandbox"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{MARK}(**options): options of pgiam.sandbox.Sandbox for the fixture {MARK}")


@pytest.fixture(scope="session")
def _pgiam_sandboxes() -> Generator[Callable[..., Sandbox], None, None]:
    """The sandboxes of this session, one for each set of options."""
    from .box import Sandbox

    running: dict[str, Sandbox] = {}

    def of(**options: Any) -> Sandbox:
        key = repr(sorted(options.items()))
        if key not in running or not running[key].alive():
            running[key] = Sandbox(**options).start()
        return running[key]

    yield of
    for box in running.values():
        box.close()


@pytest.fixture
def pgiam_sandbox(
    request: pytest.FixtureRequest, _pgiam_sandboxes: Callable[..., Sandbox]
) -> Generator[Sandbox, None, None]:
    """A running sandbox, shared with other tests; its faults are cleared before and after."""
    mark = request.node.get_closest_marker(MARK)
    box = _pgiam_sandboxes(**(mark.kwargs if mark is not None else {}))
    box.faults.clear()
    yield box
    if box.alive():
        box.faults.clear()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the sandbox's log beside a failure."""
    report = yield
    box = getattr(item, "funcargs", {}).get(MARK)
    if report.when == "call" and report.failed and box is not None and box.alive():
        report.sections.append(("pgiam sandbox log", "\n".join(box.log()[-50:])))
    return report
