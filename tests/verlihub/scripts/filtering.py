"""Chat filters that are tested before anybody waits for this script, and what it was given."""

import vh

given = []


@vh.when(contains=["casino"], ignore_case=True)
@vh.when(startswith="http://", min_class=3)
def OnParsedMsgChat(nick, text):
    given.append((nick, text))
    return 0


def OnParsedMsgPM(nick, text, to):
    vh.usermc(f"given: {given}", nick)
    return 0
