import { describe, expect, it } from 'vitest';
import { AclApi, addressOf, attributesOf, attributesText, conditionsOf, entryFits, listOf, type Entry } from '../src/lib/acl-api';

const entry: Entry = {
  id: 'shops',
  effect: 'allow',
  principals: ['group:shops', 'jwt:ann'],
  operations: ['publish'],
  topic: { prefix: 'ord' },
  key: { filter: 'eu/+' },
  when: { networks: ['10.0.0.0/8'], tls: true, times: [{ days: ['mon'], from: '08:00', to: '18:00' }], attributes: { team: ['red', 'blue'] } },
  note: 'for the fair',
};

describe('entries in words', () => {
  it('tells addresses', () => {
    expect(addressOf(entry)).toBe('ord…/eu/+');
    expect(addressOf({ topic: { literal: 'orders' } })).toBe('orders/#');
    expect(addressOf({ topic: { literal: 'orders' }, key: { literal: '7' } })).toBe('orders/7');
    expect(addressOf({ topic: { filter: 'orders/+' } })).toBe('orders/+');
  });

  it('tells conditions', () => {
    expect(conditionsOf(entry)).toEqual(['from 10.0.0.0/8', 'mon 08:00–18:00 UTC', 'over TLS', 'team is red or blue']);
    expect(conditionsOf({ ...entry, when: {} })).toEqual([]);
    expect(conditionsOf({ ...entry, when: { tls: false } })).toEqual(['without TLS']);
  });

  it('finds by all words, anywhere', () => {
    expect(entryFits(entry, '')).toBe(true);
    expect(entryFits(entry, 'ann PUBLISH')).toBe(true);
    expect(entryFits(entry, 'fair 10.0')).toBe(true);
    expect(entryFits(entry, 'ann read')).toBe(false);
  });

  it('reads lists and attributes, and writes them back', () => {
    expect(listOf(' a, b\n\nc ')).toEqual(['a', 'b', 'c']);
    expect(attributesOf('team=red, blue\nnothing\n=x\nlevel = 3')).toEqual({ team: ['red', 'blue'], level: ['3'] });
    expect(attributesText({ team: ['red', 'blue'] })).toBe('team=red, blue');
    expect(attributesText(undefined)).toBe('');
  });
});

describe('requests', () => {
  const asked: unknown[][] = [];
  const api = new AclApi(async (...what) => {
    asked.push(what);
    return { versions: [] };
  });

  it('name the place, or nothing for the installation', async () => {
    await api.list({ tenant: '', project: '' });
    await api.versions({ tenant: 'ten_1', project: '' });
    await api.diff({ tenant: 'ten_1', project: 'prj 2' }, 0, 3);
    await api.change({ tenant: '', project: '' }, { remove: ['a'], version: 2, note: '' });
    expect(asked).toEqual([
      ['GET', '/v1/acl'],
      ['GET', '/v1/acl/versions?tenant=ten_1'],
      ['GET', '/v1/acl/diff?tenant=ten_1&project=prj%202&from=0&to=3'],
      ['PATCH', '/v1/acl', { remove: ['a'], version: 2, note: '' }],
    ]);
  });
});
