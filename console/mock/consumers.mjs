// Consumers and dead letters of the mock server: enough for the page that shows them.

import { Refused } from './log.mjs';

const CONFIG = { start: 'earliest', filter: null, ordering: 'none', ack_wait_ms: 30_000, deliveries_max: 5, pending_max: 1_000 };

export class Consumers {
  letters = new Map();

  constructor(log) {
    this.log = log;
  }

  /** One consumer per topic, with three dead letters when it is first looked at. */
  of(topic) {
    this.log.get(topic);
    if (!this.letters.has(topic)) {
      const reasons = ['the mail server is down', 'the address does not exist', 'delivered 5 times, and not acknowledged in time'];
      this.letters.set(topic, reasons.map((reason, offset) => this.letter(topic, offset, reason)));
    }
    return this.letters.get(topic);
  }

  letter(topic, offset, reason) {
    const timestamp = Date.now() - 60_000 * (offset + 1);
    const key = `customer/${offset + 1}`;
    const record = { topic: `${topic}.mail.dead`, partition: 0, offset, id: `dead:${offset}`, key, timestamp, headers: {}, data: { order: 100 + offset }, cursor: 'c' };
    return { partition: 0, offset, reason, deliveries: 5, original: { topic, partition: 0, offset: 7 + offset, timestamp }, record };
  }

  view(topic) {
    const { offsets } = this.log.view(this.log.get(topic));
    const partitions = offsets.map(({ partition, end }) => ({ partition, committed: end, next: end, end }));
    const state = { lag: 0, pending: 0, retrying: 0, held: 0, dead_letters: this.of(topic).length, active_at: Date.now() - 4_000 };
    return { topic, consumer: 'mail', config: CONFIG, dead_letter_topic: `${topic}.mail.dead`, created_at: 0, partitions, ...state };
  }

  take(topic, body) {
    const wanted = (letter) => !body.letters || body.letters.some((at) => at.partition === letter.partition && at.offset === letter.offset);
    const taken = this.of(topic).filter(wanted);
    this.letters.set(topic, this.of(topic).filter((letter) => !wanted(letter)));
    return taken;
  }

  answer(method, topic, rest, body) {
    const route = `${method} ${rest.join('/')}`;
    if (route === 'GET ') return { consumers: [this.view(topic)], next_cursor: null };
    if (rest[0] !== 'mail') throw new Refused(404, 'NOT_FOUND', 'The topic has no such consumer.');
    if (route === 'GET mail/dead-letters') return { dead_letters: this.of(topic), next_cursor: null };
    if (route === 'DELETE mail/dead-letters') return { purged: this.take(topic, body).length };
    if (route === 'POST mail/dead-letters/replay') {
      const taken = this.take(topic, body);
      if (body.to === 'topic') for (const { record } of taken) this.log.publish({ topic, key: record.key, data: record.data });
      return { replayed: taken.length };
    }
    throw new Refused(404, 'NOT_FOUND', `Nothing answers to ${route}.`);
  }
}
