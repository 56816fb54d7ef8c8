"""confluent-kafka-python (librdkafka). GROUP_PROTOCOL chooses the kind of group."""
import os
import sys
import time

import confluent_kafka
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic

TOLD = os.environ
NAMES = {
    "bootstrap.servers": "BOOTSTRAP",
    "security.protocol": "SECURITY_PROTOCOL",
    "sasl.mechanism": "MECHANISM",
    "sasl.username": "USERNAME",
    "sasl.password": "PASSWORD",
    "sasl.kerberos.service.name": "SERVICE",
    "sasl.kerberos.principal": "PRINCIPAL",
    "sasl.kerberos.keytab": "KEYTAB",
    "ssl.ca.location": "CA",
    "ssl.certificate.location": "CERTIFICATE",
    "ssl.key.location": "KEY",
}
TOKEN_SECONDS = 3600


def settings():
    told = {name: TOLD[variable] for name, variable in NAMES.items() if TOLD.get(variable)}
    if "TOKEN" in TOLD:
        told["oauth_cb"] = lambda _: (TOLD["TOKEN"], time.time() + TOKEN_SECONDS)
    return told


def send(producer, topic, first, count):
    failed = []
    for number in range(first, first + count):
        told = lambda error, _: failed.append(error) if error else None
        producer.produce(topic, key=f"k{number}", value=str(number), on_delivery=told)
    left = producer.flush(30)
    assert not failed and left == 0, (failed, left)


def produce(topic, first, count):
    producer = Producer(settings() | {"enable.idempotence": True, "compression.type": "lz4"})
    send(producer, topic, int(first), int(count))


def consumer(group, **more):
    told = settings() | {"group.id": group, "auto.offset.reset": "earliest"}
    told["group.protocol"] = TOLD.get("GROUP_PROTOCOL", "classic")
    told["isolation.level"] = TOLD.get("ISOLATION", "read_committed")
    if told["group.protocol"] == "classic":
        told["session.timeout.ms"] = 6000
    return Consumer(told | more)


def member(topic, group):
    reader = consumer(group)
    reader.subscribe([topic])
    while True:
        message = reader.poll(0.5)
        if message is not None and not message.error():
            print(message.value().decode(), flush=True)


def transactional(name):
    producer = Producer(settings() | {"transactional.id": name})
    producer.init_transactions(30)
    return producer


def transact(topic, count):
    producer, count = transactional(topic), int(count)
    for turn in range(3):
        producer.begin_transaction()
        send(producer, topic, turn * count, count)
        if turn == 1:
            producer.abort_transaction(30)
        else:
            producer.commit_transaction(30)


def transform(source, target, group, end):
    reader, producer = consumer(group, **{"enable.auto.commit": False}), transactional(group)
    reader.subscribe([source])
    while True:
        messages = [it for it in reader.consume(50, 0.5) if not it.error()]
        if not messages:
            continue
        producer.begin_transaction()
        for message in messages:
            producer.produce(target, key=message.key(), value=message.value())
        read = reader.position(reader.assignment())
        producer.send_offsets_to_transaction(read, reader.consumer_group_metadata())
        producer.flush(30)
        if end == "abort":
            producer.abort_transaction(30)
            reader.close()
            return
        if end == "hang":
            print("open", flush=True)
            time.sleep(3600)
        producer.commit_transaction(30)


def version():
    print(f"{confluent_kafka.__version__}, librdkafka {confluent_kafka.libversion()[0]}")


def topic(name, partitions):
    client = AdminClient(settings())
    client.create_topics([NewTopic(name, int(partitions), 1)])[name].result(10)


def committed(group, topic):
    """How many records of a topic the group has behind it."""
    reader = Consumer(settings() | {"group.id": group})
    partitions = reader.list_topics(topic, 10).topics[topic].partitions
    told = reader.committed([TopicPartition(topic, it) for it in partitions], 10)
    print(sum(max(it.offset, 0) for it in told))
    reader.close()


def ends(topic):
    """How many records were ever put into a topic."""
    reader = Consumer(settings() | {"group.id": topic})
    partitions = reader.list_topics(topic, 10).topics[topic].partitions
    told = [reader.get_watermark_offsets(TopicPartition(topic, it), 10) for it in partitions]
    print(sum(end for _, end in told))
    reader.close()


def admin(topic):
    client = AdminClient(settings())
    client.create_topics([NewTopic(topic, 3, 1)])[topic].result(10)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    config = client.describe_configs([resource])[resource].result(10)
    assert config["cleanup.policy"].value == "delete"
    client.list_consumer_groups().result(10)
    client.delete_topics([topic])[topic].result(10)


VERBS = [produce, member, transact, transform, admin, version, topic, committed, ends]
if __name__ == "__main__":
    {verb.__name__: verb for verb in VERBS}[sys.argv[1]](*sys.argv[2:])
