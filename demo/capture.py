"""Runs ten days of flights through PostgreSQL and Debezium, and writes down what arrived in Kafka."""

import heapq
import json
import os
import time
import urllib.request
from itertools import groupby
from pathlib import Path

import psycopg
import zstandard
from confluent_kafka import Consumer, TopicPartition

import flights

HERE = Path(__file__).parent
DEADLINE = 120  # seconds for Debezium to catch up
DIMENSIONS = {
    "airlines": ["carrier", "name"],
    "airports": ["faa", "name", "lat", "lon", "alt", "tz", "tzone"],
    "planes": ["tailnum", "year", "type", "manufacturer", "model", "engines", "seats", "engine"],
}
TABLES = [*DIMENSIONS, "weather", "flights"]


def main():
    rows = flights.flights()
    moments = flights.timeline(rows)
    snapshot, live = moments[:1000], moments[1000:]  # the first day's schedule is there before Debezium comes
    with database("postgres") as server:
        server.execute("CREATE DATABASE nyc")
    with database("nyc") as nyc:
        nyc.execute((HERE / "source.sql").read_text())
        load_dimensions(nyc, rows)
        play(nyc, snapshot)
        register()
        wait(nyc)
        play(nyc, live)
        wait(nyc)
        expected = answers(nyc)
    messages = list(merged())
    write(messages)
    (HERE / "expected.json").write_text(json.dumps(expected | {"messages": count(messages)}, indent=1) + "\n")
    print(f"{len(messages)} messages, {count(messages)}")


def database(name):
    return psycopg.connect(host=os.environ["BULLION_POSTGRES_HOST"], port=os.environ["BULLION_POSTGRES_PORT"],
                           user="postgres", password=os.environ["BULLION_POSTGRES_PASSWORD"],
                           dbname=name, autocommit=True)


def load_dimensions(nyc, rows):
    used = {"carrier": {r["carrier"] for r in rows}, "tailnum": {r["tailnum"] for r in rows},
            "faa": {r["origin"] for r in rows} | {r["dest"] for r in rows}}
    for table, columns in DIMENSIONS.items():
        key = columns[0]
        for row in flights.read(table):
            if row[key] in used[key]:
                nyc.execute(*flights.insert(table, row, columns))


def play(nyc, moments):
    """One transaction per minute of the story."""
    for _, minute in groupby(moments, key=lambda moment: moment[0].timestamp() // 60):
        with nyc.transaction():
            for _, statement, parameters in minute:
                nyc.execute(statement, parameters)


def register():
    request = urllib.request.Request(os.environ["BULLION_CONNECT_URL"] + "/connectors",
                                     (HERE / "connector.json").read_bytes(), {"Content-Type": "application/json"})
    urllib.request.urlopen(request).close()


def wait(nyc):
    """Until Debezium has confirmed everything that is in the log now."""
    (target,) = nyc.execute("SELECT pg_current_wal_insert_lsn()").fetchone()
    end = time.monotonic() + DEADLINE
    while nyc.execute("SELECT 1 FROM pg_replication_slots WHERE slot_name = 'bullion_demo'"
                      " AND confirmed_flush_lsn >= %s", [target]).fetchone() is None:
        if time.monotonic() > end:
            raise SystemExit("Debezium did not catch up")
        time.sleep(0.5)


def answers(nyc):
    """What PostgreSQL itself says at the end; numerics as text, so that nothing is rounded on the way."""
    def ask(query):
        cursor = nyc.execute(query)
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row)) for row in cursor]

    return {
        "rows": {table: ask(f"SELECT count(*) AS n FROM {table}")[0]["n"] for table in TABLES},
        **{name: ask(query) for name, query in queries()},
    }


def queries():
    """`-- name` starts each query of answers.sql."""
    for part in (HERE / "answers.sql").read_text().split("\n-- ")[1:]:
        name, query = part.split("\n", 1)
        yield name.split(":")[0], query


def merged():
    """All messages, each partition in its own order, partitions interleaved by time."""
    consumer = Consumer({"bootstrap.servers": os.environ["BULLION_KAFKA_BROKERS"], "group.id": "demo-capture",
                         "enable.auto.commit": False, "enable.partition.eof": False})
    topics = {name: meta for name, meta in consumer.list_topics(timeout=10).topics.items()
              if name.startswith("nyc.") or name == "__debezium-heartbeat.nyc"}
    partitions = [read_partition(consumer, topic, partition)
                  for topic, meta in sorted(topics.items()) for partition in meta.partitions]
    yield from heapq.merge(*partitions, key=lambda message: message[0])
    consumer.close()


def read_partition(consumer, topic, partition):
    _, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
    consumer.assign([TopicPartition(topic, partition, 0)])
    messages, latest = [], 0
    while len(messages) < end:
        message = consumer.poll(10)
        if message is None or message.error():
            raise SystemExit(f"reading {topic} failed: {message and message.error()}")
        latest = max(latest, message.timestamp()[1])
        messages.append((latest, line(message)))
    return messages


def line(message):
    """One JSON line; key and value stand in it byte for byte, as JSON or null."""
    def text(raw):
        return "null" if raw is None else raw.decode()

    headers = {name: value.decode() for name, value in message.headers() or []}
    extra = f',"headers":{json.dumps(headers)}' if headers else ""
    return (f'{{"topic":"{message.topic()}","partition":{message.partition()},"timestamp":{message.timestamp()[1]}'
            f'{extra},"key":{text(message.key())},"value":{text(message.value())}}}\n')


def write(messages):
    # Level 19 keeps the window at 8 MB: a reader needs no more memory than that.
    packed = zstandard.ZstdCompressor(level=19, write_checksum=True).compress("".join(l for _, l in messages).encode())
    (HERE / "events.jsonl.zst").write_bytes(packed)


def count(messages):
    counts = {}
    for _, text in messages:
        topic = text.split('"', 4)[3]
        counts[topic] = counts.get(topic, 0) + 1
    return counts


if __name__ == "__main__":
    main()
