"""Dies, hangs or shouts when somebody asks it to; refuses what has "secret" in it."""

import os
import time


def OnParsedMsgChat(nick, text):
    if text == "crash":
        os.abort()
    if text == "hang":
        while True:
            time.sleep(1)
    return "secret" not in text
