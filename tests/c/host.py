"""The script that the test host loads: a little of everything that the C ABI carries."""
import os
import threading
import time

import vh

counts = {"chat": 0, "pm": 0, "search": 0, "login": 0, "timer": 0}
kept = None


def OnParsedMsgChat(nick, message):
    counts["chat"] += 1
    if message == "block":
        return 0
    if message == "replace":
        return "another message"
    if message == "both":
        return ("someone", None)
    if message == "send":
        return ("<Bot> hello", 0)
    if message == "raise":
        raise ValueError("as asked")
    if message == "nested":
        # The hub calls OnUserLogin from within this.
        return 1 if vh.KickUser("op", "bob", "why") else 0
    if message == "call":
        return 1 if vh.GetUserClass("alice") == 5 else 0
    if message == "unload":
        vh.SendToOpChat("unload me")
    return 1


def OnParsedMsgPM(nick, message, to_nick):
    counts["pm"] += 1
    return 0 if message == "block" else 1


def OnParsedMsgMyINFO(nick, desc, tag, speed, mail, size):
    return (None, "<tag>", None, "mail@example.org", None)


def OnUserLogin(nick):
    counts["login"] += 1
    return 1


def OnTimer(now):
    counts["timer"] += 1


def get_total_calls():
    return sum(counts.values())


def count_of(name):
    return counts[name]


def echo(*args):
    return args[0] if len(args) == 1 else list(args)


def types_of(*args):
    return " ".join(type(arg).__name__ for arg in args)


def nothing():
    return None


def yes():
    return True


def number():
    return -(2**63)


def fraction():
    return 2.5


def text():
    return "t\u00e4xt"


def texts():
    return ["a", "", "c d"]


def empty_list():
    return []


def numbers():
    return [1, 2.5, None, [True]]


def a_tuple():
    return (1, "two")


def a_set():
    return {7}


def nested():
    return {"users": [{"name": "alice", "tags": ["x", "y"]}], "n": {"deep": {"er": [1, [2, [3]]]}}}


def large_list():
    return [f"user_{at}" for at in range(1000)]


def huge_list(count):
    return list(range(count))


def length(items):
    return len(items)


def total(items):
    return sum(items)


def validate(config):
    if config["max_users"] > 500:
        return {"valid": False, "error": "too many users"}
    return {"valid": True, "keys": sorted(config)}


def modify(data):
    data["count"] = data["count"] + 1
    data["list"].append("more")
    return data


class Thing:
    value = 42


def make_thing():
    return Thing()


def keep_thing(thing):
    global kept
    kept = thing
    return thing.value


def is_kept(thing):
    return thing is kept


def fails():
    raise RuntimeError("as asked")


def sleeps(seconds):
    time.sleep(seconds)
    return 1


def die():
    os._exit(3)


def pid():
    return os.getpid()


def identity():
    return [vh.botname, vh.opchatname, str(vh.starttime), vh.config_name, vh.name]


def my_id():
    return vh.myid


def call_host(name, *args):
    return vh.CallDynamicFunction(name, *args)


def call_host_failing(name, *args):
    try:
        vh.CallDynamicFunction(name, *args)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "no exception"


answered = 0


def start_threads(count, calls):
    """Threads that call the hub between events."""

    def work():
        global answered
        for _ in range(calls):
            if vh.GetUserClass("alice") == 5:
                with lock:
                    answered += 1

    lock = threading.Lock()
    for _ in range(count):
        threading.Thread(target=work, daemon=True).start()
    return 1


def threads_answered():
    return answered
