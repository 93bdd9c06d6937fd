"""Calls the hub from a thread of its own, and measures how long an idle hub takes."""

import threading
import time

import vh

delays = []


def measure():
    for _ in range(20):
        time.sleep(0.05)
        start = time.monotonic()
        vh.GetUsersCount()
        delays.append(time.monotonic() - start)


thread = threading.Thread(target=measure, daemon=True)
thread.start()


def OnParsedMsgChat(nick, text):
    if text == "delays":
        worst = max(delays, default=0) * 1000
        vh.usermc(f"{len(delays)} calls, worst {worst:.1f} ms", nick)
        return 0
