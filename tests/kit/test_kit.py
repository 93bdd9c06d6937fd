"""The test kit itself: what it gives, and that it fails where it should."""

import os
import textwrap
from pathlib import Path

import pytest

from vhpy_hub.testing import CallFailed, Hub, HubError

ECHO = """
    import vh

    seen = 0

    @vh.observer
    def OnParsedMsgPM(nick, message, to_nick):
        global seen
        seen += 1
        vh.usermc(f"noted: {message}", nick)

    def OnParsedMsgChat(nick, message):
        if message == "raise":
            raise ValueError("on purpose")
        if message == "block":
            return 0
        if message == "private":
            vh.pm("psst $5 | more", nick)
        if message == "drop":
            vh.CloseConnection(nick)

    def OnTimer(now):
        vh.mc(f"tick {now}")

    def OnNewBan(ip, nick, op, reason):
        vh.mc(f"{op} banned {nick}: {reason}")

    def OnUserLogin(nick):
        if nick == "nobody":
            return 0

    def typed(value):
        return [type(value).__name__, value]

    def fails():
        {}["key"]

    def UnLoad():
        vh.store["seen"] = seen
"""


def script(folder: Path, source: str, name: str = "echo.py") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(textwrap.dedent(source))
    return path


@pytest.fixture
def echo(hub: Hub, tmp_path: Path) -> Hub:
    hub.load(script(tmp_path, ECHO))
    return hub


def test_users_say_and_see(echo: Hub) -> None:
    alice, bob = echo.join("alice"), echo.join("bob", description="hi", share=5)
    alice.expect(r"\$MyINFO \$ALL bob hi<.*\$5\$")
    bob.say("price: 5$ | less")
    assert alice.expect(r"^<bob> (.*)$")[1] == "price: 5$ | less"
    alice.say("private")
    assert alice.expect(r"PM from \S+: <\S+> (.*)$")[1] == "psst $5 | more"
    bob.quit()
    alice.expect(r"\$Quit bob")
    assert not bob.is_connected


def test_nothing_means_nothing_also_of_observers(echo: Hub) -> None:
    alice, bob = echo.join("alice"), echo.join("bob")
    alice.expect_nothing()
    for number in range(20):
        alice.pm(bob, f"number {number}")
    # All that the observer has to say about it is here now, without any wait for time.
    with pytest.raises(AssertionError, match="noted: number 19"):
        alice.expect_nothing()
    bob.expect("number 19")
    alice.say("block")
    bob.expect_nothing()
    bob.expect_nothing(r"\$Quit")


def test_what_does_not_come_is_told_with_what_came(echo: Hub) -> None:
    alice = echo.join("alice")
    alice.say("hello")
    alice.expect("<alice> hello")
    alice.say("other")
    with pytest.raises(AssertionError, match=r"waited for /never/: .*0.1 s.*\n.*<alice> other"):
        alice.expect("never", timeout=0.1)


def test_a_dropped_user_is_told_of(echo: Hub) -> None:
    alice = echo.join("alice")
    alice.say("drop")
    alice.expect_closed()
    with pytest.raises(AssertionError, match="closed the connection"):
        alice.expect("anything")


def test_time_is_the_tests(echo: Hub) -> None:
    alice = echo.join("alice")
    alice.expect_nothing()
    echo.tick(2)
    first = float(alice.expect(r"tick ([\d.]+)")[1])
    assert 1 <= float(alice.expect(r"tick ([\d.]+)")[1]) - first < 60
    before = int(echo.sql("select unix_timestamp()")[0][0] or 0)
    echo.forward(3600)
    assert 3600 <= float(alice.expect(r"tick ([\d.]+)")[1]) - first < 3700
    assert 3600 <= int(echo.sql("select unix_timestamp()")[0][0] or 0) - before < 3700


def test_a_ban_ends_when_its_time_is_over(echo: Hub) -> None:
    anna, bob = echo.join("anna", user_class=3), echo.join("bob", address="10.9.9.9")
    anna.say("!ban bob 1h noise")
    bob.expect_closed()
    with pytest.raises(AssertionError, match="could not log in"):
        echo.join("bob", address="10.9.9.9")
    echo.forward(3700)
    assert echo.join("bob", address="10.9.9.9").is_connected


