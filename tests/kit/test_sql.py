"""Parameters of `vh.SQL` on the real embedded hub: what goes in comes out, whatever it is."""

import textwrap
from pathlib import Path

import pytest

from vhpy_hub.testing import Hub

SCRIPT = """
    import vh

    def ask(query, *parameters):
        ok, rows = vh.SQL(query, 10, parameters)
        return rows if ok else vh.sql_error()

    def quoted(value):
        ok, rows = vh.SQL(f"select {vh.sql_quote(value)}")
        return rows if ok else vh.sql_error()
"""

HOSTILE = [
    "alice",
    "'; drop table points; -- ",
    "\\",
    "\\'",
    "a\\",
    "it's",
    '"',
    "100%",
    "?",
    "ä",
    "Ж",
    "漢字",
    "\U0001f600",
    "\u00bf'",
    "x' or 'a'='a",
    "tab\tand\nline",
]


@pytest.mark.parametrize("encoding", ["utf-8", "cp1251", "gbk"])
def test_what_goes_in_comes_out(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "asks.py").write_text(textwrap.dedent(SCRIPT))
    with Hub("asks.py", folder=tmp_path, encoding=encoding) as hub:
        hub.sql("create table points (nick varchar(60) primary key, n int)")
        for number, nick in enumerate(HOSTILE):
            try:
                nick.encode(encoding)
            except UnicodeEncodeError:
                continue
            hub.call("asks", "ask", "insert into points values (?, ?)", nick, number)
            found = hub.call("asks", "ask", "select nick, n from points where nick = ?", nick)
            assert found == [[nick, str(number)]], nick
            assert hub.call("asks", "quoted", nick) == [[nick]]
        assert hub.call("asks", "ask", "select ?, ?, ?, '?'", None, 1.5, True) == [["NULL", "1.5", "1", "?"]]
        hub.check()


def test_letters_are_compared_as_text(tmp_path: Path) -> None:
    (tmp_path / "asks.py").write_text(textwrap.dedent(SCRIPT))
    with Hub("asks.py", folder=tmp_path) as hub:
        assert hub.call("asks", "ask", "select ? = 'Ä'", "ä") == [["1"]]
