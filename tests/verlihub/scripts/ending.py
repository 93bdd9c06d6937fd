"""Writes down how it ends."""

import pathlib

import vh

FILE = pathlib.Path(vh.basedir) / "ended"


def note(text):
    with FILE.open("a") as file:
        file.write(text + "\n")


def OnUnLoad(code):
    note(f"OnUnLoad {code}")


def UnLoad():
    note("UnLoad")
