"""Reminds users: `+remind 10m the cake is done` sends a private message in ten minutes.

Shows: asyncio in a thread of the script's own. The script has its own process, so its threads
run whether or not the hub has something for it, and they may call every function of `vh`.

Hooks run on the main thread, and the hub waits for them. What takes long (the network, a
database, a sleep) belongs into the background.
"""

import asyncio
import re
import threading
import time

import vh

BOT = "Reminder"
UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
MOST = 5  # reminders of one user

# One event loop, on one thread of its own. All that follows in this file either runs on the
# main thread and hands work over, or is a coroutine and runs on the loop's thread; so the
# dictionary below is changed by one thread only and needs no lock.
loop = asyncio.new_event_loop()
thread = threading.Thread(target=loop.run_forever, name="asyncio", daemon=True)
tasks: dict[str, set[asyncio.Task[None]]] = {}

vh.AddRobot(BOT, 3, "reminds you: +remind 10m tea", "", "", 0)


# -------------------------------------------------------------- on the main thread


def OnHubCommand(nick: str, command: str) -> int | None:
    match command.split(maxsplit=2):
        case ["remind", delay, text] if (seconds := in_seconds(delay)) is not None:
            # Hands the coroutine over and returns at once: the hub does not wait.
            asyncio.run_coroutine_threadsafe(accept(nick, seconds, text), loop)
            return 0
        case ["remind", *_]:
            vh.usermc("Usage: +remind 10m TEXT, with s, m, h or d for the unit.", nick)
            return 0
    return None


def UnLoad() -> None:
    """A thread that goes on would hold up the end of the process until it is killed."""
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


def in_seconds(delay: str) -> int | None:
    """`in_seconds("10m")` is 600."""
    found = re.fullmatch(r"(\d{1,6})([smhd]?)", delay)
    return int(found[1]) * UNITS[found[2]] if found else None


# ------------------------------------------------------------ on the loop's thread


async def accept(nick: str, seconds: int, text: str) -> None:
    """Starts a task that waits, unless the user has enough of them."""
    mine = tasks.setdefault(nick, set())
    if len(mine) >= MOST:
        vh.usermc(f"You have {MOST} reminders already.", nick, BOT)
        return
    task = asyncio.create_task(remind(nick, seconds, text))
    mine.add(task)
    task.add_done_callback(mine.discard)
    at = time.strftime("%H:%M:%S", time.localtime(time.time() + seconds))
    # A call from this thread is answered when the hub's thread next looks, within about a
    # millisecond. Where that is too long for the loop: `await asyncio.to_thread(vh.usermc, …)`.
    vh.usermc(f"I will remind you at {at}.", nick, BOT)


async def remind(nick: str, seconds: int, text: str) -> None:
    await asyncio.sleep(seconds)
    if vh.GetUserClass(nick) == -2:  # not online any more
        return
    vh.pm(f"You wanted to be reminded: {text}", nick, BOT)


thread.start()
