#!/usr/bin/env python3
"""Runs the statements of this folder on a MariaDB server of their own and compares.

Each .json file is a list of groups; each group runs on an empty database. A step that has no
answer yet gets one with --write. `make test-mariadb` runs this, and then vhpy's own test of the
same files.
"""

import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as xml

HERE = pathlib.Path(__file__).parent


def main() -> int:
    server, client = shutil.which("mariadbd"), shutil.which("mariadb")
    server = server or shutil.which("mariadbd", path="/usr/sbin")
    install = shutil.which("mariadb-install-db")
    if not (server and client and install):
        print("skipped: MariaDB is not installed (apt-get install mariadb-server)")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        data, socket = f"{folder}/data", f"{folder}/socket"
        user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
        common = ["--no-defaults", f"--datadir={data}", f"--user={user}"]
        subprocess.run(
            [install, *common, "--auth-root-authentication-method=normal", "--skip-test-db"],
            check=True, stdout=subprocess.DEVNULL,
        )
        with open(f"{folder}/log", "wb") as log:
            process = subprocess.Popen(
                [server, *common, f"--socket={socket}", "--skip-networking", f"--pid-file={folder}/pid"],
                stdout=log, stderr=log,
            )
        try:
            ask = [client, "--no-defaults", "-S", socket, "-u", "root", "--default-character-set=utf8mb4"]
            wait_for(ask, process, f"{folder}/log")
            return compare(ask)
        finally:
            process.terminate()
            process.wait(60)


def wait_for(ask, process, log):
    end = time.monotonic() + 60
    while subprocess.run([*ask, "-e", "select 1"], capture_output=True).returncode != 0:
        if process.poll() is not None or time.monotonic() > end:
            sys.exit(f"the server did not start: {pathlib.Path(log).read_text()[-2000:]}")
        time.sleep(0.2)


def compare(ask) -> int:
    different = 0
    for file in sorted(HERE.glob("*.json")):
        groups = json.loads(file.read_text())
        written = False
        for group in groups:
            for step, answer in zip(group["steps"], answers(ask, group["steps"])):
                if "ok" not in step and "--write" in sys.argv:
                    step.update(answer)
                    written = True
                elif {key: step.get(key) for key in answer} != answer:
                    different += 1
                    print(f"{file.name}, {group['name']}: {step['sql']}\n    is now {answer}")
        if written:
            file.write_text(json.dumps(groups, ensure_ascii=False, indent=1) + "\n")
        print(f"{file.name}: {sum(len(group['steps']) for group in groups)} statements")
    print(f"{different} answers differ")
    return int(different > 0)


def answers(ask, steps):
    """One connection for the group, so that variables stay; its answers as XML."""
    script = "drop database if exists verlihub; create database verlihub character set utf8mb4 "
    script += "collate utf8mb4_general_ci; use verlihub;\n"
    # The statement of step 0 is in line 2.
    script += "".join(step["sql"].rstrip("; ") + ";\n" for step in steps)
    done = subprocess.run([*ask, "--xml", "--force", "--batch"], input=script.encode(), capture_output=True)
    errors = {}
    for line in done.stderr.decode().splitlines():
        if line.startswith("ERROR "):
            at = int(line.split(" at line ")[1].split(":")[0]) - 2
            errors[at] = line.split(": ", 1)[1]
    text = done.stdout.decode().replace('<?xml version="1.0"?>', "")
    text = "".join(sign if sign >= " " or sign in "\t\n" else "\ufffd" for sign in text)
    results = list(xml.fromstring(f"<all>{text}</all>"))
    rows = {}
    at = -1
    for result in results:
        statement = result.get("statement", "").strip().rstrip("; ")
        at = next(
            place for place in range(at + 1, len(steps)) if steps[place]["sql"].strip().rstrip("; ") == statement
        )
        rows[at] = [
            [None if field.get("{http://www.w3.org/2001/XMLSchema-instance}nil") else field.text or "" for field in row]
            for row in result
        ]
    for at in range(len(steps)):
        if at in errors:
            yield {"ok": False, "error": errors[at]}
        else:
            yield {"ok": True, "rows": rows.get(at, [])}


if __name__ == "__main__":
    sys.exit(main())
