# Generated from the tables of plugin-abi; a test fails when it is edited by hand.
"""The hub, as its scripts see it."""

from collections.abc import Callable, Coroutine, Iterable, MutableMapping, Sequence
from concurrent.futures import Future
from typing import Any, Final, Literal, SupportsIndex, TypeVar, overload

_F = TypeVar("_F", bound=Callable[..., Any])
_T = TypeVar("_T")

__version__: str

myid: int
"""The script's number."""
name: str
"""The file's name without its extension."""
path: str
"""The script's file."""
botname: str
"""The nick of the hub's bot."""
opchatname: str
"""The nick of the operator chat."""
basedir: str
"""The hub's folder."""
config_name: str
"""The name of the hub's configuration."""
starttime: int
"""When the hub started, in seconds since the epoch."""

store: MutableMapping[str, Any]
"""A dict that outlives the process: values that can be sent, at most 4 MiB. Only assignment changes it."""

class NickList(list[str]):
    """A list of nicks that also splits like the protocol string it once was."""

    def split(self, sep: str | None = "$$", maxsplit: SupportsIndex = -1, /) -> list[str]: ...

@overload
def observer(function: _F, /) -> _F: ...
@overload
def observer() -> Callable[[_F], _F]:
    """Marks a hook for whose answer the hub does not wait."""

def when(
    *,
    startswith: str | Iterable[str] | None = None,
    endswith: str | Iterable[str] | None = None,
    contains: str | Iterable[str] | None = None,
    matches: str | Iterable[str] | None = None,
    min_class: int | None = None,
    ignore_case: bool = False,
    arg: str | None = None,
) -> Callable[[_F], _F]:
    """Says for which events a hook is; the hub keeps the others back."""

def command(name: str, *, help: str = "", min_class: int = 0) -> Callable[[_F], _F]:
    """Makes a function the answer to a command of users."""

def every(seconds: float, /) -> Callable[[_F], _F]:
    """Calls a function, or starts a coroutine, again and again, on a thread beside the hooks."""

def after(seconds: float, function: Callable[..., Any], /, *args: Any) -> None:
    """Calls a function, or starts a coroutine, once, on a thread beside the hooks."""

def spawn(coroutine: Coroutine[Any, Any, _T], /) -> Future[_T]:
    """Runs a coroutine on a loop beside the hooks; gives its concurrent.futures.Future."""

def answer(nick: str, text: str) -> bool:
    """Writes to a user where the command came from: in the main chat, seen by that user only, or by private message."""

def Encode(text: str, /) -> str:
    """Writes $, |, `, ~ and \\x05 as entities."""

def Decode(text: str, /) -> str:
    """The opposite of Encode."""

def encode(text: str, /) -> str:
    """The same as Encode."""

def decode(text: str, /) -> str:
    """The same as Decode."""

def CallDynamicFunction(name: str, /, *args: Any) -> Any:
    """Calls a function that the host registered for this script."""

def call(name: str, /, *args: Any) -> Any:
    """The same as CallDynamicFunction."""

def sql_quote(value: str | int | float | bytes | None, /) -> str:
    """A value as it is written in a query."""

def sql_error() -> str:
    """Why the last SQL() of this thread failed; empty when it did not."""

def SendToAll(message: str, /) -> bool:
    """Writes in the main chat."""

def SendToUser(nick: str, message: str, /) -> bool:
    """Writes in the main chat, seen by one user only."""

def GetUserNick(nick: str, /) -> str:
    """The nick: hooks hand over nicks."""

def GetConnNick(nick: str, /) -> str:
    """The nick: hooks hand over nicks."""

def GetChatMessage(message: str, /) -> str:
    """The message: hooks hand over texts."""

def SendToOpChat(message: str, from_nick: str | None = None) -> bool:
    """Writes in the operator chat."""

def SendToActive(data: str, delay: int | None = None) -> bool:
    """Sends raw protocol data to all active users."""

def SendToPassive(data: str, delay: int | None = None) -> bool:
    """Sends raw protocol data to all passive users."""

def SendToActiveClass(data: str, min_class: int, max_class: int, delay: int | None = None) -> bool:
    """Sends raw protocol data to active users of these classes."""

def SendToPassiveClass(data: str, min_class: int, max_class: int, delay: int | None = None) -> bool:
    """Sends raw protocol data to passive users of these classes."""

def SendDataToUser(data: str, nick: str, delay: int | None = None) -> bool:
    """Sends raw protocol data to one user."""

