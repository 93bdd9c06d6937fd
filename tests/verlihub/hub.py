"""A throw-away Verlihub with a MariaDB of its own, in a temporary folder."""

import getpass
import hashlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from client import LIMIT, Client

USERS = {"master": 10, "admin": 5, "oper": 3, "reg": 1}

# What is not the test's matter is off: the outside world, flood protection, pauses.
CONFIG = {
    "hub_name": "vhpy test hub", "listen_ip": "127.0.0.1", "extra_listen_ports": "",
    # With the default, the hub waits for a TLS proxy on the same address.
    "tls_listen_ip": "", "tls_listen_port": 0,
    "hublist_host": "", "timer_hublist_period": 0, "update_check_period": 0, "send_crash_report": 0,
    "mmdb_cache": 0, "int_login": 0, "int_chat_ms": 0, "int_myinfo": 0, "int_nicklist": 0, "pwd_tmpban": 0,
    "int_search": 0, "int_search_pas": 0, "int_search_reg": 0, "max_flood_counter_pm": 1000000,
    "max_chat_msg": 65000, "max_chat_lines": 1000, "max_pm_msg": 65000, "adv_max_message_size": 65536,
    # Nor does it let nobody in while the machine is busy.
    "adv_min_frequency": 0, "max_class_proto_flood": -2, "disable_extjson": 0, "send_user_info": 0, "max_users_total": 1000,
}
FLOODS = ("chat mcto to myinfo in extjson search sr ctm rctm nicklist getinfo ping unknown "
          "all_chat all_mcto all_to all_search all_rctm").split()

SETUP = """
CREATE TABLE SetupList (file varchar(30) NOT NULL, var varchar(50) NOT NULL, val text, PRIMARY KEY (file, var));
CREATE TABLE reglist (
  nick varchar(64) NOT NULL, class int(2) DEFAULT 1, class_protect int(2) DEFAULT 0, class_hidekick int(2) DEFAULT 0,
  hide_kick tinyint(1) DEFAULT 0, hide_keys tinyint(1) DEFAULT 0, show_keys tinyint(1) DEFAULT 0,
  hide_share tinyint(1) DEFAULT 0, hide_chat tinyint(1) DEFAULT 0, hide_ctmmsg tinyint(1) DEFAULT 0,
  reg_date int(11), reg_op varchar(64), pwd_change tinyint(1) DEFAULT 1, pwd_crypt tinyint(1) DEFAULT 1,
  login_pwd varchar(60), login_last int(11) DEFAULT 0, logout_last int(11) DEFAULT 0, login_cnt int(11) DEFAULT 0,
  login_ip varchar(15), error_last int(11), error_cnt int(11) DEFAULT 0, error_ip varchar(15),
  enabled tinyint(1) DEFAULT 1, note_op varchar(255), note_usr varchar(255), auth_ip varchar(15),
  alternate_ip varchar(15), fake_ip varchar(15), PRIMARY KEY (nick));
CREATE TABLE pi_plug (nick varchar(10) NOT NULL, path varchar(128) NOT NULL, dest varchar(10), detail varchar(255),
  autoload tinyint(1) DEFAULT 0, error varchar(255), lastload int(11), PRIMARY KEY (nick));
"""


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def wait_for(what, condition):
    """Waits until a condition holds."""
    end = time.monotonic() + LIMIT
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"waited {LIMIT:.0f} s for {what}")
        time.sleep(0.02)
    return value


