// kafkajs.
const { Kafka, logLevel, CompressionTypes } = require("kafkajs");
const { readFileSync } = require("fs");

const told = process.env;

function sasl() {
  const { MECHANISM: mechanism, USERNAME: username, PASSWORD: password, TOKEN: value } = told;
  if (!mechanism) return undefined;
  if (value) return { mechanism: "oauthbearer", oauthBearerProvider: async () => ({ value }) };
  return { mechanism: mechanism.toLowerCase(), username, password };
}

function ssl() {
  if (!told.CA) return false;
  const file = (name) => (told[name] ? readFileSync(told[name]) : undefined);
  return { ca: [file("CA")], cert: file("CERTIFICATE"), key: file("KEY") };
}

const kafka = () =>
  new Kafka({
    clientId: "interop",
    brokers: [told.BOOTSTRAP],
    ssl: ssl(),
    sasl: sasl(),
    logLevel: logLevel.WARN,
  });

const range = (first, count) => [...Array(count).keys()].map((n) => n + first);
const messages = (first, count) =>
  range(first, count).map((n) => ({ key: `k${n}`, value: `${n}` }));

async function transactional(transactionalId) {
  const producer = kafka().producer({ transactionalId, idempotent: true, maxInFlightRequests: 1 });
  await producer.connect();
  return producer;
}

function consumer(groupId) {
  const readUncommitted = told.ISOLATION === "read_uncommitted";
  return kafka().consumer({
    groupId,
    readUncommitted,
    sessionTimeout: 6000,
    heartbeatInterval: 1000,
  });
}

const verbs = {
  async version() {
    console.log(require("kafkajs/package.json").version);
  },
  async produce(topic, first, count) {
    const producer = kafka().producer({ idempotent: true });
    await producer.connect();
    await producer.send({
      topic,
      compression: CompressionTypes.GZIP,
      messages: messages(Number(first), Number(count)),
    });
    await producer.disconnect();
  },
  async member(topic, groupId) {
    const reader = consumer(groupId);
    await reader.connect();
    await reader.subscribe({ topic, fromBeginning: true });
    await reader.run({ eachMessage: async ({ message }) => console.log(`${message.value}`) });
    await new Promise(() => {});
  },
  async transact(topic, count) {
    const producer = await transactional(topic);
    for (const turn of [0, 1, 2]) {
      const transaction = await producer.transaction();
      await transaction.send({ topic, messages: messages(turn * Number(count), Number(count)) });
      await (turn === 1 ? transaction.abort() : transaction.commit());
    }
    await producer.disconnect();
  },
  async transform(source, target, group, end) {
    const producer = await transactional(group);
    const reader = consumer(group);
    await reader.connect();
    await reader.subscribe({ topic: source, fromBeginning: true });
    const over = async ({ batch }) => {
      const transaction = await producer.transaction();
      const messages = batch.messages.map(({ key, value }) => ({ key, value }));
      await transaction.send({ topic: target, messages });
      const offset = `${Number(batch.lastOffset()) + 1}`;
      const partitions = [{ partition: batch.partition, offset }];
      await transaction.sendOffsets({
        consumerGroupId: group,
        topics: [{ topic: source, partitions }],
      });
      if (end === "abort") {
        await transaction.abort();
        process.exit(0);
      }
      if (end === "hang") {
        console.log("open");
        await new Promise(() => {});
      }
      await transaction.commit();
    };
    await reader.run({ autoCommit: false, eachBatchAutoResolve: true, eachBatch: over });
    await new Promise(() => {});
  },
  async admin(topic) {
    const admin = kafka().admin();
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