def test_events_calls_and_values(echo: Hub) -> None:
    alice = echo.join("alice")
    assert not echo.event("OnNewBan", "10.0.0.1", "bob", "anna", "noise").blocked
    alice.expect("anna banned bob: noise")
    assert echo.event("OnParsedMsgChat", "alice", "block").blocked
    with pytest.raises(HubError, match="no hook OnNewBann"):
        echo.event("OnNewBann")
    with pytest.raises(HubError, match="2 arguments, not 1"):
        echo.event("OnParsedMsgChat", "alice")
    for value in [None, True, -1, 1.5, "ä", b"\xff", [1, "a"], {"a": [None]}, {1: 2}]:
        assert echo.call("echo", "typed", value) == [type(value).__name__, value]
    with pytest.raises(CallFailed, match="no function missing"):
        echo.call("echo", "missing")
    with pytest.raises(CallFailed, match="KeyError"):
        echo.call("echo", "fails")
    with pytest.raises(HubError, match="SQL: "):
        echo.sql("select nonsense from nowhere")


def test_a_restart_keeps_what_is_stored(hub: Hub, tmp_path: Path) -> None:
    path = script(tmp_path, ECHO)
    hub.load(path)
    alice, bob = hub.join("alice"), hub.join("bob")
    alice.pm(bob, "one")
    hub.settle()
    hub.restart()
    hub.load(path)
    assert hub.store("echo") == {"seen": 1}
    assert not alice.is_connected
    hub.unload("echo")
    assert hub.scripts == {}


def test_tests_in_the_scripts_folder_are_not_loaded(hub: Hub) -> None:
    for name in ["test_mine.py", "conftest.py", "mine.py", "testing.py"]:
        script(hub.data / "scripts", "import vh", name)
    hub.restart()
    assert set(hub.scripts) == {"mine", "testing"}
    anna = hub.join("anna", user_class=10)
    anna.say("!pyfiles")
    assert "test_mine" not in anna.expect(r"Scripts in (?s:.*)")[0]


def test_an_error_is_expected_or_the_test_fails(echo: Hub) -> None:
    alice = echo.join("alice")
    alice.say("raise")
    with pytest.raises(AssertionError, match="ValueError: on purpose"):
        echo.check()
    alice.say("raise")
    assert echo.expect_error(r"ValueError: on (\w+)")[1] == "purpose"
    with pytest.raises(AssertionError, match="there was none"):
        echo.expect_error("ValueError", timeout=0)
    echo.check()


def test_the_log_can_be_looked_at(echo: Hub, tmp_path: Path) -> None:
    echo.load(script(tmp_path, "print('from', 'below')", "loud.py"))
    assert echo.log.expect("loud: from (below)")[1] == "below"
    assert "echo.py is loaded" in echo.log


def test_a_script_that_does_not_load_is_named(tmp_path: Path) -> None:
    script(tmp_path, "def broken(:")
    with pytest.raises(HubError, match=r"not loaded: (?s:.*)SyntaxError"):
        Hub("echo.py", folder=tmp_path)


TESTS = '''
    import pytest
    pytestmark = pytest.mark.vh_scripts("echo.py")

    def test_raises(hub):
        alice = hub.join("alice")
        alice.say("raise")
        alice.expect("<alice> raise")

    def test_raises_and_fails(hub):
        alice = hub.join("alice")
        alice.say("hello")
        alice.expect("<alice> hello")
        assert False, "so it is"

    def test_dies(hub):
        import os, signal
        pid = hub.scripts["echo"].pid
        os.kill(pid, signal.SIGKILL)
        hub.settle()
        hub.wait_until_ready("echo")

    @pytest.mark.vh_settings(hub_name="Cakes")
    def test_settings(hub):
        assert hub.vh("GetConfig", "config", "hub_name", None) == "Cakes"
        hub.join("alice").expect(r"\\$HubName Cakes")

    def test_raises_at_the_end(hub):
        assert hub.call("echo", "at_the_end", True)
'''


