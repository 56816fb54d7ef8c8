// Topics and records in memory, with the rules of addressing, cursors and idempotency that the
// console depends on.

const RECORDS_PER_PARTITION_MAX = 20_000;
const RATE_WINDOW_MS = 5_000;

export class Refused extends Error {
  constructor(status, code, message, details = {}) {
    super(message);
    Object.assign(this, { status, code, details });
  }
  view() {
    return { code: this.code, message: this.message, details: this.details, request_id: 'req_mock' };
  }
}

export class Log {
  topics = new Map();
  followers = new Set();
  published = [];
  delivered = [];

  put(name, config) {
    if (!/^[A-Za-z0-9._-]{1,249}$/.test(name)) {
      throw new Refused(400, 'INVALID_TOPIC', 'The topic name breaks the naming rule.', {
        field: 'topic',
        hint: 'Use 1 to 249 of A-Z a-z 0-9 . _ -',
      });
    }
    const known = this.topics.get(name);
    if (known) {
      if (config.partitions !== undefined && config.partitions !== known.config.partitions) {
        throw new Refused(409, 'CONFLICT', 'Partitions are fixed at creation.', { field: 'partitions' });
      }
      Object.assign(known.config, config);
      return { topic: known, created: false };
    }
    const full = { partitions: 1, durability: 'durable', retention: {}, cleanup: 'delete', tombstone_ms: 86_400_000, schema: null, ...config };
    const partitions = Array.from({ length: full.partitions }, () => ({ base: 0, records: [] }));
    const topic = { name, config: full, partitions, ids: new Map() };
    this.topics.set(name, topic);
    return { topic, created: true };
  }

  get(name) {
    const topic = this.topics.get(name);
    if (!topic) throw new Refused(404, 'TOPIC_NOT_FOUND', `The topic ${name} does not exist in this project.`);
    return topic;
  }

  remove(name) {
    this.get(name);
    this.topics.delete(name);
  }

  view(topic) {
    const offsets = topic.partitions.map(({ base, records }, partition) => {
      return { partition, start: base, end: base + records.length };
    });
    const stored_bytes = offsets.reduce((sum, at) => sum + 180 * (at.end - at.start), 0);
    return { topic: topic.name, ...topic.config, stored_bytes, offsets };
  }

  list(after) {
    const names = [...this.topics.keys()].filter((name) => name > after).sort();
    return names.map((name) => this.view(this.topics.get(name)));
  }

  publish(view) {
    if (typeof view.topic !== 'string') {
      throw new Refused(400, 'INVALID_REQUEST', 'A record names its topic.', { field: 'topic' });
    }
    const topic = this.get(view.topic);
    const known = view.id === undefined ? undefined : topic.ids.get(view.id);
    if (known) return { ...known, duplicate: true };
    const partition = choosePartition(view.key, topic.partitions.length);
    const { base, records } = topic.partitions[partition];
    const offset = base + records.length;
    const place = { topic: topic.name, partition, offset };
    const timestamp = view.timestamp ?? Date.now();
    const id = view.id ?? `${topic.name}:${partition}:${offset}`;
    const record = {
      ...place,
      id,
      ...(view.key === undefined ? {} : { key: view.key }),
      timestamp,
      headers: view.headers ?? {},
      publisher: 'key_console',
      ...(view.content_type ? { content_type: view.content_type } : {}),
      ...(view.data_base64 === undefined ? { data: view.data ?? null } : { data_base64: view.data_base64 }),
      cursor: encode({ [topic.name]: { [partition]: offset + 1 } }),
    };
    records.push(record);
    if (records.length > RECORDS_PER_PARTITION_MAX) {
      topic.partitions[partition].records = records.slice(1_000);
      topic.partitions[partition].base += 1_000;
    }
    const answer = { ...place, id, timestamp };
    if (view.id !== undefined) topic.ids.set(view.id, answer);
    this.published.push(Date.now());
    for (const follower of this.followers) if (follower.matches(record)) this.deliver(follower, record);
    return answer;
  }