def SendDataToAll(data: str, min_class: int, max_class: int, delay: int | None = None) -> bool:
    """Sends raw protocol data to users of these classes."""

def SendPMToAll(message: str, from_nick: str, min_class: int, max_class: int) -> bool:
    """Sends a private message to everybody of these classes."""

def CloseConnection(nick: str, reason: int | None = None, delay: int | None = None) -> bool:
    """Disconnects a user; the reason is one of `vh.eCR_…`, the delay in milliseconds."""

def GetMyINFO(nick: str) -> tuple[str, str, str, str, str, str] | None:
    """A user's nick, description, tag, speed, mail and share."""

def SetMyINFO(nick: str, desc: str | None = None, tag: str | None = None, speed: str | None = None, mail: str | None = None, size: str | float | None = None) -> bool:
    """Replaces parts of a user's `$MyINFO`; None leaves a part as it is."""

def GetUserClass(nick: str) -> int:
    """A user's class; -2 when not online."""

def GetUserHost(nick: str) -> str | None:
    """A user's host name."""

def GetUserIP(nick: str) -> str | None:
    """A user's address."""

def SetUserIP(nick: str, ip: str) -> bool:
    """Changes the address that the hub shows for a user."""

def SetMyINFOFlag(nick: str, flag: int) -> bool:
    """Sets bits in a user's status byte."""

def UnsetMyINFOFlag(nick: str, flag: int) -> bool:
    """Clears bits in a user's status byte."""

def GetUserHubURL(nick: str) -> str | None:
    """The address by which a user found the hub."""

def GetUserExtJSON(nick: str) -> str | None:
    """What a user's client sent as `$ExtJSON`."""

def GetUserCC(nick: str) -> str | None:
    """A user's country code."""

def GetIPCC(ip: str) -> str | None:
    """An address's country code."""

def GetIPCN(ip: str) -> str | None:
    """An address's country name."""

def GetIPASN(ip: str, database: str | None = None) -> str | None:
    """An address's autonomous system."""

def GetGeoIP(ip: str, database: str | None = None) -> dict[str, str | float | int] | None:
    """All that the city database knows of an address."""

def GetNickList() -> NickList:
    """The nicks of everybody in the user list."""

def GetRawNickList() -> str:
    """The nicks of everybody in the user list. As `$NickList a$$b$$`."""

def GetOpList() -> NickList:
    """The nicks of the operators."""

def GetRawOpList() -> str:
    """The nicks of the operators. As `$OpList a$$b$$`."""

def GetBotList() -> NickList:
    """The nicks of the bots."""

def GetRawBotList() -> str:
    """The nicks of the bots. As `$BotList a$$b$$`."""

def AddRegUser(nick: str, user_class: int, password: str | None = None, op: str | None = None) -> bool:
    """Registers a user."""

def DelRegUser(nick: str) -> bool:
    """Removes a registration."""

def SetRegClass(nick: str, user_class: int) -> bool:
    """Changes a registered user's class."""

def Ban(op: str, nick: str, reason: str, seconds: int, ban_type: int) -> bool:
    """Bans a user; 0 seconds is for ever, the type is one of `vh.eBF_…`."""

def KickUser(op: str, nick: str, reason: str, address: str | None = None, note_op: str | None = None, note_user: str | None = None) -> bool:
    """Kicks a user as an operator would."""

def DelNickTempBan(nick: str) -> bool:
    """Lifts a nick's temporary ban."""

def DelIPTempBan(ip: str) -> bool:
    """Lifts an address's temporary ban."""

def ParseCommand(nick: str, command: str, in_pm: int) -> bool:
    """Runs a hub command as that user."""

def ScriptCommand(command: str, data: str, immediate: int | None = None) -> bool:
    """Sends a command to every script."""

@overload
def SetConfig(variable: str, value: str | float, *, conf: str = "config") -> bool: ...
@overload
def SetConfig(conf: str, variable: str, value: str | float) -> bool:
    """Changes a configuration variable."""

@overload
def GetConfig(variable: str, *, conf: str = "config", default: str | float | None = None) -> str | None: ...
@overload
def GetConfig(conf: str, variable: str, default: str | float | None = None) -> str | None:
    """Reads a configuration variable."""

def IsRobotNickBad(nick: str) -> int:
    """Whether a nick can be a robot's: one of `vh.eBOT_…`."""

def AddRobot(nick: str, user_class: int, desc: str, speed: str, mail: str, share: str | float) -> bool:
    """Puts a robot into the user list."""

def DelRobot(nick: str) -> bool:
    """Takes a robot out again."""

