"""Two real servers of one kind behind an address that can be moved: one has the data, the other one replicates it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from operate.local import ports
from operate.local.mysql_server import SETTINGS
from operate.local.stack import SERVERS
from runtime import mysql, mysql_url
from tests.support.daemons_pipeline import until
from tests.support.proxy import Proxy

if TYPE_CHECKING:
    from pathlib import Path

    from operate.local.mysql_server import MySQLServer

USER, PASSWORD = "mover", "secret"
DATABASE = "shop"
#: What a replica is told, by kind of server: where its source is, and how far it has come.
_CHANGE = {
    "mysql": "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = {port}, SOURCE_USER = '{user}', "
    "SOURCE_PASSWORD = '{password}', SOURCE_AUTO_POSITION = 1, GET_SOURCE_PUBLIC_KEY = 1, SOURCE_CONNECT_RETRY = 1",
    "mariadb": "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {port}, MASTER_USER = '{user}', "
    "MASTER_PASSWORD = '{password}', MASTER_USE_GTID = slave_pos, MASTER_SSL = 0, MASTER_CONNECT_RETRY = 1",
}
_EXECUTED = {"mysql": "SELECT @@global.gtid_executed", "mariadb": "SELECT @@global.gtid_current_pos"}


class Site:
    """``url`` leads through ``proxy`` to the server that is in charge, ``direct`` straight to it."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.kind = kind
        self.servers = [self._made(folder / str(number), number) for number in (1, 2)]
        self.servers[0].start()
        self._run(0, f"CREATE DATABASE {DATABASE}", *self._user())
        self.proxy = Proxy(ports.free_port(), self.servers[0].port)
        self.current = 0

    def _made(self, folder: Path, number: int) -> MySQLServer:
        settings = {**SETTINGS, "server-id": str(number), "log-slave-updates": "ON"}
        return SERVERS[self.kind](folder, settings=settings)  # type: ignore[call-arg]

    @staticmethod
    def _user() -> list[str]:
        who = f"'{USER}'@'127.0.0.1'"
        return [f"CREATE USER {who} IDENTIFIED BY '{PASSWORD}'", f"GRANT ALL PRIVILEGES ON *.* TO {who}"]

    @property
    def url(self) -> str:
        return self._url(self.proxy.port)

    @property
    def direct(self) -> str:
        return self._url(self.servers[self.current].port)

    @staticmethod
    def _url(port: int) -> str:
        return mysql_url.make(host=ports.HOST, port=port, user=USER, password=PASSWORD, database=DATABASE)

    def replicate(self) -> None:
        """Start the second server, which fetches everything that the first one has, and goes on with it."""
        self.servers[1].start()
        change = _CHANGE[self.kind].format(port=self.servers[0].port, user=USER, password=PASSWORD)
        self._run(1, change, "START REPLICA")

    def part(self) -> None:
        """Wait until the second server has everything, and end its replication."""
        goal = self._executed(0)
        until(lambda: self._executed(1) == goal, "the replica has everything")
        self._run(1, "STOP REPLICA")

    def move(self, to: int) -> None:
        """Let the address lead to another server; whoever is connected is cut off."""
        self.proxy.sever()
        self.proxy.lead_to(self.servers[to].port)
        self.current = to
        self.proxy.heal()

    def restart(self) -> None:
        """Kill the server in charge, and start it again."""
        server = self.servers[self.current]
        server.kill()
        server.start()

    def close(self) -> None:
        self.proxy.close()
        for server in self.servers:
            if server.folder.exists():
                server.remove()

    def _executed(self, number: int) -> str:
        return str(self._run(number, _EXECUTED[self.kind])[0][0])

    def _run(self, number: int, *statements: str) -> Any:
        address = self.servers[number].address
        with mysql.connect(address, program_name="test") as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall()
