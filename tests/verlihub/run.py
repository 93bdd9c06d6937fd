"""Checks libpython_pi.so in a real Verlihub: a throw-away configuration, MariaDB, clients.

    run.py --prefix /usr/local [--keep] [words of the checks' names]
"""

import argparse
import pathlib
import shutil
import sys
import tempfile
import time
import traceback

import acts
import events
import life
from hub import Hub

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def plugin_in(folder):
    """The plugin and its two libraries side by side, as they are installed."""
    for file in ("target/verlihub/libpython_pi.so", "target/release/libvhpy.so", "target/release/libvh_worker.so"):
        shutil.copy(ROOT / file, folder)
    return folder / "libpython_pi.so"


class Runner:
    def __init__(self, prefix, words):
        self.prefix, self.words = prefix, words
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="vhpy-plugin-"))
        self.plugin = plugin_in(self.root)
        self.failed, self.count = [], 0

    def hub(self, scripts=("probe.py",)):
        hub = Hub(self.prefix, self.plugin)
        for script in scripts:
            shutil.copy(HERE / "scripts" / script, hub.scripts)
        return hub

    def wanted(self, check):
        return not self.words or any(word in check.__name__ for word in self.words)

    def attempt(self, check, hub, *more):
        name = check.__name__.removeprefix("check_").removeprefix("own_")
        start = time.monotonic()
        try:
            note = check(hub, *more)
            word = note or "ok"
        except Exception:
            traceback.print_exc()
            print(hub.tail(), file=sys.stderr)
            self.failed.append(name)
            word = "FAILED"
        self.count += 1
        print(f"{name:32} {word}  ({time.monotonic() - start:.1f} s)", flush=True)

    def shared(self, checks):
        """Checks that need no hub of their own."""
        checks = [check for check in checks if self.wanted(check)]
        if not checks:
            return
        hub = self.hub()
        try:
            hub.start()
            for check in checks:
                with hub.client("master") as master:
                    self.attempt(check, hub, master)
                with hub.client("master") as master:
                    master.eval("forget()")
        finally:
            hub.remove()

    def own(self, checks):
        """Checks that stop, crash or restart the hub."""
        for check in filter(self.wanted, checks):
            hub = self.hub()
            try:
                self.attempt(check, hub)
            finally:
                hub.remove()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prefix", required=True, help="where Verlihub is installed")
    parser.add_argument("words", nargs="*")
    options = parser.parse_args()
    missing = [name for name in ("mariadbd", "mariadb-install-db", "mariadb") if not shutil.which(name)]
    if missing:
        sys.exit(f"install MariaDB's server first: {', '.join(missing)} missing")
    runner = Runner(options.prefix, options.words)
    try:
        runner.shared(events.CHECKS + life.SHARED)
        runner.own(life.OWN + acts.OWN)
    finally:
        shutil.rmtree(runner.root)
    print(f"{runner.count - len(runner.failed)} of {runner.count} checks passed")
    sys.exit(1 if runner.failed or not runner.count else 0)


if __name__ == "__main__":
    main()
