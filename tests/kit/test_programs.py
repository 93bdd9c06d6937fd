"""`vhpy try`, `new`, `stub` and `check` as programs: what they print, and how they end."""

import json
import subprocess
import textwrap
from pathlib import Path

import pytest

from vhpy_hub.testing import Hub, find_program


def vhpy(folder: Path, *arguments: str, given: str = "") -> tuple[int, str]:
    command = [str(find_program()), *arguments]
    done = subprocess.run(
        command, cwd=folder, input=given, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120
    )
    return done.returncode, done.stdout


def write(folder: Path, name: str, source: str) -> Path:
    (folder / name).write_text(textwrap.dedent(source))
    return folder / name


SCRIPT = """
    import os
    import vh

    @vh.observer
    def OnParsedMsgPM(nick, message, to):
        vh.usermc("noted", nick)

    def OnParsedMsgChat(nick, message):
        if message == "raise":
            raise ValueError("on purpose")
        if message == "die":
            os._exit(3)
        if message == "two":
            vh.usermc("one\\ntwo", nick)
            return 0

    def OnTimer():
        print("tick")

    def add(a, b=1):
        return [a, b]
"""


def test_what_is_typed_is_said_and_what_is_seen_is_shown(tmp_path: Path) -> None:
    write(tmp_path, "it.py", SCRIPT)
    typed = "hello\nbob: two\nbob> alice: psst\n/tick 2\n/call add 1 {\"a\":null}\n/as bob\nI am bob\n/users\n# nothing\n\n/exit\nnever\n"
    code, said = vhpy(tmp_path, "try", "it.py", given=typed)
    assert said.splitlines() == [
        "it is loaded: OnParsedMsgChat, OnParsedMsgPM, OnTimer",
        "> hello",
        "<alice> hello",
        "> bob: two",
        "[bob] <vhpy> one",
        "[bob] two",
        "> bob> alice: psst",
        "[alice] PM from bob: <bob> psst",
        "[bob] <vhpy> noted",
        "> /tick 2",
        "  | it: tick",
        "  | it: tick",
        '> /call add 1 {"a":null}',
        '[1, {"a": None}]',
        "> /as bob",
        "> I am bob",
        "<bob> I am bob",
        "> /users",
        "alice, bob",
        "> # nothing",
        "> ",
        "> /exit",
    ]
    assert code == 0


@pytest.mark.parametrize(
    ("typed", "code", "said"),
    [
        ("raise", 1, "ValueError: on purpose"),
        ("die", 1, "died: exit code 3"),
        ("/call add", 1, "TypeError"),
        ("/nonsense", 2, "there is no /nonsense: /help"),
        ("/quit nobody", 2, "there is no user"),
        ("/join alice", 2, "alice is here already"),
        ("/join carol x", 2, "/join NICK [CLASS]"),
        ("/tick x", 2, "/tick [SECONDS]"),
        ("/call add [", 2, "arguments in JSON"),
        ("/quit alice\nhello", 2, "alice is not here"),
        ("/join carol 5\ncarol: !getconfig hub_name", 0, "[carol] <vhpy>"),
        ("/search linux iso", 0, ""),
    ],
)
def test_how_it_ends(tmp_path: Path, typed: str, code: int, said: str) -> None:
    write(tmp_path, "it.py", SCRIPT)
    ended, printed = vhpy(tmp_path, "try", "it.py", given=typed + "\n")
    assert (ended, said in printed) == (code, True), printed


