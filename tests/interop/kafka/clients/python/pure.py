"""kafka-python."""
import os
import sys

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic

SETTINGS = {
    "bootstrap_servers": os.environ["BOOTSTRAP"],
    "security_protocol": os.environ["SECURITY_PROTOCOL"],
    "sasl_mechanism": os.environ["MECHANISM"],
    "sasl_plain_username": os.environ["USERNAME"],
    "sasl_plain_password": os.environ["PASSWORD"],
}


def produce(topic, first, count):
    producer = KafkaProducer(**SETTINGS)
    sent = [
        producer.send(topic, key=b"k%d" % number, value=b"%d" % number)
        for number in range(int(first), int(first) + int(count))
    ]
    producer.flush(30)
    for one in sent:
        one.get(10)


def member(topic, group):
    consumer = KafkaConsumer(
        topic, group_id=group, auto_offset_reset="earliest", session_timeout_ms=6000, **SETTINGS
    )
    for message in consumer:
        print(message.value.decode(), flush=True)


def admin(topic):
    client = KafkaAdminClient(**SETTINGS)
    client.create_topics([NewTopic(topic, num_partitions=3, replication_factor=1)])
    client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    client.delete_topics([topic])


if __name__ == "__main__":
    {"produce": produce, "member": member, "admin": admin}[sys.argv[1]](*sys.argv[2:])
