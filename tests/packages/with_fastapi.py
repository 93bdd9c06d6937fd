"""Tells over HTTP who is in the hub: FastAPI on uvicorn, in a thread of the script."""

import socket
import threading

import fastapi
import uvicorn
import vh

app = fastapi.FastAPI()
listener = socket.create_server(("127.0.0.1", 0))
server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})


@app.get("/users")
def users() -> list[str]:
    """Runs on one of the server's own threads."""
    return vh.GetNickList()


@app.get("/async")
async def users_async() -> dict[str, int]:
    """Runs on the event loop's thread."""
    return {nick: vh.GetUserClass(nick) for nick in vh.GetNickList()}


def OnParsedMsgChat(nick: str, message: str) -> None:
    """Keeps this script's main thread as busy as the others'."""


def port() -> int:
    return listener.getsockname()[1]


def UnLoad() -> None:
    server.should_exit = True
    thread.join()


thread.start()
