"""Tests of crash.py."""

import pytest

from vhpy_hub.testing import Hub

pytestmark = pytest.mark.vh_scripts("../scripts/crash.py")


@pytest.mark.parametrize(
    ("how", "died_of"), [("segv", "signal SIGSEGV"), ("exit", "code 3"), ("kill", "signal SIGKILL")]
)
def test_it_is_back_and_knows_that_it_died(hub: Hub, how: str, died_of: str) -> None:
    anna = hub.join("anna", user_class=3)
    anna.say(f"+crash {how}")
    hub.expect_error(f"Script crash .* died: .*{died_of}")
    hub.wait_until_ready("crash")
    anna.say("+crash")
    anna.expect("deaths so far: 1")


@pytest.mark.vh_settings(hook_timeout=0.2, kill_timeout=0.2)
def test_a_hang_is_ended(hub: Hub) -> None:
    anna = hub.join("anna", user_class=3)
    anna.say("+crash hang")
    hub.expect_error("Script crash is stuck", timeout=60)
    hub.expect_error("Script crash .* died: ", timeout=60)
    hub.wait_until_ready("crash")
    anna.say("+crash")
    anna.expect("deaths so far: 1")


def test_an_exception_is_no_death(hub: Hub) -> None:
    anna = hub.join("anna", user_class=3)
    anna.say("+crash raise")
    hub.expect_error("RuntimeError: anna wanted to see a traceback")
    assert hub.scripts["crash"].restarts == 0