class Database:
    """A MariaDB server that listens on nothing but a socket in the folder."""

    def __init__(self, folder):
        self.socket = folder / "sql"
        user = getpass.getuser()
        data = folder / "data"
        base = [f"--user={user}", "--no-defaults"]
        subprocess.run(["mariadb-install-db", base[1], base[0], f"--datadir={data}",
                        "--auth-root-authentication-method=normal", "--skip-test-db"],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.log = open(folder / "mariadb.log", "wb")
        self.process = subprocess.Popen(
            ["mariadbd", base[1], base[0], f"--datadir={data}", f"--socket={self.socket}", "--skip-networking",
             "--innodb-buffer-pool-size=16M", "--innodb-log-file-size=8M", "--innodb-flush-log-at-trx-commit=0"],
            stdout=self.log, stderr=self.log)
        wait_for("MariaDB", lambda: self.socket.exists())
        self.sql("CREATE DATABASE hub; CREATE USER hub@localhost IDENTIFIED BY 'hub'; GRANT ALL ON hub.* TO hub@localhost",
                 database="mysql")

    def sql(self, statements, database="hub"):
        done = subprocess.run(["mariadb", "--no-defaults", "-u", "root", "-S", self.socket, "-N", "-B", database],
                              input=statements, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Hub:
    """A hub with this plugin; its scripts are in `scripts`."""

    def __init__(self, prefix, plugin=None, folder=None, under=(), preload=None):
        self.prefix = pathlib.Path(prefix)
        # A program that the hub runs under, and a library that goes before its own.
        self.under, self.preload = under, preload
        self.root = pathlib.Path(folder or tempfile.mkdtemp(prefix="vhpy-"))
        self.folder = self.root / "hub"
        self.scripts = self.folder / "scripts"
        self.plugin = plugin
        self.port = free_port()
        self.process = None
        (self.folder / "plugins").mkdir(parents=True)
        self.scripts.mkdir()
        self.database = Database(self.root)
        self.configure()

    def configure(self):
        config = {**CONFIG, "listen_port": self.port}
        config |= {f"int_flood_{name}_{part}": 0 for name in FLOODS for part in ("period", "limit")}
        rows = [("config", name, value) for name, value in config.items()]
        values = ",".join(f"('{file}','{name}','{value}')" for file, name, value in rows)
        self.database.sql(SETUP + f"INSERT INTO SetupList VALUES {values}")
        for nick, rank in USERS.items():
            self.register(rank, [nick])
        (self.folder / "dbconfig").write_text("db_host = localhost\ndb_user = hub\ndb_pass = hub\ndb_data = hub\n")
        for name in ("motd", "rules", "faq"):
            (self.folder / name).write_text("")
        # As operators have it: Plugman is in the folder, and loads the others from its table.
        plugman = self.prefix / "lib/libplug_pi.so"
        (self.folder / "plugins" / plugman.name).symlink_to(plugman)
        if self.plugin:
            self.database.sql(f"INSERT INTO pi_plug (nick, path, autoload) VALUES ('python', '{self.plugin}', 1)")

    def register(self, rank, nicks):
        """Accounts in the database of a hub that does not run."""
        self.database.sql("INSERT INTO reglist (nick, class, reg_date, reg_op, pwd_change, pwd_crypt, login_pwd) VALUES "
                          + ",".join(self.account(nick, rank) for nick in nicks))

    @staticmethod
    def account(nick, rank):
        return f"('{nick}',{rank},0,'test',0,2,'{hashlib.md5((nick + 'pass').encode()).hexdigest()}')"

    def set(self, variable, value, file="config"):
        """Changes the configuration of a hub that does not run."""
        self.database.sql(f"REPLACE INTO SetupList VALUES ('{file}','{variable}','{value}')")

    def start(self):
        environment = {**os.environ, "MYSQL_UNIX_PORT": str(self.database.socket)}
        environment["LD_LIBRARY_PATH"] = f"{self.prefix}/lib:{environment.get('LD_LIBRARY_PATH', '')}"
        if self.preload:
            environment["LD_PRELOAD"] = str(self.preload)
        self.log = open(self.root / "hub.log", "ab")
        self.process = subprocess.Popen([*self.under, self.prefix / "bin/verlihub", "-d", self.folder], env=environment,
                                        stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        wait_for("the hub to listen", self.listens)

    def listens(self):
        assert self.process.poll() is None, f"the hub ended with {self.process.returncode}: {self.tail()}"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def tail(self):
        return (self.root / "hub.log").read_bytes()[-3000:].decode("utf-8", "replace")

    def logged(self, text):
        return text.encode() in (self.root / "hub.log").read_bytes()

    def client(self, nick, password=None, **more):
        return Client(self.port, nick, password or (nick + "pass" if nick in USERS else None), **more)

    def workers(self):
        """The processes of scripts: the hub's children."""
        children = f"/proc/{self.process.pid}/task"
        pids = set()
        for task in pathlib.Path(children).iterdir():
            try:
                pids |= {int(pid) for pid in (task / "children").read_text().split()}
            except OSError:
                pass
        return pids

    def wait(self):
        """Waits for the hub's end; its exit code."""
        return self.process.wait(LIMIT)

    def stop(self, number=signal.SIGQUIT):
        if self.process and self.process.poll() is None:
            self.process.send_signal(number)
            self.wait()

    def remove(self):
        self.stop(signal.SIGKILL)
        self.database.stop()
        shutil.rmtree(self.root, ignore_errors=True)


def is_alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def wait_for_end(pids):
    wait_for(f"the end of {sorted(pids)}", lambda: not any(map(is_alive, pids)))
