// Webhooks of the stand-in: definitions and what becomes of them, made up. Nothing is sent anywhere.

import { Refused } from './log.mjs';

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const PUBLIC = 'whpk_GXNHzuQ6H4rXhVqZ0WcBdNZ4y4bR0cF1hZkF8b8m0wQ=';

export class Webhooks {
  constructor() {
    this.all = new Map();
    this.count = 0;
  }

  answer(method, id, part, sub, body) {
    const route = `${method} ${id ? ':' : ''}${part ? `/${part}` : ''}${sub ? `/${sub}` : ''}`;
    switch (route) {
      case 'GET ':
        return [200, { webhooks: [...this.all.values()].map((entry) => entry.view), next_cursor: null }];
      case 'POST ':
        return [201, this.create(body)];
      case 'GET :':
        return [200, this.get(id).view];
      case 'PATCH :':
        return [200, Object.assign(this.get(id).view, body, { disabled_reason: null, status: status(body.enabled ?? true) })];
      case 'DELETE :':
        this.get(id);
        this.all.delete(id);
        return [204, undefined];
      case 'POST :/rotate-secret':
        return [200, { ...this.get(id).view, secret: SECRET }];
      case 'POST :/test': {
        const attempt = made(null, 1, 204);
        this.get(id).attempts.unshift(attempt);
        return [200, attempt];
      }
      case 'GET :/attempts':
        return [200, { attempts: this.get(id).attempts }];
      case 'GET :/dead-letters':
        return [200, { dead_letters: this.get(id).letters, next_cursor: null }];
      case 'POST :/dead-letters/replay':
      case 'POST :/dead-letters/purge':
        return [200, { count: this.settle(id, body) }];
      default:
        throw new Refused(404, 'NOT_FOUND', 'There is no such path.');
    }
  }

  get(id) {
    const found = this.all.get(id);
    if (!found) throw new Refused(404, 'NOT_FOUND', 'no such webhook');
    return found;
  }

  create(body) {
    if (!/^https:\/\//.test(body.url ?? '')) throw new Refused(400, 'INVALID_REQUEST', 'the endpoint must use https', { field: 'url' });
    this.count += 1;
    const id = `whk_${String(this.count).padStart(32, '0')}`;
    const signing = body.signing ?? 'hmac';
    const view = {
      id,
      url: body.url,
      filter: body.filter,
      description: body.description ?? '',
      enabled: true,
      disabled_reason: null,
      signing,
      secrets: [{ public_key: signing === 'ed25519' ? PUBLIC : null, created_at: Date.now(), expires_at: null }],
      headers: [],
      timeout_ms: 15_000,
      concurrency: 4,
      rate_per_second: null,
      attempts_max: 12,
      created_at: Date.now(),
      updated_at: Date.now(),
      status: status(true),
    };
    const letters = [3, 4].map((offset) => letter(body.filter.split('/')[0], offset));
    this.all.set(id, { view, letters, attempts: [made(5, 1, 204), made(4, 12, 500), made(3, 12, null)] });
    view.status.dead_letters = letters.length;
    return { ...view, secret: signing === 'ed25519' ? PUBLIC : SECRET };
  }

  settle(id, which) {
    const entry = this.get(id);
    const chosen = (one) => which.all || which.at.some((place) => place.offset === one.offset);
    const count = entry.letters.filter(chosen).length;
    entry.letters = entry.letters.filter((one) => !chosen(one));
    entry.view.status.dead_letters = entry.letters.length;
    return count;
  }
}

const status = (enabled) => ({
  breaker: enabled ? 'closed' : 'disabled',
  failures: 0,
  rests_ms: null,
  lag: 2,
  pending: 0,
  retrying: 1,
  held: 1,
  dead_letters: 0,
  dead_letter_topic: 'orders.dead',
  last_error: null,
});

const made = (offset, attempt, code) => ({
  message: `msg_${offset ?? 'test'}`,
  partition: offset === null ? null : 0,
  offset,
  attempt,
  at: Date.now(),
  outcome: code === null ? 'timed_out' : code < 300 ? 'delivered' : 'failed',
  status: code,
  error: code === null ? 'no answer within 15000 ms' : null,
  answer: code === 500 ? 'Internal Server Error' : null,
  took_ms: code === null ? 15_000 : 38,
});

const letter = (topic, offset) => ({
  partition: 0,
  offset,
  reason: 'the endpoint answered 500',
  attempts: 12,
  origin: { topic, partition: 0, offset: offset + 100, timestamp: Date.now() - 60_000 },
  record: { topic: `${topic}.dead`, partition: 0, offset, id: 'x', key: `eu/${offset}`, timestamp: Date.now(), headers: {}, data: { total: 99 }, cursor: 'c' },
});
