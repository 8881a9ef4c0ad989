"""Real rows: TPC-H's ``lineitem``, from the generator that the Python package tpchgen-cli brings."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from bench.tables import MARK
from runtime.errors import BadInput

if TYPE_CHECKING:
    import psycopg

#: Rows at scale factor 1.
_ROWS_AT_1 = 6_001_215
#: Lines that are handed to COPY at a time.
_LINES = 5_000

CREATE = """
CREATE TABLE lineitem (
    l_orderkey bigint NOT NULL,
    l_partkey bigint NOT NULL,
    l_suppkey bigint NOT NULL,
    l_linenumber int NOT NULL,
    l_quantity numeric(15,2) NOT NULL,
    l_extendedprice numeric(15,2) NOT NULL,
    l_discount numeric(15,2) NOT NULL,
    l_tax numeric(15,2) NOT NULL,
    l_returnflag varchar(1) NOT NULL,
    l_linestatus varchar(1) NOT NULL,
    l_shipdate date NOT NULL,
    l_commitdate date NOT NULL,
    l_receiptdate date NOT NULL,
    l_shipinstruct varchar(25) NOT NULL,
    l_shipmode varchar(10) NOT NULL,
    l_comment varchar(44) NOT NULL,
    PRIMARY KEY (l_orderkey, l_linenumber)
)"""


class Lineitem:
    """The first rows of the generated table."""

    name = "lineitem"
    mark = f"l_orderkey = {MARK}"

    def create(self, connection: psycopg.Connection, rows: int) -> None:
        """Make it with the first ``rows`` rows that the generator gives, statistics included.

        Raises:
            BadInput: the generator is not installed.
        """
        connection.execute(CREATE)
        # The number of lines of an order is random: a little more than asked for is generated.
        scale = math.ceil(rows / _ROWS_AT_1 * 1_020) / 1_000
        command = [_program(), "csv", "--scale-factor", str(scale), "--tables", self.name, "--stdout"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as run:
            assert run.stdout is not None
            query = f"COPY {self.name} FROM STDIN (FORMAT csv, HEADER)"
            with connection.cursor().copy(query) as copy:
                lines = islice(run.stdout, rows + 1)  # and the header
                while piece := b"".join(islice(lines, _LINES)):
                    copy.write(piece)
            run.kill()
        connection.execute(f"VACUUM ANALYZE {self.name}")

    def insert(self, connection: psycopg.Connection, first: int, last: int) -> None:
        """Insert orders of one line with the keys ``first``..``last``."""
        connection.execute(
            f"INSERT INTO {self.name} SELECT id, 1, 1, 1, 1, 1, 0, 0, 'N', 'O', '1998-01-01', '1998-01-01', "
            f"'1998-01-01', 'NONE', 'MAIL', 'the last one' FROM generate_series({first}::bigint, {last}) id"
        )


def _program() -> str:
    program = shutil.which("tpchgen-cli", path=str(Path(sys.executable).parent)) or shutil.which("tpchgen-cli")
    if program is None:
        raise BadInput("TPC-H's generator is not installed", "tpchgen-cli", "pip install 'ferryman[bench]'")
    return program
