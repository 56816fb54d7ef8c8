// Java's own clients: producer, consumer and administrator.

import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.utils.AppInfoParser;

public final class Client {
    private static final Duration POLL = Duration.ofMillis(500);

    private Client() {}

    public static void main(String[] words) throws Exception {
        switch (words[0]) {
            case "version" -> System.out.println(AppInfoParser.getVersion());
            case "produce" -> produce(words[1], number(words[2]), number(words[3]));
            case "member" -> member(words[1], words[2]);
            case "admin" -> admin(words[1]);
            case "transact" -> transact(words[1], number(words[2]));
            case "transform" -> transform(words[1], words[2], words[3], words[4]);
            default -> throw new IllegalArgumentException(words[0]);
        }
    }

    private static int number(String word) {
        return Integer.parseInt(word);
    }

    private static void send(KafkaProducer<String, String> producer, String topic, int first,
            int count) throws Exception {
        List<Future<RecordMetadata>> sent = IntStream.range(first, first + count)
            .mapToObj(n -> producer.send(new ProducerRecord<>(topic, "k" + n, "" + n))).toList();
        producer.flush();
        for (Future<RecordMetadata> one : sent) {
            one.get();
        }
    }

    private static void produce(String topic, int first, int count) throws Exception {
        try (var producer = new KafkaProducer<String, String>(Settings.producer())) {
            send(producer, topic, first, count);
        }
    }

    private static void member(String topic, String group) {
        try (var consumer = new KafkaConsumer<String, String>(Settings.consumer(group))) {
            consumer.subscribe(List.of(topic));
            while (true) {
                consumer.poll(POLL).forEach(record -> System.out.println(record.value()));
            }
        }
    }

    private static void admin(String topic) throws Exception {
        try (Admin admin = Admin.create(Settings.base())) {
            admin.createTopics(List.of(new NewTopic(topic, 3, (short) 1))).all().get();
            var resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
            admin.describeConfigs(List.of(resource)).all().get();
            var partition = new TopicPartition(topic, 0);
            admin.listOffsets(Map.of(partition, OffsetSpec.latest())).all().get();
            admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(0))).all().get();
            admin.listTransactions().all().get();
            admin.listGroups().all().get();
            admin.deleteTopics(List.of(topic)).all().get();
        }
    }

    private static KafkaProducer<String, String> transactional(String id) {
        Properties settings = Settings.producer();
        settings.put("transactional.id", id);
        var producer = new KafkaProducer<String, String>(settings);
        producer.initTransactions();
        return producer;
    }

    private static void transact(String topic, int count) throws Exception {
        try (var producer = transactional(topic)) {
            for (int turn = 0; turn < 3; turn++) {
                producer.beginTransaction();
                send(producer, topic, turn * count, count);
                if (turn == 1) {
                    producer.abortTransaction();
                } else {
                    producer.commitTransaction();
                }
            }
        }
    }

    private static void transform(String source, String target, String group, String end)
            throws Exception {
        Properties settings = Settings.consumer(group);
        settings.put("enable.auto.commit", "false");
        settings.put("isolation.level", "read_committed");
        settings.put("max.poll.records", "50");
        try (var consumer = new KafkaConsumer<String, String>(settings);
                var producer = transactional(group)) {
            consumer.subscribe(List.of(source));
            while (true) {
                ConsumerRecords<String, String> records = consumer.poll(POLL);
                if (records.isEmpty()) {
                    continue;
                }
                producer.beginTransaction();
                Map<TopicPartition, OffsetAndMetadata> read = new HashMap<>();
                for (ConsumerRecord<String, String> it : records) {
                    producer.send(new ProducerRecord<>(target, it.key(), it.value()));
                    read.put(new TopicPartition(it.topic(), it.partition()),
                        new OffsetAndMetadata(it.offset() + 1));
                }
                producer.sendOffsetsToTransaction(read, consumer.groupMetadata());
                producer.flush();
                if (end.equals("abort")) {
                    producer.abortTransaction();
                    return;
                }
                if (end.equals("hang")) {
                    System.out.println("open");
                    Thread.currentThread().join();
                }
                producer.commitTransaction();
            }
        }
    }
}
