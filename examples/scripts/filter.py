"""Keeps words out of the chat.

Shows: blocking a message (return 0), sending another in its place (return a str), telling the
user why, and commands for operators.

A message with a banned word does not appear; one with a rude word appears with stars in it.
Operators change the list of banned words: `+word add WORD`, `+word del WORD`, `+word list`.
"""

import re

import vh

OPERATOR = 3
BANNED = ["casino", "viagra"]
RUDE = ["damn", "crap"]

rude = re.compile(rf"\b({'|'.join(RUDE)})\b", re.IGNORECASE)


def banned_words() -> list[str]:
    """The list as operators have left it."""
    words: list[str] = vh.store.get("banned", BANNED)
    return words


def compiled() -> re.Pattern[str]:
    """One expression for all banned words; without words, one that matches nothing."""
    words = "|".join(map(re.escape, banned_words()))
    return re.compile(rf"\b(?:{words})\b" if words else r"(?!)", re.IGNORECASE)


# Compiled once and not for every message: a hook should answer quickly.
banned = compiled()


def OnParsedMsgChat(nick: str, message: str) -> int | str | None:
    """A user writes in the main chat."""
    if is_banned(nick, message):
        return 0
    milder = rude.sub(lambda word: word[0][0] + "*" * (len(word[0]) - 1), message)
    # A str takes the message's place; None lets the message through as it is.
    return milder if milder != message else None


def OnParsedMsgPM(nick: str, message: str, to_nick: str) -> int | None:
    """A private message; operators and bots may get any."""
    if vh.GetUserClass(to_nick) >= OPERATOR:
        return None
    return 0 if is_banned(nick, message) else None


def is_banned(nick: str, message: str) -> bool:
    """Whether the message must not appear; if so, the user hears why."""
    found = banned.search(message)
    if found is None or vh.GetUserClass(nick) >= OPERATOR:
        return False
    vh.usermc(f"Your message was not sent: '{found[0]}' is not welcome here.", nick)
    print(f"blocked a message of {nick}: {message!r}")  # goes to the hub's log
    return True


def OnHubCommand(nick: str, command: str, user_class: int) -> int | None:
    """Somebody typed a command. The hub gives two more arguments, whether it came in a private
    message and with which prefix; a function that does not need them leaves them out."""
    match command.split():
        case ["word", *rest] if user_class >= OPERATOR:
            vh.usermc(change(rest), nick)
            return 0  # handled: neither the hub nor the chat sees it
    return None


def change(arguments: list[str]) -> str:
    """Does what follows `+word`, and says what was done."""
    global banned
    words = banned_words()
    match arguments:
        case ["add", word] if word.lower() not in words:
            vh.store["banned"] = words + [word.lower()]
        case ["del", word] if word.lower() in words:
            vh.store["banned"] = [other for other in words if other != word.lower()]
        case ["add" | "del", _] | ["list"]:
            pass
        case _:
            return "Usage: +word add WORD, +word del WORD, +word list"
    banned = compiled()
    return "Banned words: " + (", ".join(banned_words()) or "none")
