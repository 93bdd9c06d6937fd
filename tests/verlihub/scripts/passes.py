"""Looks at every chat message and search, and lets it go on."""


def OnParsedMsgChat(nick, text):
    return 1


def OnParsedMsgSearch(nick, data):
    return 1
