import { describe, expect, it } from 'vitest';
import { backoffMs } from '../src/lib/backoff';
import {
  CURSORS_SENT_MAX,
  MainstemClient,
  PONG_WAIT_MS_MAX,
  PUBLISH_PENDING_MAX,
  type State,
} from '../src/lib/mainstem';
import type { RecordView } from '../src/lib/wire';
import { FakeLog, FakeWorld, record, type FakeSocket } from './fake';

function setup() {
  const world = new FakeWorld();
  const client = new MainstemClient('ws://server/v1/ws', () => 'ms_test_key', world);
  const states: State[] = [];
  client.watch((state) => states.push(state));
  return { world, client, states };
}

function subscribes(socket: FakeSocket) {
  return socket.sent.filter((frame) => frame.type === 'subscribe');
}

describe('connecting', () => {
  it('sends the key in the first frame, not in the address', () => {
    const { world, client, states } = setup();
    client.connect();
    const socket = world.accept();
    expect(socket.sent[0]).toMatchObject({ type: 'connect', token: 'ms_test_key' });
    expect(states.at(-1)).toEqual({ kind: 'connected', project: 'prj_1', principal: 'key_1' });
  });

  it('does not try again with a refused key', () => {
    const { world, client, states } = setup();
    client.connect();
    world.last().onopen?.({});
    world.last().give({ type: 'error', id: 1, error: { code: 'INVALID_API_KEY', message: 'no' } });
    world.pass(120_000);
    expect(states.at(-1)?.kind).toBe('refused');
    expect(world.sockets).toHaveLength(1);
  });

  it.each([4401, 4403, 1008])('takes close code %i as a refusal', (code) => {
    const { world, client, states } = setup();
    client.connect();
    world.accept().break(code);
    world.pass(120_000);
    expect(states.at(-1)?.kind).toBe('refused');
  });

  it('tries again, further and further apart, and starts over after a success', () => {
    const { world, client, states } = setup();
    world.randomValue = 0.999;
    client.connect();
    const waits: number[] = [];
    for (let attempt = 0; attempt < 5; attempt += 1) {
      world.last().break();
      const state = states.at(-1);
      if (state?.kind !== 'waiting') throw new Error('expected to wait');
      waits.push(state.retryAt - world.time);
      world.pass(state.retryAt - world.time);
    }
    expect(waits).toEqual([250, 500, 999, 1998, 3996]);
    world.accept().break();
    const state = states.at(-1);
    if (state?.kind !== 'waiting') throw new Error('expected to wait');
    expect(state.retryAt - world.time).toBeLessThanOrEqual(250);
  });

  it('follows the server’s advice when it drains', () => {
    const { world, client, states } = setup();
    client.connect();
    const socket = world.accept();
    socket.give({ type: 'reconnect', after_ms: 1234 });
    socket.break(1012);
    expect(states.at(-1)).toMatchObject({ kind: 'waiting', retryAt: world.time + 1234 });
  });

  it('notices a connection that died silently', () => {
    const { world, client, states } = setup();
    client.connect();
    const socket = world.accept();
    world.pass(25_000);
    expect(socket.sent.at(-1)).toMatchObject({ type: 'ping' });
    world.pass(PONG_WAIT_MS_MAX);
    expect(states.at(-1)?.kind).not.toBe('connected');
    expect(socket.closed).toBe(true);
  });

  it('keeps a connection that answers', () => {
    const { world, client, states } = setup();
    client.connect();
    const socket = world.accept();
    socket.onSent = (frame) => frame.type === 'ping' && socket.give({ type: 'pong', id: frame.id });
    world.pass(300_000);
    expect(states.at(-1)?.kind).toBe('connected');
  });
});

describe('backoff', () => {
  it('never exceeds the ceiling and reaches zero', () => {
    const rule = { firstMs: 250, maxMs: 15_000 };
    for (let attempt = 0; attempt < 64; attempt += 1) {
      expect(backoffMs(rule, attempt, () => 0)).toBe(0);
      expect(backoffMs(rule, attempt, () => 0.999999)).toBeLessThanOrEqual(15_000);
    }
  });
});

