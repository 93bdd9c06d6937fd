"""Acts at random on whoever an event is about, in every hook, and has a robot come and go."""

import random

import vh

HOOKS = """OnCloseConnEx OnParsedMsgChat OnParsedMsgPM OnParsedMsgMCTo OnParsedMsgSearch OnParsedMsgSR
OnParsedMsgMyINFO OnFirstMyINFO OnParsedMsgAny OnOpChatMessage OnParsedMsgMyHubURL OnParsedMsgExtJSON OnParsedMsgMyPass
OnParsedMsgConnectToMe OnParsedMsgRevConnectToMe OnUnknownMsg OnOperatorCommand OnOperatorKicks OnOperatorDrops
OnValidateTag OnUserCommand OnHubCommand OnUserInList OnUserLogin OnUserLogout OnNewReg OnNewBan OnSetConfig""".split()

ACTS = [
    lambda nick: vh.CloseConnection(nick),
    lambda nick: vh.KickUser("stormbot", nick, "why"),
    lambda nick: vh.Ban("stormbot", nick, "why", 1, vh.eBF_NICK),
    lambda nick: vh.KickUser("stormbot", nick, "why", "dchub://127.0.0.1:1"),
    lambda nick: vh.DelRegUser(nick),
    lambda nick: vh.AddRegUser(nick, 5, nick + "pass"),
    lambda nick: vh.SetRegClass(nick, random.randrange(1, 6)),
    lambda nick: vh.DelRobot("stormbot"),
    lambda nick: vh.AddRobot("stormbot", 10, "", "", "", ""),
    lambda nick: vh.ParseCommand(nick, f"!regnew {nick}x 1", 0),
    lambda nick: vh.ParseCommand(nick, f"!drop {nick} why", 0),
    lambda nick: vh.SetMyINFO(nick, "changed"),
    lambda nick: vh.SetConfig("hub_topic", nick),
]


def _hook(name):
    # The hook that is called for everything acts as seldom as the others together.
    chance = 0.01 if name == "OnParsedMsgAny" else 0.1

    def hook(*args):
        nick = next((text for text in args if isinstance(text, str) and text.startswith("storm")), None)
        if nick and random.random() < chance:
            random.choice(ACTS)(nick)
        return 1

    return hook


for _name in HOOKS:
    globals()[_name] = _hook(_name)
vh.AddRobot("stormbot", 10, "", "", "", "")
