"""confluent-kafka-python (librdkafka). GROUP_PROTOCOL chooses the kind of group."""
import os
import sys

from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic

SETTINGS = {
    "bootstrap.servers": os.environ["BOOTSTRAP"],
    "security.protocol": os.environ["SECURITY_PROTOCOL"],
    "sasl.mechanism": os.environ["MECHANISM"],
    "sasl.username": os.environ["USERNAME"],
    "sasl.password": os.environ["PASSWORD"],
}


def produce(topic, first, count):
    producer = Producer(SETTINGS | {"enable.idempotence": True, "compression.type": "lz4"})
    failed = []
    for number in range(int(first), int(first) + int(count)):
        told = lambda error, _: failed.append(error) if error else None
        producer.produce(topic, key=f"k{number}", value=str(number), on_delivery=told)
    left = producer.flush(30)
    assert not failed and left == 0, (failed, left)


def member(topic, group):
    settings = SETTINGS | {"group.id": group, "auto.offset.reset": "earliest"}
    settings["group.protocol"] = os.environ.get("GROUP_PROTOCOL", "classic")
    if settings["group.protocol"] == "classic":
        settings["session.timeout.ms"] = 6000
    consumer = Consumer(settings)
    consumer.subscribe([topic])
    while True:
        message = consumer.poll(0.5)
        if message is not None and not message.error():
            print(message.value().decode(), flush=True)


def topic(name, partitions):
    client = AdminClient(SETTINGS)
    client.create_topics([NewTopic(name, int(partitions), 1)])[name].result(10)


def admin(topic):
    client = AdminClient(SETTINGS)
    client.create_topics([NewTopic(topic, 3, 1)])[topic].result(10)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    config = client.describe_configs([resource])[resource].result(10)
    assert config["cleanup.policy"].value == "delete"
    client.list_consumer_groups().result(10)
    client.delete_topics([topic])[topic].result(10)


if __name__ == "__main__":
    {"produce": produce, "member": member, "admin": admin, "topic": topic}[sys.argv[1]](*sys.argv[2:])
