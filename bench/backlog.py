"""Fills a topic with more than fits into memory: backlog.py BROKERS TOPIC PASSES SEED FOLD LARGE LARGE_BYTES

The same changes PASSES times over: the rows that are left are those of one pass, whatever their number. After half of
the passes come LARGE messages of LARGE_BYTES each, which no row can be made of. Prints what it made as JSON.
"""

import json
import sys

from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic
from events import Orders, envelope

PARTITIONS = 200
PASS = 100_000  # messages; as many as are kept in memory while they are sent
HEADROOM = 1 << 20  # bytes a message may have beside its large value


def main(brokers: str, topic: str, passes: int, seed: int, fold_file: str, large: int, large_bytes: int) -> None:
    create(brokers, topic, large_bytes + HEADROOM)
    orders = Orders(seed)
    changes = [(key, None if value is None else value.encode()) for key, value in orders.messages(PASS)]
    sender = Sender(brokers, topic, large_bytes + HEADROOM)
    for number in range(passes):
        if number == passes // 2:
            for partition in range(large):
                sender.send(f'{{"id":{-partition}}}', oversized(large_bytes), partition)
        for key, value in changes:
            sender.send(key, value)
    sender.finish()
    with open(fold_file, "w", encoding="utf-8", newline="\n") as fold:
        fold.writelines(orders.fold())
    made = {"events": passes * PASS, "bytes": sender.bytes, "rows_left": len(orders.rows), "partitions": PARTITIONS}
    print(json.dumps(made | {"large": large, "large_bytes": large_bytes}))


def create(brokers: str, topic: str, largest: int) -> None:
    admin = AdminClient({"bootstrap.servers": brokers})
    wanted = NewTopic(topic, PARTITIONS, 1, config={"max.message.bytes": str(largest)})
    for created in admin.create_topics([wanted]).values():
        created.result(60)


def oversized(size: int) -> bytes:
    """A change whose note fills SIZE bytes."""
    frame = envelope("null", '{"id":-1,"note":""}', "c", 0, 0)
    return frame.replace('"note":""', f'"note":"{"x" * (size - len(frame))}"').encode()


class Sender:
    def __init__(self, brokers: str, topic: str, largest: int) -> None:
        self.topic, self.bytes, self.count, self.lost = topic, 0, 0, []
        self.producer = Producer({
            "bootstrap.servers": brokers,
            "compression.type": "lz4",
            "partitioner": "murmur2_random",
            "enable.idempotence": True,
            "linger.ms": 50,
            "log_level": 3,
            "message.max.bytes": largest,
            "queue.buffering.max.kbytes": 524288,
        })  # fmt: skip

    def send(self, key: str, value: bytes | None, partition: int = -1) -> None:
        while True:
            try:
                self.producer.produce(self.topic, value, key, partition, on_delivery=self.delivered)
                break
            except BufferError:  # the queue is full
                self.producer.poll(0.1)
        self.bytes, self.count = self.bytes + len(value or b""), self.count + 1
        if self.count % 1000 == 0:
            self.producer.poll(0)

    def delivered(self, error, _message) -> None:
        if error is not None:
            self.lost.append(str(error))

    def finish(self) -> None:
        if self.producer.flush(300) or self.lost:
            raise KafkaException(f"messages were not delivered: {self.lost[:1]}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5], int(sys.argv[6]), int(sys.argv[7]))