  deliver(follower, record) {
    this.delivered.push(Date.now());
    follower.give(record);
  }

  read(name, from, limit) {
    const topic = this.get(name);
    const found = [];
    topic.partitions.forEach((log, partition) => {
      const start = this.startIn(topic, partition, from);
      for (const record of log.records) if (record.offset >= start) found.push(record);
    });
    const records = found.slice(0, limit);
    return { records, next_cursor: records.at(-1)?.cursor ?? null, end: records.length === found.length };
  }

  follow(filter, from, give) {
    const matches = compile(filter);
    const positions = {};
    for (const topic of this.topics.values()) {
      if (!matches.topic(topic.name)) continue;
      positions[topic.name] = topic.partitions.map((_, index) => this.startIn(topic, index, from));
    }
    const begin = () => {
      for (const [name, starts] of Object.entries(positions)) {
        this.topics.get(name).partitions.forEach((log, index) => {
          const first = Math.max(0, starts[index] - log.base);
          for (const record of log.records.slice(first)) {
            if (matches.record(record)) this.deliver({ give }, record);
          }
        });
      }
      const follower = { matches: matches.record, give };
      this.followers.add(follower);
      return () => this.followers.delete(follower);
    };
    return { cursor: encode(positions), begin };
  }

  startIn(topic, partition, from) {
    const { base, records } = topic.partitions[partition];
    if (from === 'latest') return base + records.length;
    if (from === 'earliest') return base;
    if (typeof from === 'string' && from.startsWith('offset:')) return Number(from.slice(7));
    if (typeof from === 'string' && from.startsWith('time:')) {
      const text = from.slice(5);
      const time = /^\d+$/.test(text) ? Number(text) : Date.parse(text);
      return records.find((record) => record.timestamp >= time)?.offset ?? base + records.length;
    }
    const cursors = (Array.isArray(from) ? from : [from]).map(decode);
    return Math.max(base, ...cursors.map((cursor) => cursor[topic.name]?.[partition] ?? 0));
  }

  stats(connections) {
    const since = Date.now() - RATE_WINDOW_MS;
    this.published = this.published.filter((at) => at >= since);
    this.delivered = this.delivered.filter((at) => at >= since);
    return {
      published_per_second: this.published.length / (RATE_WINDOW_MS / 1_000),
      delivered_per_second: this.delivered.length / (RATE_WINDOW_MS / 1_000),
      connections,
    };
  }
}

function compile(filter) {
  if (typeof filter !== 'string' || /#./.test(filter)) {
    throw new Refused(400, 'INVALID_FILTER', 'The filter is malformed.', {
      field: 'filter',
      hint: '`#` stands alone as the last level.',
    });
  }
  const [topic, ...levels] = filter.split('/');
  const anyTopic = topic === '#' || topic === '+';
  const all = topic === '#' || levels.length === 0 || (levels.length === 1 && levels[0] === '#');
  const rest = levels.at(-1) === '#';
  const wanted = rest ? levels.slice(0, -1) : levels;
  const key = (text) => {
    if (all) return true;
    if (text === undefined) return false;
    const found = text.split('/');
    if (rest ? found.length < wanted.length : found.length !== wanted.length) return false;
    return wanted.every((level, index) => level === '+' || level === found[index]);
  };
  return {
    topic: (name) => anyTopic || name === topic,
    record: (record) => (anyTopic || record.topic === topic) && key(record.key),
  };
}

function choosePartition(key, count) {
  if (key === undefined) return Math.floor(Math.random() * count);
  let hash = 2166136261;
  for (const char of key) hash = Math.imul(hash ^ char.codePointAt(0), 16777619) >>> 0;
  return hash % count;
}

const encode = (positions) => Buffer.from(JSON.stringify(positions)).toString('base64url');

function decode(cursor) {
  try {
    return JSON.parse(Buffer.from(cursor, 'base64url').toString());
  } catch {
    throw new Refused(400, 'INVALID_CURSOR', 'The cursor is malformed, forged, or of another project.');
  }
}
