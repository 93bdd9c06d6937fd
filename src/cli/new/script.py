"""NAME.py: counts for each user how often they typed +NAME."""

import vh


def OnHubCommand(nick: str, command: str) -> int | None:
    """Typed with + or !; the command comes without it."""
    if command != "NAME":
        return None  # not for us
    counts: dict[str, int] = vh.store.get("counts", {})
    counts[nick] = counts.get(nick, 0) + 1
    vh.store["counts"] = counts  # survives crashes, reloads, restarts
    vh.mc(f"{nick} typed +NAME: {counts[nick]}")
    return 0  # handled
