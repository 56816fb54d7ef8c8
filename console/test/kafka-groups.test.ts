import { describe, expect, it, vi } from 'vitest';
import { standing, targetOf, topicsOf } from '../src/lib/kafka-groups';
import { pageOf } from '../src/lib/router.svelte';

vi.hoisted(() => vi.stubGlobal('location', { pathname: '/' }));

describe('Kafka groups', () => {
  it.each([
    ['earliest', '', 'earliest'],
    ['latest', 'ignored', 'latest'],
    ['offset', ' 17 ', 'offset:17'],
    ['offset', '-1', undefined],
    ['offset', '1.5', undefined],
    ['offset', '', undefined],
    ['time', '2026-11-21T00:00:00Z', 'time:1795219200000'],
    ['time', '', undefined],
    ['time', 'yesterday', undefined],
  ] as const)('are put at %s %s as %s', (place, text, to) => expect(targetOf(place, text)).toBe(to));

  it('stand well, or are on their way', () => {
    expect(standing({ state: 'Stable' }).tone).toBe('good');
    expect(standing({ state: 'Empty' }).tone).toBe('');
    expect(standing({ state: 'PreparingRebalance' })).toEqual({ tone: 'warn', text: 'PreparingRebalance' });
  });

  it('have each topic once', () => {
    expect(topicsOf([{ topic: 'a' }, { topic: 'a' }, { topic: 'b' }])).toEqual(['a', 'b']);
  });

  it('have addresses of their own, whatever they are called', () => {
    const at = '/tenants/ten_1/projects/prj_2/groups';
    expect(pageOf(at)).toEqual({ name: 'groups', tenant: 'ten_1', project: 'prj_2' });
    expect(pageOf(`${at}/mail%2Fout`)).toEqual({ name: 'group', tenant: 'ten_1', project: 'prj_2', group: 'mail/out' });
    expect(pageOf(`${at}/a/b`).name).toBe('unknown');
  });
});