def test_failures_tell_what_happened(pytester: pytest.Pytester) -> None:
    source = ECHO.replace("def UnLoad():", "end = False\n    def at_the_end(yes):\n        global end\n        end = yes\n        return True\n\n    def UnLoad():\n        assert not end, 'too late'")
    pytester.makepyfile(**{"echo": textwrap.dedent(source), "test_echo": textwrap.dedent(TESTS)})
    result = pytester.runpytest_subprocess("-p", "vhpy_hub.pytest_plugin", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=2, failed=3, errors=1)
    text = result.stdout.str()
    for part in [
        "ValueError: on purpose",
        "hub.expect_error says what is",
        "hub's log",
        "seen by alice",
        "<alice> hello",
        "died: signal SIGKILL",
        "AssertionError: too late",
    ]:
        assert part in text, f"no {part!r} in\n{text}"


def test_many_at_once(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        echo=textwrap.dedent(ECHO),
        test_many=textwrap.dedent("""
            import pytest
            pytestmark = pytest.mark.vh_scripts("echo.py")

            @pytest.mark.parametrize("number", range(12))
            def test_it(hub, number):
                alice = hub.join("alice")
                alice.say(f"number {number}")
                alice.expect(f"number {number}")
                alice.expect_nothing()
        """),
    )
    result = pytester.runpytest_subprocess("-p", "vhpy_hub.pytest_plugin", "-n", "4")
    result.assert_outcomes(passed=12)


def test_without_the_program_it_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from vhpy_hub import testing

    monkeypatch.delenv("VHPY", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="set VHPY"):
        testing.find_program()


def example(page: str, at: int = 1) -> str:
    """An example of a page of the manual, counted from 1."""
    text = (Path(__file__).parents[2] / "docs" / page).read_text()
    return text.split("```python\n")[at].split("```")[0]


def test_the_example_of_the_page_on_timers_does_what_it_says(hub: Hub, tmp_path: Path) -> None:
    source = example("timers.md").replace("every(3600)", "every(0.2)").replace("sleep(1)", "sleep(0.01)")
    hub.load(script(tmp_path, source.replace("after(2,", "after(0.01,"), "timers.py"))
    alice, op = hub.join("alice"), hub.join("op", user_class=3)
    alice.expect("Type .help to see")
    alice.expect("Rules: dchub")
    alice.expect("Rules: dchub")
    alice.say("who is there?")
    op.expect(r"^<alice> who is there\?$")
    op.expect(r"^<.*> \d+ users$")
    op.say("+countdown 2")
    for said in ("2 …", "1 …", "Go!"):
        alice.expect(said)
    op.quit()
    alice.expect("op has left us")
    hub.unload("timers")


def test_the_examples_of_the_page_on_debugging_do_what_they_say(hub: Hub, tmp_path: Path) -> None:
    hub.load(script(tmp_path, example("debugging.md"), "prints.py"))
    hub.load(script(tmp_path, example("debugging.md", 2), "profiled.py"))
    hub.join("bob")
    hub.expect_error("KeyError: 'bob'")
    hub.log.expect(r"DEBUG OnUserLogin: bob has class 0")
    hub.log.expect("ERROR OnUserLogin: no rank for bob")
    hub.join("alice").expect("Rank 1")
    assert hub.call("prints", "show_memory") == ["from now on it is noted what takes memory; ask again later"]
    assert "size=" in hub.call("prints", "show_memory")[0]
    op = hub.join("op", user_class=3)
    hub.expect_error("KeyError: 'op'")
    op.say("hello")
    op.say("!profile")
    op.expect(r"\brank\b")
    # The signal that asks for the stacks.
    pid = hub.scripts["prints"].pid
    assert pid
    os.kill(pid, 40)
    hub.log.expect(r"Current thread .* \(most recent call first\)")


def test_breakpoint_stops_nothing(hub: Hub, tmp_path: Path) -> None:
    source = "import vh\ndef OnParsedMsgChat(nick, message):\n    if message == 'stop': breakpoint()\n"
    hub.load(script(tmp_path, source, "stops.py"))
    alice = hub.join("alice")
    alice.say("stop")
    alice.expect("^<alice> stop$")
    hub.log.expect(r"breakpoint\(\) in .*stops.py, line 3: nobody debugs this script, it goes on")
