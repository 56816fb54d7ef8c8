import { describe, expect, it } from 'vitest';
import { Feed, HELD_MAX, WAITING_MAX } from '../src/lib/feed';
import { MainstemClient } from '../src/lib/mainstem';
import { FakeWorld, record } from './fake';

function setup() {
  const world = new FakeWorld();
  const client = new MainstemClient('ws://server/v1/ws', () => 'key', world);
  client.connect();
  const socket = world.accept();
  const feed = new Feed(client, 'orders', 'earliest', () => {}, () => world.time);
  const subscribe = () => socket.sent.filter((frame) => frame.type === 'subscribe').at(-1);
  const { id, sub } = subscribe();
  socket.give({ type: 'subscribed', id, sub, cursor: '0@0' });
  let offset = 0;
  const give = (count: number) => {
    for (let index = 0; index < count; index += 1) {
      socket.give({ type: 'record', sub: subscribe().sub, ...record(0, offset++) });
    }
  };
  return { feed, give, socket, subscribe, rewind: (to: number) => (offset = to) };
}

const offsets = (feed: Feed) => feed.rows.map((row) => row.record.offset);

describe('the feed', () => {
  it('holds the newest and says how many left', () => {
    const { feed, give } = setup();
    give(HELD_MAX - 1);
    feed.flush();
    give(3);
    expect(feed.flush()).toEqual({ added: 3, removed: 2 });
    expect(feed.rows).toHaveLength(HELD_MAX);
    expect(feed.rows[0]?.record.offset).toBe(2);
  });

  it('shows nothing new while paused and everything afterwards', () => {
    const { feed, give } = setup();
    give(2);
    feed.pause();
    give(3);
    feed.flush();
    expect(offsets(feed)).toEqual([0, 1]);
    expect(feed.waiting).toHaveLength(3);
    feed.resume();
    expect(offsets(feed)).toEqual([0, 1, 2, 3, 4]);
  });

  it('leaves the rest in the log when a pause is long, and fetches it from there', () => {
    const { feed, give, subscribe, rewind } = setup();
    feed.pause();
    give(WAITING_MAX + 10);
    expect(feed.waiting).toHaveLength(WAITING_MAX);
    expect(feed.overflowed()).toBe(true);
    feed.resume();
    expect(subscribe().from).toEqual(['0@0', `0@${WAITING_MAX}`]);
    rewind(WAITING_MAX);
    give(10);
    feed.flush();
    expect(offsets(feed)).toEqual(Array.from({ length: WAITING_MAX + 10 }, (_, index) => index));
  });

  it('finds text in key, headers and value', () => {
    const { feed, give, socket, subscribe } = setup();
    give(2);
    const extra = { key: 'Berlin/7', headers: { source: 'till' } };
    socket.give({ type: 'record', sub: subscribe().sub, ...record(0, 2, extra) });
    feed.flush();
    for (const [text, found] of [['berlin', [2]], ['TILL', [2]], ['"n":1', [1]], ['', [0, 1, 2]]]) {
      feed.setText(text as string);
      expect(offsets(feed)).toEqual(found);
    }
  });
});
