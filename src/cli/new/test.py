"""Tests of NAME.py, on a real hub: pytest test_NAME.py."""

import pytest

from vhpy_hub.testing import Hub

pytestmark = pytest.mark.vh_scripts("NAME.py")


def test_it_counts(hub: Hub) -> None:
    alice, bob = hub.join("alice"), hub.join("bob")
    alice.say("+NAME")
    bob.expect(r"alice typed \+NAME: 1")
    hub.kill("NAME")  # a crash forgets nothing
    alice.say("+NAME")
    bob.expect(r"alice typed \+NAME: 2")
    bob.expect_nothing()
