"""A web server in a thread of a script."""

import pathlib
import threading

import uvicorn
import vh
from fastapi import FastAPI

app = FastAPI()
server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", workers=1))


@app.get("/users")
def users():
    return {"users": vh.GetNickList(), "count": vh.GetUsersCount()}


@app.post("/say/{text}")
def say(text: str):
    return vh.mc(text, "Web")


def run():
    server.run()


def OnTimer():
    """Tells the port once it is known."""
    if server.started:
        port = server.servers[0].sockets[0].getsockname()[1]
        (pathlib.Path(vh.basedir) / "port").write_text(str(port))


def UnLoad():
    server.should_exit = True
    thread.join()


thread = threading.Thread(target=run, daemon=True)
thread.start()
