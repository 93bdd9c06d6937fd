"""gevent in a thread of the real kind, which has a hub of gevent's of its own; everything else is patched."""

from gevent import monkey

start_real_thread = monkey.get_original("_thread", "start_new_thread")
monkey.patch_all()

import time  # noqa: E402

import gevent  # noqa: E402
import vh  # noqa: E402

messages = []


def OnParsedMsgChat(nick, message):
    messages.append((nick, message))
    return 1


def answer():
    """A greenlet that waits for messages and answers them."""
    while True:
        while messages:
            nick, message = messages.pop(0)
            vh.usermc(f"a greenlet read {message}", nick)
        time.sleep(0.01)  # patched: other greenlets run


start_real_thread(lambda: gevent.joinall([gevent.spawn(answer), gevent.spawn(answer)]), ())
