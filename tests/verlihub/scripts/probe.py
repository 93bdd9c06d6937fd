"""Defines every hook, remembers what it got, answers what the test wants answered, and
evaluates the test's expressions: a chat line "eval NUMBER EXPRESSION" from master."""

import vh

HOOKS = """OnNewConn OnCloseConn OnCloseConnEx OnParsedMsgChat OnParsedMsgPM OnParsedMsgMCTo OnParsedMsgSearch
OnParsedMsgSR OnParsedMsgMyINFO OnFirstMyINFO OnParsedMsgValidateNick OnParsedMsgAny OnParsedMsgAnyEx OnOpChatMessage
OnPublicBotMessage OnUnLoad OnCtmToHub OnParsedMsgSupports OnParsedMsgMyHubURL OnParsedMsgExtJSON OnParsedMsgBotINFO
OnParsedMsgVersion OnParsedMsgMyPass OnParsedMsgConnectToMe OnParsedMsgRevConnectToMe OnUnknownMsg OnOperatorCommand
OnOperatorKicks OnOperatorDrops OnOperatorDropsWithReason OnValidateTag OnUserCommand OnHubCommand OnScriptCommand
OnUserInList OnUserLogin OnUserLogout OnTimer OnNewReg OnNewBan OnSetConfig""".split()

seen = {}
answers = {}


def _hook(name):
    def hook(*args):
        kept = seen.setdefault(name, [])
        kept.append(args)
        del kept[:-50]
        answer = answers.get(name)
        return answer(*args) if callable(answer) else answer

    return hook


for _name in HOOKS:
    globals()[_name] = _hook(_name)
_chat = OnParsedMsgChat


def OnParsedMsgChat(nick, text):
    if nick != "master" or not text.startswith("eval "):
        return _chat(nick, text)
    _, number, expression = text.split(" ", 2)
    try:
        answer = ascii(eval(expression.replace("&#124;", "|"), globals()))
    except Exception as error:
        answer = f"raises {error!r}"
    vh.usermc(f"={number}= {answer}", nick)
    return 0


def answer(hook, value):
    answers[hook] = value


# Hooks that say nothing of whom they are about.
ABOUT_NOBODY = """OnNewConn OnCloseConn OnParsedMsgAnyEx OnPublicBotMessage OnUnLoad OnCtmToHub OnParsedMsgSupports
OnParsedMsgVersion OnScriptCommand OnTimer""".split()

reached = {}


def arm(hook, nick, robot, what):
    """From now on an event of this hook about this user or robot does something, until that worked."""

    def acts(*args):
        known = any(text in (nick, robot) or str(text).endswith(f" {nick}") for text in args)
        if (known or hook in ABOUT_NOBODY) and not reached.get(hook):
            reached[hook] = bool(eval(what, {**globals(), "nick": nick, "robot": robot}))
        return 1

    reached.clear()
    answers.clear()
    answers[hook] = acts


def last(hook):
    return seen[hook][-1]


def forget():
    seen.clear()
    answers.clear()
