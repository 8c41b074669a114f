"""Runs statements on SQLite as fast as it can, as the server has it: WAL, and each commit on disk.

Arguments: the file, `seed` or seconds, the number of the first row. Statements: a JSON list on standard input.
Prints how often a second all of them were run, each time for a row of its own.
"""

import hashlib
import json
import sqlite3
import sys
import time

path, how, first = sys.argv[1], sys.argv[2], int(sys.argv[3])
statements = json.load(sys.stdin)
database = sqlite3.connect(path, isolation_level=None, timeout=30)
database.execute("PRAGMA synchronous = FULL")
database.execute("PRAGMA foreign_keys = ON")
ROWS = 40_000
HOUR = 3_600_000_000


def row(n):
    mobile = f"+bench{n}"
    ids = {name: hashlib.md5(f"{name}{n}".encode()).digest() for name in ("user", "verification", "session", "other")}
    now = time.time_ns() // 1_000
    return ids | {"mobile": mobile, "hash": hashlib.sha256(mobile.encode()).digest(), "now": now, "later": now + HOUR}


if how == "seed":
    database.execute("BEGIN")
    for statement in statements:
        database.executemany(statement, map(row, range(first, first + ROWS)))
    database.execute("COMMIT")
    sys.exit()

started, n = time.monotonic(), first
while time.monotonic() < started + float(how):
    values = row(n % ROWS)
    for statement in statements:
        database.execute(statement, values).fetchall()
    n += 1
print((n - first) / (time.monotonic() - started))
