"""The pytest plugin: a fixture `hub`, a real hub with the scripts that a test names.

    pytestmark = pytest.mark.vh_scripts("dice.py")

    def test_roll(hub):
        alice = hub.join("alice")
        alice.say("+dice")
        alice.expect(r"rolls a (\\d)")

`vh_scripts` takes paths relative to the test's file; `vh_settings` takes variables of the hub.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from vhpy_hub.testing import Hub


def pytest_configure(config: pytest.Config) -> None:
    """Makes the markers known."""
    config.addinivalue_line(
        "markers", "vh_scripts(*paths): the scripts of the fixture hub, relative to the test's file"
    )
    config.addinivalue_line("markers", "vh_settings(**variables): variables of the fixture hub, as --set has them")


@pytest.fixture
def hub(request: pytest.FixtureRequest) -> Iterator[Hub]:
    """A hub of this test's own, with the scripts that `pytest.mark.vh_scripts` names."""
    from vhpy_hub.testing import Hub

    scripts = request.node.get_closest_marker("vh_scripts")
    settings: dict[str, object] = {}
    for marker in reversed(list(request.node.iter_markers("vh_settings"))):
        settings.update(marker.kwargs)
    encoding = str(settings.pop("hub_encoding", "utf-8"))
    started = Hub(
        *(scripts.args if scripts else ()),
        folder=request.path.parent,
        settings=settings,
        encoding=encoding,
    )
    try:
        yield started
    finally:
        started.close()
    # What UnLoad() raised comes last of all.
    started.check()


def _hub_of(item: pytest.Item) -> Hub | None:
    found = getattr(item, "funcargs", {}).get("hub")
    # Another plugin may have a fixture of this name.
    return found if type(found).__module__ == "vhpy_hub.testing" else None


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """A test whose scripts raised fails, even if it has seen nothing of it."""
    result = yield
    started = _hub_of(pyfuncitem)
    if started is not None:
        started.check()
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Shows with a failure what the hub logged and what users saw."""
    report = yield
    started = _hub_of(item)
    if started is not None and report.failed and call.when == "call":
        report.sections.extend(started._report())
    return report
