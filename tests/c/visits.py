"""What the test host's run "visits" loads: says in a file that it runs."""
import os
import threading

import vh

with open(os.environ["VHPY_VISITS"], "a") as file:
    file.write(f"{os.getpid()}\n")


def OnUserLogin(nick):
    return 1


def call_in_a_thread():
    threading.Thread(target=vh.mc, args=("from a thread",), daemon=True).start()
