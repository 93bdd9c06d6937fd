"""Greets users when they have logged in.

Shows: a robot in the user list, a message that only one user sees, and `vh.store`, which keeps
what a script must remember across crashes, reloads and restarts of the hub.
"""

import time

import vh

BOT = "Greeter"
REGISTERED = 1  # the class from which on users have a password

# Everything outside of functions runs once, when the script is loaded. The hub takes the robot
# out again when the script is unloaded or dies, so there is nothing to clean up.
if vh.IsRobotNickBad(BOT) == vh.eBOT_OK:
    vh.AddRobot(BOT, 3, "says hello", "", "", 0)


def OnUserLogin(nick: str) -> None:
    """A user's login is complete. Returning nothing means: go on."""
    users = vh.GetUsersCount()
    lines = [f"Hello {nick}, welcome to {vh.GetConfig('hub_name')}!"]
    lines.append("You are the only user." if users == 1 else f"{users} users are online.")
    if topic := vh.Topic():
        lines.append(f"We talk about: {topic}")
    if ago := since_last_visit(nick):
        lines.append(f"Your last visit was {ago} ago.")
    lines.append("Try +stats, or +remind 10s tea; +help lists the hub's own commands.")
    # The main chat, but nobody else sees it.
    vh.usermc("\n".join(lines), nick, BOT)


def OnUserLogout(nick: str) -> None:
    """The user is still in the list while this runs, so their class can be asked for."""
    remember(nick)


def since_last_visit(nick: str) -> str | None:
    """How long ago a registered user was here, in words."""
    seen = vh.store.get(f"seen {nick}")
    remember(nick)
    return None if seen is None else in_words(time.time() - seen)


def remember(nick: str) -> None:
    """Guests can call themselves anything, so only registered users are remembered."""
    if vh.GetUserClass(nick) >= REGISTERED:
        vh.store[f"seen {nick}"] = time.time()


def in_words(seconds: float) -> str:
    """Seconds in the largest unit that fits: `in_words(7300)` is "2 hours"."""
    for unit, length in ("day", 86400), ("hour", 3600), ("minute", 60):
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return "a moment"