@overload
def SQL(limit: int, query: str, parameters: Sequence[str | int | float | bytes | None] = ()) -> tuple[int, list[list[str]]]: ...
@overload
def SQL(query: str, limit: int = 100, parameters: Sequence[str | int | float | bytes | None] = ()) -> tuple[int, list[list[str]]]:
    """Runs a query on the hub's database."""

def GetServFreq() -> float:
    """How often per second the hub's loop runs."""

def GetUsersCount() -> int:
    """How many users are online."""

def GetTotalShareSize() -> str:
    """The sum of all shares in bytes."""

def UserRestrictions(nick: str, nochat: str | float | None = None, nopm: str | float | None = None, nosearch: str | float | None = None, noctm: str | float | None = None) -> dict[str, bool]:
    """Sets and tells what a user may not do: a period such as `3h` or `1d` restricts, `0` lifts, None leaves."""

def Topic(topic: str | None = None) -> str:
    """The hub's topic; with an argument, sets it."""

def mc(message: str, from_nick: str | None = None) -> bool:
    """Writes in the main chat."""

def usermc(message: str, nick: str, from_nick: str | None = None) -> bool:
    """Writes in the main chat, seen by one user only."""

@overload
def classmc(message: str, min_class: int, from_nick: str) -> bool: ...
@overload
def classmc(message: str, min_class: int, max_class: int = 10, from_nick: str | None = None) -> bool:
    """Writes in the main chat, seen by these classes only."""

def pm(message: str, nick: str, from_nick: str | None = None, shown_nick: str | None = None) -> bool:
    """Sends a private message."""

def name_and_version(name: str | None = None, version: str | None = None) -> tuple[str, str]:
    """The script's name and version as operators see them; with arguments, sets them."""

def StopHub(code: int, delay: int | None = None) -> bool:
    """Stops the hub with this exit code after so many seconds."""

def GetIPCity(ip: str, database: str | None = None) -> str | None:
    """An address's city; only on hubs of the later callback table. Check with hasattr(vh, 'GetIPCity')."""

def users(*fields: Literal["nick", "class", "ip", "cc", "desc", "tag", "speed", "mail", "share"]) -> list[dict[str, Any]]:
    """Everybody in the user list, with the fields that are asked for, or all: `nick`, `class`, `ip`, `cc`, `desc`, `tag`, `speed`, `mail`, `share`."""

eCR_DEFAULT: Final = 0
eCR_INVALID_USER: Final = 1
eCR_KICKED: Final = 2
eCR_BANNED: Final = 2
eCR_FORCEMOVE: Final = 3
eCR_QUIT: Final = 4
eCR_HUB_LOAD: Final = 5
eCR_TIMEOUT: Final = 6
eCR_TO_ANYACTION: Final = 7
eCR_USERLIMIT: Final = 8
eCR_SHARE_LIMIT: Final = 9
eCR_TAG_NONE: Final = 10
eCR_TAG_INVALID: Final = 11
eCR_PASSWORD: Final = 12
eCR_LOGIN_ERR: Final = 13
eCR_SYNTAX: Final = 14
eCR_INVALID_KEY: Final = 15
eCR_RECONNECT: Final = 16
eCR_CLONE: Final = 17
eCR_SELF: Final = 18
eCR_BADNICK: Final = 19
eCR_NOREDIR: Final = 20
eCR_PLUGIN: Final = 21
eBOT_OK: Final = 0
eBOT_EXISTS: Final = 1
eBOT_WITHOUT_NICK: Final = 2
eBOT_BAD_CHARS: Final = 3
eBOT_RESERVED_NICK: Final = 4
eBOT_API_ERROR: Final = 5
eIT_VOID: Final = 0
eIT_BOOL: Final = 1
eIT_CHAR: Final = 2
eIT_INT: Final = 3
eIT_UINT: Final = 4
eIT_LONG: Final = 5
eIT_ULONG: Final = 6
eIT_PCHAR: Final = 7
eIT_TIMET: Final = 8
eIT_LLONG: Final = 9
eIT_ULLONG: Final = 10
eIT_AR_BYTE: Final = 11
eIT_STRING: Final = 12
eIT_DOUBLE: Final = 13
eBF_NICKIP: Final = 0
eBF_IP: Final = 1
eBF_NICK: Final = 2
eBF_RANGE: Final = 3
eBF_HOST1: Final = 4
eBF_HOST2: Final = 5
eBF_HOST3: Final = 6
eBF_SHARE: Final = 7
eBF_PREFIX: Final = 8
eBF_HOSTR1: Final = 9