def test_a_reload_says_what_has_changed(tmp_path: Path) -> None:
    write(tmp_path, "it.py", "def OnTimer(): pass")
    program = subprocess.Popen(
        [str(find_program()), "try", "it.py"], cwd=tmp_path, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert program.stdin and program.stdout
    assert program.stdout.readline() == "it is loaded: OnTimer\n"
    write(tmp_path, "it.py", "def OnUserLogin(): pass")
    program.stdin.write("/reload\n")
    program.stdin.flush()
    assert program.stdout.readline() == "> /reload\n"
    assert program.stdout.readline() == "it is reloaded; new: OnUserLogin; gone: OnTimer\n"
    write(tmp_path, "it.py", "def broken(:")
    said, _ = program.communicate("/reload\n", timeout=60)
    assert "it is not reloaded" in said and "SyntaxError" in said
    assert program.returncode == 1


def test_bytes_that_are_no_text_hide_nothing_behind_them(tmp_path: Path) -> None:
    write(tmp_path, "it.py", SCRIPT)
    done = subprocess.run(
        [str(find_program()), "try", "it.py"], cwd=tmp_path, input=b"\xff\xfe\0\r\nhello\r\n", stdout=subprocess.PIPE, timeout=120
    )
    assert done.returncode == 0 and done.stdout.endswith(b"> hello\n<alice> hello\n"), done.stdout


def test_a_script_that_does_not_load(tmp_path: Path) -> None:
    write(tmp_path, "it.py", "def broken(:")
    code, said = vhpy(tmp_path, "try", "it.py")
    assert code == 1 and "SyntaxError" in said


def test_new_is_whole_and_overwrites_nothing(tmp_path: Path) -> None:
    code, said = vhpy(tmp_path, "new", "quiz")
    assert code == 0 and "pytest test_quiz.py" in said
    assert vhpy(tmp_path, "check", ".") == (0, "Nothing found in 1 script.\n")
    (tmp_path / "quiz.py").unlink()
    (tmp_path / "test_quiz.py").write_text("mine")
    code, said = vhpy(tmp_path, "new", "quiz")
    assert code == 1 and "is there already" in said
    assert not (tmp_path / "quiz.py").exists() and (tmp_path / "test_quiz.py").read_text() == "mine"
    for name in ["Foo", "1a", "a-b", "vh", "test_a", ""]:
        assert vhpy(tmp_path, "new", name)[0] == 2


def test_the_stub_stands_in_no_scripts_way(tmp_path: Path) -> None:
    assert vhpy(tmp_path, "stub", "--dir", ".")[0] == 0
    script = write(tmp_path, "it.py", "import vh\n\ndef number(): return vh.myid")
    with Hub(script) as hub:
        assert hub.call("it", "number") == 0
    assert vhpy(tmp_path, "stub", "--dir", "nowhere")[0] == 1


def test_findings_for_people_and_programs(tmp_path: Path) -> None:
    write(tmp_path, "it.py", "import vh\nvh.Nothing()\n")
    code, said = vhpy(tmp_path, "check", "it.py")
    assert code == 1 and said.startswith("it.py:2:1: VH201 the module vh has no Nothing\n    help: ")
    code, said = vhpy(tmp_path, "check", "--json", "it.py")
    assert code == 1 and json.loads(said)[0]["code"] == "VH201"
    code, said = vhpy(tmp_path, "check", "--github", "it.py")
    assert code == 1 and said.startswith("::warning file=it.py,line=2,col=1,title=VH201::")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nowhere.py"], 2, "nowhere.py: No such file"),
        (["empty"], 2, "there are no scripts"),
        (["--python", "/nowhere/python", "it.py"], 2, "does not start"),
        (["--python", "/bin/true", "it.py"], 2, "vhpy needs CPython"),
        ([], 2, "required"),
        (["--explain", "VH999"], 2, "there is no rule VH999"),
        (["--explain"], 0, "VH101  misspelt-hook"),
        (["--explain", "vh101"], 0, "VH101 misspelt-hook"),
        (["latin.py"], 1, "VH001 cannot be read"),
        (["nul.py"], 1, "VH001"),
        (["--env"], 0, "ok   a script"),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, arguments: list[str], code: int, said: str) -> None:
    (tmp_path / "empty").mkdir()
    write(tmp_path, "it.py", "import vh\n")
    (tmp_path / "latin.py").write_bytes(b"# \xe4\n")
    (tmp_path / "nul.py").write_bytes(b"a = 1\0\n")
    ended, printed = vhpy(tmp_path, "check", *arguments)
    assert (ended, said in printed) == (code, True), printed
    assert "Traceback" not in printed
