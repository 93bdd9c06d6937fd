"""Tests of stats.py."""

import pytest

from vhpy_hub.testing import Hub

pytestmark = pytest.mark.vh_scripts("../scripts/stats.py")


def test_counts_what_is_said(hub: Hub) -> None:
    alice, bob = hub.join("alice"), hub.join("bob")
    alice.say("one")
    alice.say("two")
    bob.say("three")
    bob.search("linux iso")
    # The counters are observers, for which the hub does not wait; the test does.
    hub.settle()
    assert hub.call("stats", "get_stats") == {
        "messages": 3,
        "characters": 11,
        "searches": 1,
        "logins": 2,
        "peak": 2,
    }
    assert hub.call("stats", "top_talkers", 1) == [["alice", 2]]


def test_tells_in_chat_and_in_private(hub: Hub) -> None:
    alice = hub.join("alice")
    alice.say("hello")
    hub.settle()
    alice.say("+top")
    alice.expect(r"Statistics:\s+1 alice")
    alice.pm("vhpy", "+stats")
    alice.expect(r"PM from .*\s+1 messages")


def test_the_counts_survive_a_reload(hub: Hub) -> None:
    alice = hub.join("alice")
    alice.say("hello")
    hub.settle()
    hub.reload("stats")
    assert hub.call("stats", "reset_stats") == 1
    assert hub.store("stats")["totals"] == {}
