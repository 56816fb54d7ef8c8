// Fills a cluster with what a copy has to keep, and adds to it: `java -cp ... Fill.java VERB BROKERS [PROPERTIES]`.

import java.nio.file.*;
import java.util.*;
import java.util.concurrent.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.acl.*;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.resource.*;
import org.apache.kafka.common.serialization.*;

public class Fill {
    static final String[] CODECS = {"none", "gzip", "snappy", "lz4", "zstd"};
    static Properties base = new Properties();

    public static void main(String[] arguments) throws Exception {
        if (arguments.length > 2) {
            try (var reader = Files.newBufferedReader(Path.of(arguments[2]))) {
                base.load(reader);
            }
        }
        base.put("bootstrap.servers", arguments[1]);
        switch (arguments[0]) {
            case "first" -> first();
            case "more" -> more(100);
            case "stray" -> stray();
            default -> throw new IllegalArgumentException(arguments[0]);
        }
    }

    static Producer<byte[], byte[]> producer(String... settings) {
        var all = new Properties();
        all.putAll(base);
        for (int i = 0; i < settings.length; i += 2) all.put(settings[i], settings[i + 1]);
        return new KafkaProducer<>(all, new ByteArraySerializer(), new ByteArraySerializer());
    }

    static byte[] bytes(String text) {
        return text == null ? null : text.getBytes();
    }

    static ProducerRecord<byte[], byte[]> record(String topic, String key, String value) {
        return new ProducerRecord<>(topic, bytes(key), bytes(value));
    }

    static void first() throws Exception {
        try (var admin = Admin.create(base)) {
            admin.createTopics(List.of(
                new NewTopic("plain", 3, (short) 1).configs(Map.of("retention.ms", "-1")),
                new NewTopic("table", 2, (short) 1).configs(
                    Map.of("cleanup.policy", "compact", "delete.retention.ms", "1000000")),
                new NewTopic("paid", 2, (short) 1),
                new NewTopic("dated", 1, (short) 1).configs(
                    Map.of("message.timestamp.type", "LogAppendTime")),
                new NewTopic("empty", 2, (short) 1))).all().get();
            more(0);
            admin.deleteRecords(Map.of(
                new TopicPartition("plain", 0), RecordsToDelete.beforeOffset(7))).all().get();
            commit("billing", "paid");
            commit("reports", "plain");
            var topic = new ResourcePattern(ResourceType.TOPIC, "plain", PatternType.LITERAL);
            var group = new ResourcePattern(ResourceType.GROUP, "rep", PatternType.PREFIXED);
            var read = new AccessControlEntry(
                "User:alice", "*", AclOperation.READ, AclPermissionType.ALLOW);
            admin.createAcls(List.of(
                new AclBinding(topic, read), new AclBinding(group, read))).all().get();
            admin.alterUserScramCredentials(List.of(new UserScramCredentialUpsertion(
                "alice", new ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096), "secret")))
                .all().get();
        }
    }

    // Sends to every topic; `from` tells this round's records from others.
    static void more(int from) throws Exception {
        for (var codec : CODECS) {
            try (var producer = producer("compression.type", codec, "linger.ms", "20")) {
                for (int i = from; i < from + 200; i++) {
                    var record = record("plain", "k" + i, codec + " " + i);
                    record.headers().add(new RecordHeader("codec", bytes(codec)));
                    record.headers().add(new RecordHeader("nothing", (byte[]) null));
                    producer.send(record);
                }
            }
        }
        try (var producer = producer("compression.type", "lz4")) {
            for (int i = from; i < from + 100; i++) {
                producer.send(record("table", "k" + i % 20, i % 7 == 0 ? null : "v" + i));
                producer.send(record("dated", null, "d" + i));
            }
        }
        try (var producer = producer("transactional.id", "filler", "compression.type", "zstd")) {
            producer.initTransactions();
            for (int number = from; number < from + 9; number++) {
                producer.beginTransaction();
                for (int i = 0; i < 10; i++) {
                    producer.send(record("paid", "k" + i, "transaction " + number + " " + i));
                }
                producer.flush();
                if (number % 3 == 2) producer.abortTransaction();
                else producer.commitTransaction();
            }
        }
    }

    static void commit(String group, String topic) throws Exception {
        var all = new Properties();
        all.putAll(base);
        all.put("group.id", group);
        all.put("auto.offset.reset", "earliest");
        all.put("isolation.level", "read_committed");
        try (var consumer = new KafkaConsumer<>(
                all, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            var partitions = new ArrayList<TopicPartition>();
            for (var info : consumer.partitionsFor(topic)) {
                partitions.add(new TopicPartition(topic, info.partition()));
            }
            var ends = consumer.endOffsets(partitions);
            var offsets = new HashMap<TopicPartition, OffsetAndMetadata>();
            for (var partition : partitions) {
                // One at the end, which a marker may stand behind; others in the middle.
                var end = ends.get(partition);
                var at = partition.partition() == 1 ? end : end / 2;
                offsets.put(partition, new OffsetAndMetadata(at, "by hand"));
            }
            consumer.assign(partitions);
            consumer.commitSync(offsets);
        }
    }

    static void stray() throws Exception {
        try (var producer = producer("enable.idempotence", "false")) {
            producer.send(new ProducerRecord<>("empty", 0, bytes("k"), bytes("stray"))).get();
        }
    }
}
