#!/usr/bin/env python3
"""What silver must hold, told from the recorded change log alone; it shares no code with the product.

    fold.py FOLDER            the end: FOLDER/log.jsonl against silver.jsonl and letters.jsonl
    fold.py FOLDER --prefix   in mid-run: everything below committed.json is in versions.jsonl or letters.jsonl

log.jsonl       {"partition": 0, "offset": 7, "key": base64 or null, "value": base64 or null}
silver.jsonl    [id, note, amount]           letters.jsonl    [partition, offset]
versions.jsonl  [id, latest version]         committed.json   next offsets, by partition
Prints what differs, and exits 1 if anything does.
"""

import base64
import json
import sys
from decimal import Decimal
from pathlib import Path

EPOCH, REVISION_BITS, OFFSET_BITS = 1, 8, 48  # of the version: epoch, offset, revision
MOST_SHOWN = 10


def lines(folder, name):
    with open(Path(folder, name), encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def unpacked(text):
    return None if text is None else base64.b64decode(text)


def change(message):
    """(id, row), with row None for a delete; None for what cannot be told, which is a dead letter."""
    key, value = unpacked(message["key"]), unpacked(message["value"])
    try:
        from_key = None if key is None else json.loads(key)["id"]
        if value is None:
            return from_key, None
        body = json.loads(value)
        if body["op"] in ("c", "u", "r"):
            after = body["after"]
            return after["id"], (after["note"], Decimal(after["amount"]))
        if body["op"] == "d":
            before = body["before"]
            return (from_key if before is None else before["id"]), None
    except (ValueError, KeyError, TypeError):
        pass
    return None


def fold(log, below=lambda message: True):
    rows, latest, bad = {}, {}, set()
    for message in sorted(log, key=lambda message: (message["partition"], message["offset"])):
        if not below(message):
            continue
        place = (message["partition"], message["offset"])
        told = change(message)
        if told is None:
            bad.add(place)
            continue
        key, row = told
        if key in rows or message["value"] is not None:
            latest[key] = place  # else the tombstone of a row that is gone already: nothing has to be written for it
        if row is None:
            rows.pop(key, None)
        else:
            rows[key] = row
    return rows, latest, bad


def differences(folder):
    rows, _, bad = fold(lines(folder, "log.jsonl"))
    silver = {row[0]: (row[1], Decimal(row[2])) for row in lines(folder, "silver.jsonl")}
    if len(silver) != len(lines(folder, "silver.jsonl")):
        yield "a key is in silver twice"
    for key in sorted(rows.keys() | silver.keys()):
        if rows.get(key) != silver.get(key):
            yield f"id {key}: the log says {rows.get(key)}, silver {silver.get(key)}"
    yield from letters_missing(folder, bad)
    for place in sorted({tuple(letter) for letter in lines(folder, "letters.jsonl")} - bad):
        yield f"a dead letter that is none: partition and offset {place}"


def letters_missing(folder, bad):
    found = {tuple(letter) for letter in lines(folder, "letters.jsonl")}
    for place in sorted(bad - found):
        yield f"no dead letter of partition and offset {place}"


def prefix_differences(folder):
    committed = json.loads(Path(folder, "committed.json").read_text())
    _, latest, bad = fold(
        lines(folder, "log.jsonl"), lambda message: message["offset"] < committed[message["partition"]]
    )
    versions = dict(lines(folder, "versions.jsonl"))
    for key, (partition, offset) in sorted(latest.items()):
        needed = EPOCH << (OFFSET_BITS + REVISION_BITS) | offset << REVISION_BITS
        if versions.get(key, 0) < needed:
            yield f"id {key}: offset {offset} of partition {partition} is committed and not in silver"
    yield from letters_missing(folder, bad)


def main(folder, *mode):
    found = list(prefix_differences(folder) if mode == ("--prefix",) else differences(folder))
    for difference in found[:MOST_SHOWN]:
        print(difference)
    if len(found) > MOST_SHOWN:
        print(f"and {len(found) - MOST_SHOWN} more")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
