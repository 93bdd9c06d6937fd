"""Tests of filter.py: `pytest examples/tests`."""

import pytest

from vhpy_hub.testing import Hub

pytestmark = pytest.mark.vh_scripts("../scripts/filter.py")


def test_a_banned_word_does_not_appear_and_its_writer_hears_why(hub: Hub) -> None:
    alice, bob = hub.join("alice"), hub.join("bob")
    alice.say("would you like to see my casino?")
    alice.expect("not sent: 'casino' is not welcome")
    bob.expect_nothing()


def test_a_rude_word_has_stars(hub: Hub) -> None:
    alice, bob = hub.join("alice"), hub.join("bob")
    alice.say("damn, why not?")
    bob.expect(r"^<alice> d\*\*\*, why not\?$")


def test_private_messages_are_read_too_but_for_those_to_operators(hub: Hub) -> None:
    alice, bob, anna = hub.join("alice"), hub.join("bob"), hub.join("anna", user_class=3)
    alice.pm(bob, "cheap viagra")
    alice.expect("not sent: 'viagra'")
    bob.expect_nothing()
    alice.pm(anna, "somebody sells viagra")
    anna.expect("PM from alice: <alice> somebody sells viagra")


def test_operators_change_the_list_and_a_crash_does_not_undo_that(hub: Hub) -> None:
    alice, bob, anna = hub.join("alice"), hub.join("bob"), hub.join("anna", user_class=3)
    anna.say("+word add lottery")
    anna.expect("Banned words: casino, viagra, lottery")
    anna.say("+word del casino")
    anna.expect("Banned words: viagra, lottery")
    hub.kill("filter")
    alice.say("the lottery")
    alice.expect("not sent: 'lottery'")
    alice.say("a casino")
    bob.expect("<alice> a casino")
    assert hub.store("filter") == {"banned": ["viagra", "lottery"]}


def test_users_may_not(hub: Hub) -> None:
    alice = hub.join("alice")
    alice.say("+word list")
    alice.expect("Unknown command: word")
