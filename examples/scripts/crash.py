"""Dies on command, to show that the hub does not: `+crash HOW`, for operators.

    segv    reads from address 0, as a bug in a C extension might
    exit    leaves the process without a word
    kill    what `kill -9` from outside does
    hang    never returns from the hook: after 2 s the hub goes on without it, after 10 s more it
            is killed
    raise   an ordinary exception, which is no death: its traceback is in the log

Whatever happens, chat goes on, the operator chat says what happened, and `+crash` without a
word is answered by the next process. Dying more than five times in a minute is too much:
`!pyreload crash` brings the script back then.
"""

import ctypes
import os
import signal
import time

import vh

OPERATOR = 3


def OnHubCommand(nick: str, command: str, user_class: int) -> int | None:
    """Typed with `+` or `!`; the command comes without it."""
    words = command.split()
    if not words or words[0] != "crash" or user_class < OPERATOR:
        return None
    match words[1:]:
        case ["segv"]:
            count_death()
            ctypes.string_at(0)
        case ["exit"]:
            count_death()
            os._exit(3)
        case ["kill"]:
            count_death()
            os.kill(os.getpid(), signal.SIGKILL)
        case ["hang"]:
            count_death()
            while True:
                time.sleep(60)
        case ["raise"]:
            raise RuntimeError(f"{nick} wanted to see a traceback")
        case _:
            deaths = vh.store.get("deaths", 0)
            vh.usermc(
                f"I am process {os.getpid()}; deaths so far: {deaths}.\n"
                "Usage: +crash segv|exit|kill|hang|raise",
                nick,
            )
    return 0


def count_death() -> None:
    """What is in `vh.store` is with the hub before the next statement runs, so it survives."""
    vh.store["deaths"] = vh.store.get("deaths", 0) + 1
