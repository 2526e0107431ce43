"""The whole bench: fill the topic, let the contenders run by turns, print the table and keep the figures.

main.py BINARY BROKERS FOLDER EVENTS ROUNDS SEED RESULTS
"""

import dataclasses
import datetime
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

from contest import PEER, Contest, Run, WrongAnswer, bullion, kafka_engine
from machine import commit, machine

HERE = Path(__file__).resolve().parent
TOPIC = "bench.public.orders"
MIB = 1 << 20


def main(binary: str, brokers: str, folder: Path, events: int, rounds: int, seed: int, results: Path) -> None:
    contest = Contest(binary, brokers, TOPIC, events, folder / "fold.tsv", folder)
    say(f"filling {TOPIC} with {events} messages")
    topic = fill(contest, seed)
    ours: list[Run] = []
    peers: list[Run] = []
    load = os.getloadavg()[0]
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}: bullion ingest")
        ours.append(bullion(contest, number))
        say(f"round {number + 1} of {rounds}: the Kafka engine")
        peers.append(kafka_engine(contest, number))
    ratios = [peer.cpu_s / our.cpu_s for our, peer in zip(ours, peers, strict=True)]
    print(table(events, ours, peers, ratios))
    keep(results, {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": machine() | {"load_at_start": round(load, 1)},
        "topic": topic | {"seed": seed},
        "peer_settings": PEER,
        "bullion": [dataclasses.asdict(run) for run in ours],
        "kafka_engine": [dataclasses.asdict(run) for run in peers],
        "ratio": [round(ratio, 2) for ratio in ratios],
    })  # fmt: skip
    say(f"appended to {results}")


def fill(contest: Contest, seed: int) -> dict[str, int]:
    command = [sys.executable, HERE / "produce.py", contest.brokers, TOPIC, str(contest.events), str(seed), contest.fold]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def table(events: int, ours: list[Run], peers: list[Run], ratios: list[float]) -> str:
    lines = [
        f"{events} events; both tables equal the fold: {ours[0].checksum}",
        f"{'median of ' + str(len(ours)):<34}{'bullion':>12}{'Kafka engine':>14}",
    ]

    def line(name: str, figure) -> None:
        ours_at, peers_at = (median(figure(run) for run in runs) for runs in (ours, peers))
        lines.append(f"{name:<34}{ours_at:>12,.2f}{peers_at:>14,.2f}")

    line("events per CPU-second, thousands", lambda run: events / run.cpu_s / 1e3)
    line("CPU of an event, µs", lambda run: run.cpu_s / events * 1e6)
    line("  of it in ingest", lambda run: run.ingest_cpu_s / events * 1e6)
    line("  of it in ClickHouse", lambda run: run.engine_cpu_s / events * 1e6)
    line("merges after the drain, CPU-s", lambda run: run.settle_cpu_s)
    line("drained after, s", lambda run: run.wall_s)
    line("peak memory of ingest, MiB", lambda run: run.ingest_peak_bytes / MIB)
    line("peak memory of ClickHouse, MiB", lambda run: run.engine_peak_bytes / MIB)
    each = ", ".join(f"{ratio:.2f}" for ratio in ratios)
    lines.append(f"events per CPU-second, bullion : Kafka engine = {median(ratios):.2f} (by round: {each})")
    return "\n".join(lines)


def keep(results: Path, figures: dict) -> None:
    results.parent.mkdir(parents=True, exist_ok=True)
    with results.open("a") as file:
        file.write(json.dumps(figures) + "\n")


def say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    binary, brokers, folder, events, rounds, seed, results = sys.argv[1:]
    try:
        main(binary, brokers, Path(folder), int(events), int(rounds), int(seed), Path(results))
    except WrongAnswer as wrong:
        sys.exit(f"bench: no figures, the answer is wrong: {wrong}")
    except (RuntimeError, subprocess.CalledProcessError) as failed:
        sys.exit(f"bench: {failed}")
