// kafkajs.
const { Kafka, logLevel, CompressionTypes } = require("kafkajs");

const { BOOTSTRAP, USERNAME, PASSWORD, SECURITY_PROTOCOL } = process.env;
const kafka = new Kafka({
  clientId: "interop",
  brokers: [BOOTSTRAP],
  ssl: SECURITY_PROTOCOL === "SASL_SSL",
  sasl: { mechanism: "plain", username: USERNAME, password: PASSWORD },
  logLevel: logLevel.ERROR,
});

const verbs = {
  async produce(topic, first, count) {
    const producer = kafka.producer({ idempotent: true });
    await producer.connect();
    const numbers = [...Array(Number(count)).keys()].map((n) => n + Number(first));
    const messages = numbers.map((n) => ({ key: `k${n}`, value: `${n}` }));
    await producer.send({ topic, compression: CompressionTypes.GZIP, messages });
    await producer.disconnect();
  },
  async member(topic, groupId) {
    const consumer = kafka.consumer({ groupId, sessionTimeout: 6000, heartbeatInterval: 1000 });
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    await consumer.run({ eachMessage: async ({ message }) => console.log(`${message.value}`) });
    await new Promise(() => {});
  },
  async admin(topic) {
    const admin = kafka.admin();
    await admin.connect();
    await admin.createTopics({ topics: [{ topic, numPartitions: 3 }] });
    await admin.describeConfigs({ resources: [{ type: 2, name: topic }] });
    await admin.fetchTopicOffsets(topic);
    await admin.listGroups();
    await admin.deleteTopics({ topics: [topic] });
    await admin.disconnect();
  },
};

const [verb, ...rest] = process.argv.slice(2);
verbs[verb](...rest).catch((error) => {
  console.error(error);
  process.exit(1);
});
