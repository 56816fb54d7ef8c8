import { describe, expect, it } from 'vitest';
import { asked, byArea, isOver, remaining, toneOf, type Act } from '../src/lib/approvals-api';

const act = (name: string, area: string, is_suggested: boolean): Act => ({
  name, area, is_suggested, method: 'POST', path: '/', summary: name, permission: 'a:b', mode: 'once', is_of_tenant: true, is_always: false,
});

describe('acts that wait', () => {
  it('are told from answers by their code', () => {
    expect(asked({ code: 'APPROVAL_REQUIRED', approval: { id: 'apr_1' } })?.approval.id).toBe('apr_1');
    for (const other of [undefined, null, {}, { code: 'APPROVAL_REQUIRED' }, { code: 'OTHER', approval: {} }]) expect(asked(other)).toBeUndefined();
  });

  it('say how long they wait', () => {
    expect(remaining(30 * 60_000, 0)).toBe('30 min left');
    expect(remaining(24 * 3_600_000, 0)).toBe('24 h left');
    expect(remaining(7 * 24 * 3_600_000, 0)).toBe('7 days left');
    expect(remaining(0, 60_000)).toBe('0 min left');
  });

  it('are over or not', () => {
    expect((['pending', 'approved', 'running'] as const).map(isOver)).toEqual([false, false, false]);
    expect((['done', 'failed', 'refused', 'expired', 'withdrawn', 'void'] as const).every(isOver)).toBe(true);
    expect(toneOf('done')).toBe('good');
  });

  it('are grouped, what is offered first in front', () => {
    const groups = byArea([act('a', 'keys', false), act('b', 'keys', true), act('c', 'roles', false)]);
    expect(groups.map((group) => [group.area, group.acts.map((it) => it.name)])).toEqual([['keys', ['b', 'a']], ['roles', ['c']]]);
  });
});
