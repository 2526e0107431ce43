"""Silver tables of a known history, made by ClickHouse itself, and what gold has to be over them, by arithmetic alone.

Thirty days of orders. Order n is placed n thirtieths of the way; each twentieth is changed later, each thousandth deleted.
A key is serial (it follows time) or random. Nothing here uses FINAL: what is right is summed from the rule, not from the table.
"""

import time
from pathlib import Path

from engine import Engine

DAYS = 30
FIRST_DAY = "2025-01-01"
# Rows of one INSERT: the parts that merges begin with.
BLOCK = 2_000_000
# How long merges may go on after the last INSERT, in seconds.
SETTLE = 900

CHANGED, DELETED = "(n % 20 = 0)", "(n % 1000 = 0)"
KEYS = {
    "serial": "toInt64(n)",
    # 63 bits of a hash: as good as a random UUID
    "random": "toInt64(bitShiftRight(sipHash64(n), 1))",
}
ORDERS = """
topic = "bench.public.orders"
time_column = "placed_at"
{key}
[columns]
id = "Int64"
placed_at = "DateTime64(3, 'UTC')"
customer_id = "Int32"
status = "LowCardinality(String)"
amount = "Decimal(12, 2)"
note = "String"
"""


def declare(folder: Path, partitioned: bool) -> None:
    path = folder / "jobs" / "silver" / "orders.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    # partitions want the time in the key
    key = 'key = ["id", "placed_at"]\npartition_by = "day"\n' if partitioned else 'key = ["id"]\n'
    path.write_text(ORDERS.format(key=key))


def amount(revision: str) -> str:
    return f"toDecimal64((n * 7919) % 100000 / 100, 2) + {revision}"


def placed_at(rows: int) -> str:
    spacing = DAYS * 86_400_000
    return f"fromUnixTimestamp64Milli(toInt64(toUnixTimestamp('{FIRST_DAY} 00:00:00', 'UTC')) * 1000 + toInt64(intDiv(n * {spacing}, {rows})), 'UTC')"


def insert(engine: Engine, rows: int, key: str, numbers: str, where: str, offset: str, revision: str, deleted: str) -> None:
    engine.ask(f"""
        INSERT INTO silver.orders_versions (id, placed_at, customer_id, status, amount, note, _version, _deleted, _topic, _partition)
        SELECT {KEYS[key]}, {placed_at(rows)}, toInt32(n % 100003), ['new', 'paid', 'sent', 'done', 'back'][n % 5 + 1],
            {amount(revision)}, concat('note of order ', toString(n)),
            bitShiftLeft(toUInt64(1), 56) + bitShiftLeft(toUInt64({offset}), 8), {deleted}, 'bench.public.orders', 0
        FROM (SELECT number AS n FROM {numbers}) WHERE {where}
        SETTINGS max_partitions_per_insert_block = 0, max_insert_threads = 1, optimize_on_insert = 0""")


def fill(engine: Engine, rows: int, key: str) -> None:
    """Orders in the order of time, then their changes, then the deletes; each later version wins."""
    for begin in range(0, rows, BLOCK):
        numbers = f"numbers({begin}, {min(BLOCK, rows - begin)})"
        insert(engine, rows, key, numbers, "1", "n", "0", "0")
    whole = f"numbers({rows})"
    insert(engine, rows, key, whole, CHANGED, f"n + {rows}", "1", "0")
    insert(engine, rows, key, whole, DELETED, f"n + {2 * rows}", "1", "1")
    until = time.monotonic() + SETTLE
    quiet = 0
    while quiet < 8 and time.monotonic() < until:
        quiet = quiet + 1 if engine.ask("SELECT count() FROM system.merges") == "0" else 0
        time.sleep(0.25)


def touch(engine: Engine, rows: int, key: str, day: int) -> None:
    """A few late changes to one day."""
    first, last = day * rows // DAYS + 1, (day + 1) * rows // DAYS - 1
    numbers = f"numbers({first}, {last - first})"
    insert(engine, rows, key, numbers, touched(), f"n + {3 * rows}", "2", "0")


def touched() -> str:
    # what is deleted stays deleted
    return f"n % 3333 = 1 AND NOT {DELETED}"


def right(engine: Engine, rows: int, touched_day: int | None = None) -> str:
    """Rows, orders and money of gold, from the rule alone."""
    revision = f"if({CHANGED}, 1, 0)"
    if touched_day is not None:
        first, last = touched_day * rows // DAYS + 1, (touched_day + 1) * rows // DAYS - 1
        revision = f"if(n >= {first} AND n < {last} AND {touched()}, 2, {revision})"
    return engine.ask(f"""
        SELECT count(), sum(orders), sum(money) FROM (
            SELECT toDate({placed_at(rows)}) AS day, n % 100003 % 100 AS shard, count() AS orders, sum({amount(revision)}) AS money
            FROM (SELECT number AS n FROM numbers({rows})) WHERE NOT {DELETED} GROUP BY day, shard)""")
