"""Tests of welcome.py."""

import pytest

from vhpy_hub.testing import Hub

pytestmark = pytest.mark.vh_scripts("../scripts/welcome.py")


def test_greets_with_a_robot(hub: Hub) -> None:
    alice = hub.join("alice")
    alice.expect(r"<Greeter> Hello alice, welcome to .*!\s+You are the only user")
    bob = hub.join("bob")
    bob.expect(r"\$MyINFO \$ALL Greeter says hello")
    bob.expect("2 users are online")
    alice.expect_nothing()


def test_knows_registered_users_again_after_a_restart_of_the_hub(hub: Hub) -> None:
    anna = hub.join("anna", user_class=1)
    anna.expect("<Greeter> Hello anna")
    anna.quit()
    hub.restart()
    hub.join("anna", user_class=1).expect("Your last visit was a moment ago")


def test_the_topic_is_told(hub: Hub) -> None:
    hub.join("anna", user_class=10).say("!topic cakes")
    hub.settle()
    hub.join("bob").expect("We talk about: cakes")