describe('subscribing', () => {
  it('presents the start and the newest cursor of each partition', () => {
    const { world, client } = setup();
    client.connect();
    const socket = world.accept();
    client.subscribe({ filter: 'orders/#', from: 'earliest' }, { onRecord: () => {} });
    const { id, sub } = subscribes(socket)[0];
    socket.give({ type: 'subscribed', id, sub, cursor: 'start' });
    for (const [partition, offset] of [[0, 0], [1, 0], [0, 1]] as const) {
      socket.give({ type: 'record', sub, ...record(partition, offset) });
    }
    socket.break();
    world.pass(1_000);
    const again = subscribes(world.accept())[0];
    expect(again.from).toEqual(['start', '0@2', '1@1']);
    expect(again.filter).toBe('orders/#');
  });

  it('starts as first asked when the server had not confirmed', () => {
    const { world, client } = setup();
    client.connect();
    const socket = world.accept();
    client.subscribe({ filter: 'orders', from: 'time:5' }, { onRecord: () => {} });
    socket.break();
    world.pass(1_000);
    expect(subscribes(world.accept())[0].from).toBe('time:5');
  });

  it('presents no more cursors than the server takes, and drops what it then repeats', () => {
    const { world, client } = setup();
    let seen = 0;
    client.connect();
    const socket = world.accept();
    client.subscribe({ filter: '#', from: 'earliest' }, { onRecord: () => (seen += 1) });
    const { id, sub } = subscribes(socket)[0];
    socket.give({ type: 'subscribed', id, sub, cursor: 'start' });
    for (let partition = 0; partition < 1_200; partition += 1) {
      socket.give({ type: 'record', sub, ...record(partition, 0) });
    }
    socket.break();
    world.pass(1_000);
    const again = world.accept();
    const second = subscribes(again)[0];
    expect(second.from).toHaveLength(CURSORS_SENT_MAX);
    for (let partition = 999; partition < 1_200; partition += 1) {
      again.give({ type: 'record', sub: second.sub, ...record(partition, 0) });
      again.give({ type: 'record', sub: second.sub, ...record(partition, 1) });
    }
    expect(seen).toBe(1_200 + 201);
  });

  it('asks for latest values only once', () => {
    const { world, client } = setup();
    client.connect();
    const socket = world.accept();
    client.subscribe({ filter: 'orders', latest: true }, { onRecord: () => {} });
    const { id, sub, latest } = subscribes(socket)[0];
    expect(latest).toBe(true);
    socket.give({ type: 'subscribed', id, sub, cursor: 'start' });
    socket.break();
    world.pass(1_000);
    expect(subscribes(world.accept())[0].latest).toBeUndefined();
  });

  it('ignores what was under way for the subscription before a pause', () => {
    const { world, client } = setup();
    const seen: number[] = [];
    client.connect();
    const socket = world.accept();
    const events = { onRecord: (taken: RecordView) => seen.push(taken.offset) };
    const subscription = client.subscribe({ filter: 'orders', from: 'earliest' }, events);
    const first = subscribes(socket)[0];
    socket.give({ type: 'subscribed', id: first.id, sub: first.sub, cursor: '0@0' });
    socket.give({ type: 'record', sub: first.sub, ...record(0, 0) });
    subscription.pause();
    socket.give({ type: 'record', sub: first.sub, ...record(0, 1) });
    subscription.resume();
    socket.give({ type: 'record', sub: first.sub, ...record(0, 2) });
    const second = subscribes(socket)[1];
    expect(second.from).toEqual(['0@0', '0@1']);
    for (const offset of [1, 2, 3]) {
      socket.give({ type: 'record', sub: second.sub, ...record(0, offset) });
    }
    expect(seen).toEqual([0, 1, 2, 3]);
  });

  it('takes a topic made anew, whose offsets start again', () => {
    const { world, client } = setup();
    const seen: string[] = [];
    client.connect();
    const socket = world.accept();
    const events = { onRecord: (taken: RecordView) => seen.push(taken.id) };
    client.subscribe({ filter: 'orders', from: 'earliest' }, events);
    const first = subscribes(socket)[0];
    socket.give({ type: 'subscribed', id: first.id, sub: first.sub, cursor: '0@0' });
    socket.give({ type: 'record', sub: first.sub, ...record(0, 7) });
    socket.break();
    world.pass(1_000);
    const again = world.accept();
    const { sub } = subscribes(again)[0];
    again.give({ type: 'record', sub, ...record(0, 7) });
    again.give({ type: 'record', sub, ...record(0, 0, { id: 'new', timestamp: 900_000 }) });
    expect(seen).toEqual(['orders:0:7', 'new']);
  });

  it('ends when the server refuses the filter', () => {
    const { world, client } = setup();
    const ended: string[] = [];
    client.connect();
    const socket = world.accept();
    const onEnded = (error: { code: string }) => ended.push(error.code);
    client.subscribe({ filter: 'x/#/y' }, { onRecord: () => {}, onEnded });
    const { id } = subscribes(socket)[0];
    socket.give({ type: 'error', id, error: { code: 'INVALID_FILTER', message: 'bad' } });
    socket.break();
    world.pass(1_000);
    expect(subscribes(world.accept())).toEqual([]);
    expect(ended).toEqual(['INVALID_FILTER']);
  });

  // Random schedules of appends, deliveries, repeats, pauses and lost connections, against a log
  // that honours cursors: each partition must come out complete, in order, once.
  it('loses and repeats nothing in 300 random histories', () => {
    for (let seed = 1; seed <= 300; seed += 1) runHistory(seed);
  });
});

