"""The bench's change events as Debezium's PostgreSQL connector writes them, and the fold over them.

A third are inserts, most others updates with the image before, the rest deletes, each followed by its tombstone. Keys
are updated and deleted as evenly as random numbers are, which is what helps a collapse per key least. The fold is made
from the values themselves, never from the JSON, and by no code of bullion's. The same seed always makes the same bytes.
"""

import datetime
import json
import random
from collections.abc import Iterator

INSERTS, DELETES = 1 / 3, 0.02  # shares of all events
STATUSES = ("new", "paid", "packed", "shipped", "returned")
CURRENCIES = ("EUR", "USD", "GBP", "JPY")
NOTES = (  # None is NULL; quotes, backslashes, line ends, tabs and letters beyond ASCII must survive
    None,
    None,
    "",
    "leave it with the neighbour",
    'please "ring" twice, the bell is quiet',
    "path C:\\orders\\today",
    "first line\nsecond line\ttabbed",
    "Grüße aus Köln, 東京 und \U0001f600",
)
# 2024-06-01T00:00:00Z, where the source's clock starts
EPOCH_US = 1_717_200_000_000_000
SOURCE_STEP_US = 731  # from one change to the next


class Orders:
    """The source's table while it changes."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.rows: dict[int, tuple[str, str]] = {}  # id → image as JSON, line of the fold
        self.live: list[int] = []
        self.last_id = 0

    def messages(self, count: int) -> Iterator[tuple[str, str | None]]:
        """Key and value of each message in order; a tombstone has no value."""
        made = 0
        while made < count:
            now_us = EPOCH_US + made * SOURCE_STEP_US
            op, key, before, after = self.change(now_us)
            yield f'{{"id":{key}}}', envelope(before, after, op, made, now_us)
            made += 1
            if op == "d" and made < count:
                yield f'{{"id":{key}}}', None
                made += 1

    def change(self, now_us: int) -> tuple[str, int, str, str]:
        draw = self.random.random()
        if draw < INSERTS or not self.live:
            self.last_id += 1
            self.live.append(self.last_id)
            op, key, before = "c", self.last_id, "null"
        else:
            place = self.random.randrange(len(self.live))
            key = self.live[place]
            op, before = "u", self.rows[key][0]
            if draw < INSERTS + DELETES:
                self.live[place] = self.live[-1]
                self.live.pop()
                del self.rows[key]
                return "d", key, before, "null"
        self.rows[key] = row(self.random, key, now_us)
        return op, key, before, self.rows[key][0]

    def fold(self) -> Iterator[str]:
        """The rows that are left, as ClickHouse's TabSeparated."""
        return (line for _, line in self.rows.values())


def row(rng: random.Random, key: int, now_us: int) -> tuple[str, str]:
    """One row's image as Debezium writes it, and as ClickHouse's TabSeparated."""
    bits = rng.getrandbits(62)
    customer, bits = bits % 50_000, bits // 50_000
    cents, bits = bits % 1_000_000, bits // 1_000_000
    status, currency = STATUSES[bits % 5], CURRENCIES[bits // 5 % 4]
    note, paid = NOTES[bits // 20 % 8], bits // 160 % 2 == 1
    weight = None if bits // 320 % 4 == 0 else (bits // 1280 % 400) / 8
    email = f"customer{customer}@example.org"
    created_us = EPOCH_US + key * 1_000_003 % 86_400_000_000
    day = created_us // 86_400_000_000
    note_json = "null" if note is None else ESCAPED[note][0]
    note_tsv = "\\N" if note is None else ESCAPED[note][1]
    created, amount = stamp(created_us), f"{cents // 100}.{cents % 100:02}"
    image = (
        f'{{"id":{key},"customer_id":{customer},"status":"{status}","amount":"{amount}","currency":"{currency}",'
        f'"note":{note_json},"email":"{email}","paid":{"true" if paid else "false"},'
        f'"weight":{"null" if weight is None else weight},"ordered_on":{day},"created_at":"{iso(created)}",'
        f'"updated_at":{now_us}}}'
    )
    line = "\t".join((
        str(key), str(customer), status, amount, currency, note_tsv, email, "true" if paid else "false",
        "\\N" if weight is None else repr(weight), created[:10], created, stamp(now_us),
    ))  # fmt: skip
    return image, line + "\n"


def envelope(before: str, after: str, op: str, number: int, now_us: int) -> str:
    now_ms, lsn = now_us // 1000, 24_023_128 + number * 184
    return (
        f'{{"before":{before},"after":{after},"source":{{"version":"3.7.0.Final","connector":"postgresql",'
        f'"name":"bench","ts_ms":{now_ms},"snapshot":"false","db":"bench","sequence":"[\\"{lsn - 96}\\",\\"{lsn}\\"]",'
        f'"ts_us":{now_us},"ts_ns":{now_us}000,"schema":"public","table":"orders","txId":{740 + number // 10},'
        f'"lsn":{lsn},"xmin":null}},"transaction":null,"op":"{op}","ts_ms":{now_ms + 312},'
        f'"ts_us":{now_us + 312_440},"ts_ns":{now_us + 312_440}117}}'
    )


SECONDS: dict[int, str] = {}


def stamp(micros: int) -> str:
    """2024-06-01 12:34:56.789000"""
    second = micros // 1_000_000
    text = SECONDS.get(second)
    if text is None:
        moment = datetime.datetime.fromtimestamp(second, datetime.timezone.utc)
        text = SECONDS[second] = moment.strftime("%Y-%m-%d %H:%M:%S")
    return f"{text}.{micros % 1_000_000:06}"


def iso(stamped: str) -> str:
    """As Java prints a timestamptz: no zeros at the end of the fraction, and no fraction of zero."""
    return stamped.replace(" ", "T").rstrip("0").rstrip(".") + "Z"


def tab_separated(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")


ESCAPED = {note: (json.dumps(note, ensure_ascii=False), tab_separated(note)) for note in NOTES if note is not None}
