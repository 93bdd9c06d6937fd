"""What the test host's run "old_ways" loads."""
import sys

import vh

came = []
while_loading = vh.CallDynamicFunction("add", 3, 4)


def OnTimer(*args):
    came.append(args)


def OnParsedMsgChat(*args):
    came.append(args)


def what_came():
    return repr(came)


def sum_while_loading():
    return while_loading


def sum_now():
    return vh.CallDynamicFunction("add", 4, 5)


def class_of():
    return vh.GetUserClass("alice")


def city():
    return vh.GetIPCity("10.0.0.1")


def say():
    print("printed by the script", flush=True)


def complain():
    print("complained the script", file=sys.stderr, flush=True)
