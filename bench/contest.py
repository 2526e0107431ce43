"""One run of each contender over the same topic, each on a fresh engine; nothing is told before the fold agrees."""

import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition
from engine import USER, Engine

HERE = Path(__file__).resolve().parent
JOBS = HERE / "jobs"
TABLE, VIEW = "silver.orders_versions", "silver.orders"
COLUMNS = (
    "id, customer_id, status, amount, currency, note, email, paid, weight, ordered_on, created_at, updated_at"  # of the fold
)
DRAIN_DEADLINE = 120  # seconds
# The Kafka engine's best for this topic among those tried: messages of a block and of a poll, and how long a block waits.
PEER = {"block": 200_000, "poll": 65_505, "flush_ms": 2_000}


class WrongAnswer(Exception):
    """A contender's table is not what the fold says: it has no figures."""


@dataclass
class Contest:
    binary: str
    brokers: str
    topic: str
    events: int
    fold: Path
    folder: Path


@dataclass
class Run:
    """What one contender needed, from its start until the topic was drained."""

    wall_s: float
    ingest_cpu_s: float
    engine_cpu_s: float
    # CPU of the engine after the drain, until its merges were done
    settle_cpu_s: float
    ingest_peak_bytes: int
    engine_peak_bytes: int
    checksum: str

    @property
    def cpu_s(self) -> float:
        return self.ingest_cpu_s + self.engine_cpu_s


def bullion(contest: Contest, number: int, check: Callable[[Engine], None] = lambda _: None) -> Run:
    """`bullion ingest --until-caught-up` and its engine; `check` looks at more of the answer than silver's rows."""
    folder = contest.folder / f"bullion-{number}"
    with Engine(contest.binary, folder) as engine:
        environment = settings(contest, engine, f"bench-bullion-{number}")
        migrate(contest, environment, folder)
        before, began = engine.cpu(), time.monotonic()
        with (folder / "ingest.log").open("w") as log:
            process = subprocess.Popen(
                [contest.binary, "ingest", "--until-caught-up"], cwd=folder, env=environment, stdout=log, stderr=log
            )
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        wall, spent = time.monotonic() - began, engine.cpu() - before
        if process.returncode != 0:
            raise RuntimeError(f"ingest ended with {process.returncode}; see {folder}/ingest.log")
        check(engine)
        return finish(contest, engine, wall, (used.ru_utime + used.ru_stime, spent), used.ru_maxrss * 1024)


def kafka_engine(contest: Contest, number: int, choices: dict[str, object] = PEER) -> Run:
    """ClickHouse's own Kafka engine with a materialized view into the same table."""
    folder, group = contest.folder / f"peer-{number}", f"bench-peer-{number}"
    with Engine(contest.binary, folder) as engine:
        migrate(contest, settings(contest, engine, group), folder)
        ends = end_offsets(contest)
        script = (HERE / "peer.sql").read_text()
        for name, value in {"brokers": contest.brokers, "topic": contest.topic, "group": group, **choices}.items():
            script = script.replace("{" + name + "}", str(value))
        before, began = engine.cpu(), time.monotonic()
        for statement in script.split(";\n"):
            engine.ask(statement)
        # offsets are committed after the view's table has the rows: no query burdens the engine meanwhile
        wait_for_group(contest, group, ends)
        wall, spent = time.monotonic() - began, engine.cpu() - before
        engine.ask("DETACH TABLE peer.orders_topic")
        return finish(contest, engine, wall, (0.0, spent), 0)


def finish(contest: Contest, engine: Engine, wall: float, cpu: tuple[float, float], ingest_peak: int) -> Run:
    memory, drained = engine.memory(), engine.cpu()
    engine.settle()
    settled = engine.cpu() - drained
    checksum = verify(contest, engine)
    return Run(wall, *cpu, settled, ingest_peak, memory, checksum)


def verify(contest: Contest, engine: Engine) -> str:
    """Both sides are summed by the same engine and expression; equal text or no figures."""
    engine.ask(f"CREATE TABLE silver.fold ENGINE = MergeTree ORDER BY id AS SELECT {COLUMNS} FROM {VIEW} WHERE 0")
    engine.ask("INSERT INTO silver.fold FORMAT TabSeparated", contest.fold.read_bytes())

    def checksum(table: str) -> str:
        # as text, because a hash of NULL is NULL
        return engine.ask(f"SELECT count(), sum(cityHash64(toString(tuple({COLUMNS})))) FROM {table}").replace("\t", " rows, ")

    found, wanted = checksum(VIEW), checksum("silver.fold")
    if found != wanted:
        sample = engine.ask(
            f"SELECT * FROM (SELECT {COLUMNS} FROM {VIEW} EXCEPT SELECT {COLUMNS} FROM silver.fold) ORDER BY id LIMIT 3"
        )
        raise WrongAnswer(f"{VIEW} has {found}; the fold has {wanted}; for example\n{sample}")
    return found


def settings(contest: Contest, engine: Engine, group: str) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("BULLION_")}
    return own | {
        "BULLION_JOBS": str(JOBS),
        "BULLION_KAFKA_BROKERS": contest.brokers,
        "BULLION_KAFKA_GROUP": group,
        "BULLION_CLICKHOUSE_URL": engine.url,
        "BULLION_CLICKHOUSE_USER": USER,
        "BULLION_CLICKHOUSE_PASSWORD": engine.password,
    }


def migrate(contest: Contest, environment: dict[str, str], folder: Path) -> None:
    with (folder / "migrate.log").open("w") as log:
        subprocess.run([contest.binary, "migrate"], cwd=folder, env=environment, stdout=log, stderr=log, check=True)


def consumer(contest: Contest, group: str) -> Consumer:
    return Consumer({"bootstrap.servers": contest.brokers, "group.id": group, "enable.auto.commit": False})


def end_offsets(contest: Contest) -> dict[int, int]:
    looking = consumer(contest, "bench-ends")
    partitions = looking.list_topics(contest.topic, 30).topics[contest.topic].partitions
    ends = {p: looking.get_watermark_offsets(TopicPartition(contest.topic, p), 30)[1] for p in partitions}
    looking.close()
    if sum(ends.values()) != contest.events:
        raise RuntimeError(f"the topic holds {sum(ends.values())} messages, not {contest.events}")
    return ends


def wait_for_group(contest: Contest, group: str, ends: dict[int, int]) -> None:
    looking = consumer(contest, group)
    until = time.monotonic() + DRAIN_DEADLINE
    while True:
        reached = looking.committed([TopicPartition(contest.topic, p) for p in ends], 30)
        if all(at.offset >= ends[at.partition] for at in reached):
            break
        if time.monotonic() > until:
            raise RuntimeError(f"the Kafka engine was not done within {DRAIN_DEADLINE} s")
        time.sleep(0.1)
    looking.close()
