"""What the plugin costs: messages through a real Verlihub, with and without it.

    cost.py --prefix /usr/local [--kind search] [--messages 1000000] [--rounds 3]

One operator sends messages as fast as the hub takes them, then a line of chat; the time is
from the first message sent to that line's return. The hub sends every chat message back, so
the client works as hard as the hub; a search goes to nobody, and the hub and its script have
the machine for themselves. The hub's loop does not sleep between turns. Hubs take turns, so
that a busy machine is unfair to none.
"""

import argparse
import os
import pathlib
import re
import shutil
import statistics
import tempfile
import threading
import time

from hub import Hub
from run import HERE, plugin_in

TICKS = os.sysconf("SC_CLK_TCK")
PIECE = 500


def processor_time(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


LINES = {
    "chat": b"<oper> one message of many, of a usual length|",
    "search": b"$Search 127.0.0.1:412 F?T?0?1?something$usual|",
}


def round_trip(hub, client, line, messages):
    """Wall time, and the processor time of the hub and of its scripts."""
    last = b"<oper> the last one|"
    socket = client.socket
    socket.settimeout(600)
    workers = hub.workers()

    def times():
        return processor_time(hub.process.pid), sum(map(processor_time, workers))

    def send():
        for _ in range(messages // PIECE):
            socket.sendall(line * PIECE)
        socket.sendall(last)

    before, start = times(), time.perf_counter()
    sender = threading.Thread(target=send)
    sender.start()
    tail = b""
    while last not in tail:
        data = socket.recv(1 << 20)
        assert data, "the hub closed the connection"
        tail = tail[-len(last):] + data
    wall = time.perf_counter() - start
    sender.join()
    after = times()
    return wall, after[0] - before[0], after[1] - before[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--kind", choices=LINES, default="search")
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="vhpy-plugin-"))
    plugin = plugin_in(folder)
    hubs = {}
    try:
        for name, file, scripts in (("no plugin", None, ()), ("plugin, no script", plugin, ()),
                                    ("plugin, one script", plugin, ("passes.py",))):
            hub = hubs[name] = Hub(options.prefix, file)
            for script in scripts:
                shutil.copy(HERE / "scripts" / script, hub.scripts)
            hub.set("adv_step_delay", 0)
            hub.set("step_delay", "", "pi_python")
            hub.set("int_search_op", 0)
            hub.set("max_outfill_size", 1 << 30)
            hub.set("max_unblock_size", 1 << 29)
            hub.start()
        clients = {name: hub.client("oper") for name, hub in hubs.items()}
        results = {name: [] for name in hubs}
        for _ in range(options.rounds):
            for name, hub in hubs.items():
                results[name].append(round_trip(hub, clients[name], LINES[options.kind], options.messages))
        print(f"{options.messages} messages ({options.kind}), {options.rounds} rounds, the median; µs per message")
        for name, rounds in results.items():
            wall, inside, scripts = (statistics.median(part) / options.messages * 1e6 for part in zip(*rounds))
            print(f"{name:20} wall {wall:6.2f}   hub's processor {inside:6.2f}   scripts' processor {scripts:6.2f}")
        with hubs["plugin, one script"].client("master") as master:
            events = int(re.search(r"(\d+) event", master.command("!pylist", "passes: ")).group(1))
            wanted = options.rounds * options.messages
            assert events >= wanted, f"the script got {events} events, not {wanted}"
    finally:
        for hub in hubs.values():
            hub.remove()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
