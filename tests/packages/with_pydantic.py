"""Messages checked with pydantic and written with orjson, both of them compiled."""

import orjson
import pydantic
import vh


class Message(pydantic.BaseModel):
    nick: str
    message: str = pydantic.Field(max_length=20)


def OnParsedMsgChat(nick: str, message: str) -> str | int:
    try:
        checked = Message(nick=nick, message=message)
    except pydantic.ValidationError as error:
        vh.usermc(error.errors()[0]["type"], nick)
        return 0
    return orjson.dumps(checked.model_dump(), option=orjson.OPT_SORT_KEYS).decode()