function runHistory(seed: number): void {
  let state = seed;
  const below = (limit: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
  const { world, client } = setup();
  const log = new FakeLog(3);
  const seen: number[][] = [[], [], []];
  let next: number[] | undefined;
  let sub = 0;
  const serve = (socket: FakeSocket) => {
    socket.onSent = (frame) => {
      if (frame.type === 'unsubscribe') next = undefined;
      if (frame.type !== 'subscribe') return;
      next = log.positions(frame.from);
      sub = frame.sub;
      const cursor = log.startCursor(next);
      // A lost connection may swallow the confirmation.
      if (below(10) > 0) socket.give({ type: 'subscribed', id: frame.id, sub, cursor });
      // A server may repeat what the cursor already covers; the client must not.
      next = next.map((offset) => Math.max(0, offset - below(3)));
    };
  };
  world.onOpen = (socket) => {
    next = undefined;
    serve(socket);
  };
  for (let index = 0; index < 5; index += 1) log.append(below(3));
  client.connect();
  world.accept();
  const events = { onRecord: (taken: RecordView) => seen[taken.partition]!.push(taken.offset) };
  const subscription = client.subscribe({ filter: 'orders/#', from: 'earliest' }, events);
  const deliver = () => {
    const partition = below(3);
    const offset = next?.[partition];
    const found = offset === undefined ? undefined : log.partitions[partition]![offset];
    if (next === undefined || found === undefined) return false;
    next[partition] = offset! + 1;
    world.last().give({ type: 'record', sub, ...found });
    return true;
  };
  const reconnect = () => {
    world.last().break();
    world.pass(20_000);
    world.accept();
  };
  for (let step = 0; step < 200; step += 1) {
    const choice = below(20);
    if (choice < 8) log.append(below(3));
    else if (choice < 17) deliver();
    else if (choice === 17) subscription.pause();
    else if (choice === 18) subscription.resume();
    else reconnect();
  }
  subscription.pause();
  subscription.resume();
  for (let step = 0; step < 5_000; step += 1) deliver();
  const expected = log.partitions.map((records) => records.map((entry) => entry.offset));
  expect(seen, `seed ${seed}`).toEqual(expected);
}

describe('publishing', () => {
  it('resolves with the place of each record', async () => {
    const { world, client } = setup();
    client.connect();
    const socket = world.accept();
    const published = client.publish([{ topic: 'orders', data: 1 }]);
    const frame = socket.sent.at(-1);
    expect(frame.records[0].id).toBe('generated-1');
    const records = [{ topic: 'orders', partition: 0, offset: 4, id: 'x', timestamp: 1 }];
    socket.give({ type: 'published', id: frame.id, records });
    expect(await published).toEqual(records);
  });

  it('sends again under the same id after a lost connection', async () => {
    const { world, client } = setup();
    client.connect();
    const socket = world.accept();
    const published = client.publish([{ topic: 'orders', data: 1 }]);
    const first = socket.sent.at(-1);
    socket.break();
    world.pass(1_000);
    const again = world.accept();
    const second = again.sent.at(-1);
    expect(second).toMatchObject({ type: 'publish', records: first.records });
    again.give({ type: 'published', id: second.id, records: [] });
    expect(await published).toEqual([]);
  });

  it('rejects with the server’s error', async () => {
    const { world, client } = setup();
    client.connect();
    const socket = world.accept();
    const published = client.publish([{ topic: 'orders', data: 1 }]);
    const error = { code: 'INVALID_EVENT_PAYLOAD', message: 'no', details: { field: 'data.n' } };
    socket.give({ type: 'error', id: socket.sent.at(-1).id, error });
    await expect(published).rejects.toMatchObject({ code: 'INVALID_EVENT_PAYLOAD', view: error });
  });

  it('bounds what waits', async () => {
    const { client } = setup();
    for (let count = 0; count < PUBLISH_PENDING_MAX; count += 1) {
      client.publish([{ topic: 'orders' }]).catch(() => {});
    }
    const refused = client.publish([{ topic: 'orders' }]);
    await expect(refused).rejects.toMatchObject({ code: 'TOO_MANY_PENDING' });
    client.close();
  });
});
