"""kafka-python."""
import os
import sys
import time

import kafka
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, OffsetAndMetadata
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic
from kafka.net.sasl.oauth import AbstractTokenProvider

TOLD = os.environ
NAMES = {
    "bootstrap_servers": "BOOTSTRAP",
    "security_protocol": "SECURITY_PROTOCOL",
    "sasl_mechanism": "MECHANISM",
    "sasl_plain_username": "USERNAME",
    "sasl_plain_password": "PASSWORD",
    # Its tickets are the library's, by KRB5_CLIENT_KTNAME.
    "sasl_kerberos_service_name": "SERVICE",
    "ssl_cafile": "CA",
    "ssl_certfile": "CERTIFICATE",
    "ssl_keyfile": "KEY",
}


class Token(AbstractTokenProvider):
    def token(self):
        return TOLD["TOKEN"]


def settings():
    told = {name: TOLD[variable] for name, variable in NAMES.items() if TOLD.get(variable)}
    if "TOKEN" in TOLD:
        told["sasl_oauth_token_provider"] = Token()
    return told


def send(producer, topic, first, count):
    sent = [
        producer.send(topic, key=b"k%d" % number, value=b"%d" % number)
        for number in range(first, first + count)
    ]
    producer.flush(30)
    for one in sent:
        one.get(10)


def produce(topic, first, count):
    send(KafkaProducer(**settings()), topic, int(first), int(count))


def consumer(topic, group, **more):
    return KafkaConsumer(
        topic, group_id=group, auto_offset_reset="earliest", session_timeout_ms=6000,
        isolation_level=TOLD.get("ISOLATION", "read_uncommitted"), **settings(), **more
    )


def member(topic, group):
    for message in consumer(topic, group):
        print(message.value.decode(), flush=True)


def transactional(name):
    producer = KafkaProducer(transactional_id=name, **settings())
    producer.init_transactions()
    return producer


def transact(topic, count):
    producer, count = transactional(topic), int(count)
    for turn in range(3):
        producer.begin_transaction()
        send(producer, topic, turn * count, count)
        if turn == 1:
            producer.abort_transaction()
        else:
            producer.commit_transaction()


def transform(source, target, group, end):
    reader, producer = consumer(source, group, enable_auto_commit=False), transactional(group)
    while True:
        batches = reader.poll(500, max_records=50)
        if not batches:
            continue
        producer.begin_transaction()
        read = {}
        for partition, messages in batches.items():
            for message in messages:
                producer.send(target, key=message.key, value=message.value)
            read[partition] = OffsetAndMetadata(messages[-1].offset + 1, "", -1)
        producer.send_offsets_to_transaction(read, reader.group_metadata())
        producer.flush(30)
        if end == "abort":
            producer.abort_transaction()
            reader.close(autocommit=False)
            return
        if end == "hang":
            print("open", flush=True)
            time.sleep(3600)
        producer.commit_transaction()


def version():
    print(kafka.__version__)


def admin(topic):
    client = KafkaAdminClient(**settings())
    client.create_topics([NewTopic(topic, num_partitions=3, replication_factor=1)])
    client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    client.delete_topics([topic])


VERBS = [produce, member, transact, transform, admin, version]
if __name__ == "__main__":
    {verb.__name__: verb for verb in VERBS}[sys.argv[1]](*sys.argv[2:])
