import { describe, expect, it } from 'vitest';
import { dataText, readPresence, unlisted } from '../src/lib/presence';

describe('presence', () => {
  it('reads what the server answers', () => {
    const answer = {
      members: [{ member: 'ann', principal: 'key:1', data: { mood: 'fine' }, entered_at: 5, connections: 2 }],
      counts: { members: 3, connections: 4 },
      next: 'ann',
    };
    const presence = readPresence(answer);
    expect(presence.members).toEqual(answer.members);
    expect(presence.counts).toEqual({ members: 3, connections: 4 });
    expect(unlisted(presence)).toBe(2);
  });

  it('is empty for an address where nobody is', () => {
    const presence = readPresence({ members: [], counts: { members: 0, connections: 0 } });
    expect(presence).toEqual({ members: [], counts: { members: 0, connections: 0 } });
    expect(unlisted(presence)).toBe(0);
    expect(readPresence(undefined).members).toEqual([]);
  });

  it('shows data on one line', () => {
    expect(dataText(undefined)).toBe('');
    expect(dataText(null)).toBe('null');
    expect(dataText({ a: 1 })).toBe('{"a":1}');
    expect(dataText('x'.repeat(200), 10)).toBe('"xxxxxxxx…');
  });
});
