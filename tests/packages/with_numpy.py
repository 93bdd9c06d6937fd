"""Lengths of messages, in numpy; the package refuses to be loaded in sub-interpreters."""

import sys

import numpy as np
import vh

lengths = np.zeros(0)


def OnParsedMsgChat(nick: str, message: str) -> None:
    global lengths
    lengths = np.append(lengths, len(message))


def summary() -> dict[str, float]:
    return {"count": float(lengths.size), "mean": float(lengths.mean()), "norm": float(np.linalg.norm(lengths))}


def prefix() -> str:
    return sys.prefix
