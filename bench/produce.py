"""Fills the bench's topic and writes the fold: produce.py BROKERS TOPIC EVENTS SEED FOLD

Prints the messages' number and bytes as JSON.
"""

import json
import sys

from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic
from events import Orders

PARTITIONS = 8


def main(brokers: str, topic: str, events: int, seed: int, fold_file: str) -> None:
    admin = AdminClient({"bootstrap.servers": brokers})
    for created in admin.create_topics([NewTopic(topic, PARTITIONS, 1)]).values():
        created.result(30)
    producer = Producer({
        "bootstrap.servers": brokers,
        "compression.type": "lz4",
        "partitioner": "murmur2_random",  # a key goes where Kafka's Java clients, Debezium among them, would send it
        "enable.idempotence": True,  # the order of one key survives a resend
        "linger.ms": 20,
        "log_level": 3,  # a fresh broker answers "not yet" once, and is asked again
        "batch.size": 65536,  # what people give Kafka Connect's producers
        "queue.buffering.max.kbytes": 262144,
    })  # fmt: skip
    lost: list[str] = []

    def delivered(error, _message) -> None:
        if error is not None:
            lost.append(str(error))

    orders, count, size = Orders(seed), 0, 0
    for key, value in orders.messages(events):
        body = None if value is None else value.encode()
        while True:
            try:
                producer.produce(topic, body, key, on_delivery=delivered)
                break
            except BufferError:  # the queue is full
                producer.poll(0.1)
        count, size = count + 1, size + len(body or b"")
        if count % 1000 == 0:
            producer.poll(0)
    if producer.flush(120) or lost:
        raise KafkaException(f"messages were not delivered: {lost[:1]}")
    with open(fold_file, "w", encoding="utf-8", newline="\n") as fold:
        fold.writelines(orders.fold())
    print(json.dumps({"events": count, "bytes": size, "rows_left": len(orders.rows), "partitions": PARTITIONS}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
