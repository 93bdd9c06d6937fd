"""Counts what happens in the hub: `+stats` and `+top` tell.

Shows: observers, whose answers nobody waits for, and functions that the host itself can call:
from Rust with `supervisor.call(&mut host, id, "get_stats", &[])`, from C with
`w_CallFunction(id, "get_stats", NULL)`. What they return becomes lists, maps, numbers and texts
on the other side.
"""

import collections
import time

import vh

SAVE_EVERY = 60.0  # seconds

talkers: collections.Counter[str] = collections.Counter(vh.store.get("talkers", {}))
totals: collections.Counter[str] = collections.Counter(vh.store.get("totals", {}))
last_save = time.monotonic()


# ---------------------------------------------------------------- what is counted
# An observer only looks: the hub tells it and goes on at once, so it delays nobody, and what it
# returns is ignored. It sees every message, also those that another script blocks.


@vh.observer
def OnParsedMsgChat(nick: str, message: str) -> None:
    totals["messages"] += 1
    totals["characters"] += len(message)
    talkers[nick] += 1


@vh.observer
def OnParsedMsgSearch() -> None:
    totals["searches"] += 1


@vh.observer
def OnUserLogin() -> None:
    totals["logins"] += 1
    totals["peak"] = max(totals["peak"], vh.GetUsersCount())


@vh.observer
def OnTimer() -> None:
    """Comes every second."""
    if time.monotonic() - last_save > SAVE_EVERY:
        save()


def UnLoad() -> None:
    """Comes last, before the script is unloaded or reloaded and before the hub stops. A crash
    skips it: then the counts of the last minute are lost."""
    save()


def save() -> None:
    global last_save
    last_save = time.monotonic()
    vh.store["talkers"] = dict(talkers.most_common(1000))
    vh.store["totals"] = dict(totals)


# ------------------------------------------------- functions that the host can call


def get_stats() -> dict[str, int]:
    """All totals by their names."""
    return {name: totals[name] for name in ("messages", "characters", "searches", "logins", "peak")}


def top_talkers(limit: int = 5) -> list[list[str | int]]:
    """Who wrote most: pairs of nick and number of messages."""
    return [[nick, count] for nick, count in talkers.most_common(limit)]


def reset_stats() -> int:
    """Begins anew; gives the number of messages that were counted so far."""
    counted = totals["messages"]
    totals.clear()
    talkers.clear()
    save()
    return counted


# ----------------------------------------------------------------------- commands


def OnHubCommand(nick: str, command: str, user_class: int, in_pm: int) -> int | None:
    match command.split():
        case ["stats"]:
            text = "\n".join(f"{count:>8} {name}" for name, count in get_stats().items())
        case ["top"]:
            text = "\n".join(f"{count:>8} {name}" for name, count in top_talkers(10))
        case _:
            return None
    if in_pm:
        vh.pm(f"\n{text}", nick)
    else:
        vh.usermc(f"Statistics:\n{text}", nick)
    return 0
