"""Tests of reminders.py."""

import pytest

from vhpy_hub.testing import Hub

pytestmark = pytest.mark.vh_scripts("../scripts/reminders.py")


def test_reminds(hub: Hub) -> None:
    alice = hub.join("alice")
    alice.say("+remind 1s breathe")
    alice.expect(r"<Reminder> I will remind you at \d\d:\d\d:\d\d")
    alice.expect("PM from Reminder: .*You wanted to be reminded: breathe", timeout=60)


def test_says_how_to_use_it(hub: Hub) -> None:
    alice = hub.join("alice")
    alice.say("+remind me")
    alice.expect(r"Usage: \+remind 10m TEXT")


def test_five_at_most(hub: Hub) -> None:
    alice = hub.join("alice")
    for number in range(6):
        alice.say(f"+remind 1h tea {number}")
    for _ in range(5):
        alice.expect("I will remind you", timeout=60)
    alice.expect("You have 5 reminders already", timeout=60)
