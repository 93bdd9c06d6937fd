"""A command, a filter, timers, coroutines: what scripts declare, in a real Verlihub."""

import asyncio

import vh

ticks = 0


@vh.every(0.05)
def tick():
    global ticks
    ticks += 1


@vh.command("ticks", help="how often the timer came", min_class=3)
async def tell_ticks(nick, least: int = 1):
    while ticks < least:
        await asyncio.sleep(0.01)
    vh.answer(nick, f"at least {least} ticks")


@vh.when(startswith="bot,")
def OnParsedMsgChat(nick, message):
    vh.after(0, vh.mc, f"{nick}, yes?")


def UnLoad():
    with open(f"{vh.basedir}/beside", "w", encoding="utf-8") as file:
        print(ticks > 0, file=file, end="")
