import { describe, expect, it } from 'vitest';
import {
  ABOUT, AclApi, addressOf, askedBy, attributesOf, attributesText, conditionsOf, entryFits, listOf, operationsOf, OPERATIONS, spokenBy, spokenOf,
  subjectOf, turnedTo, type Entry, type Spoken,
} from '../src/lib/acl-api';

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

const billing: Entry = {
  id: 'billing',
  effect: 'allow',
  principals: ['jwt:bob'],
  operations: ['read'],
  consumer_group: { prefix: 'bill' },
};

describe('entries in words', () => {
  it('tells addresses', () => {
    expect(addressOf(entry)).toBe('ord…/eu/+');
    expect(addressOf({ topic: { literal: 'orders' } })).toBe('orders/#');
    expect(addressOf({ topic: { literal: 'orders' }, key: { literal: '7' } })).toBe('orders/7');
    expect(addressOf({ topic: { filter: 'orders/+' } })).toBe('orders/+');
  });

  it('tells groups and transactional ids', () => {
    const cases: [Spoken, string][] = [
      [{ consumer_group: { literal: 'billing' } }, 'group billing'],
      [{ consumer_group: { prefix: 'bill' } }, 'group bill…'],
      [{ consumer_group: { prefix: '' } }, 'every group'],
      [{ transactional_id: { literal: 'payer' } }, 'transactional id payer'],
      [{ transactional_id: { prefix: 'pay' } }, 'transactional id pay…'],
      [{ transactional_id: { prefix: '' } }, 'every transactional id'],
      [{}, 'nothing known here'],
      [{ key: { literal: '7' } }, 'nothing known here'],
    ];
    for (const [spoken, words] of cases) expect(addressOf(spoken)).toBe(words);
    expect(spokenOf({ consumer_group: { prefix: 'bill' } })).toEqual({ noun: 'group', which: 'bill…' });
    expect(spokenOf({ topic: { literal: 'orders' } })).toEqual({ noun: '', which: 'orders/#' });
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
    expect(entryFits(billing, 'group BILL')).toBe(true);
    expect(entryFits(billing, 'transactional')).toBe(false);
    expect(entryFits({ ...billing, consumer_group: undefined, transactional_id: { prefix: '' } }, 'every transactional')).toBe(true);
  });

  it('reads lists and attributes, and writes them back', () => {
    expect(listOf(' a, b\n\nc ')).toEqual(['a', 'b', 'c']);
    expect(attributesOf('team=red, blue\nnothing\n=x\nlevel = 3')).toEqual({ team: ['red', 'blue'], level: ['3'] });
    expect(attributesText({ team: ['red', 'blue'] })).toBe('team=red, blue');
    expect(attributesText(undefined)).toBe('');
  });
});

describe('fields of the form', () => {
  it('say what the entry said', () => {
    const cases: Spoken[] = [
      { topic: { literal: 'orders' } },
      { topic: { prefix: 'ord' }, key: { filter: 'eu/+' } },
      { topic: { filter: 'orders/eu/+' } },
      { consumer_group: { literal: 'billing' } },
      { consumer_group: { prefix: '' } },
      { consumer_group: { prefix: 'team ' } },
      { transactional_id: { prefix: 'pay' } },
    ];
    for (const spoken of cases) expect(spokenBy(subjectOf(spoken))).toEqual(spoken);
    expect(subjectOf(undefined)).toEqual({ about: 'topic', kind: 'literal', text: '', keyKind: '', key: '' });
    expect(subjectOf({}).about).toBe('topic');
  });

  it('leave out what a name has not: filters and keys', () => {
    const filter = subjectOf({ topic: { filter: 'orders' }, key: { literal: '7' } });
    expect(spokenBy(turnedTo(filter, 'consumer_group'))).toEqual({ consumer_group: { literal: 'orders' } });
    expect(turnedTo(filter, 'topic')).toEqual(filter);
    expect(turnedTo(subjectOf(billing), 'transactional_id').kind).toBe('prefix');
  });

  it('keep the operations that can be done with it', () => {
    expect(operationsOf('topic', ['manage', 'publish'])).toEqual(['publish', 'manage']);
    expect(operationsOf('topic', OPERATIONS)).toEqual(['all']);
    expect(operationsOf('consumer_group', ['publish', 'read', 'presence'])).toEqual(['read']);
    expect(operationsOf('consumer_group', OPERATIONS)).toEqual(['all']);
    expect(operationsOf('transactional_id', ['publish', 'describe'])).toEqual(['all']);
    expect(operationsOf('transactional_id', ['read', 'manage'])).toEqual([]);
    expect(ABOUT.consumer_group.operations).toEqual(['read', 'describe', 'manage']);
  });

  it('ask about one thing', () => {
    expect(askedBy('topic', ' orders ', '')).toEqual({ topic: 'orders' });
    expect(askedBy('topic', 'orders', ' 7')).toEqual({ topic: 'orders', key: ' 7' });
    expect(askedBy('consumer_group', 'team ', '7')).toEqual({ consumer_group: 'team ' });
    expect(askedBy('transactional_id', 'pay-1', '')).toEqual({ transactional_id: 'pay-1' });
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
