import { describe, expect, it } from 'vitest';
import { SecurityApi, filledLists, pieces, untilOf, verdict, type Activity, type Finding, type SessionInForce } from '../src/lib/security-api';

describe('what the security checks find', () => {
  it('is told in one sentence', () => {
    expect(verdict({ critical: 0, warning: 0, info: 0 })).toBe('Nothing is open');
    expect(verdict({ critical: 2, warning: 1, info: 1 })).toBe('2 critical, 1 warning, 1 hint open');
    expect(verdict({ critical: 0, warning: 3, info: 0 })).toBe('3 warnings open');
  });

  it('has code in its texts', () => {
    expect(pieces('Set `edge.tls`.')).toEqual([
      { text: 'Set ', isCode: false },
      { text: 'edge.tls', isCode: true },
      { text: '.', isCode: false },
    ]);
    expect(pieces('')).toEqual([]);
  });

  it('is accepted for a year at most', () => {
    expect(untilOf(7, 0)).toBe(7 * 86_400_000);
    expect(untilOf(1_000, 0)).toBe(366 * 86_400_000);
    expect(untilOf(0, 5)).toBe(86_400_005);
  });

  it('is asked for by what is chosen, and accepted where it was found', async () => {
    const asked: unknown[] = [];
    const api = new SecurityApi((...request) => {
      asked.push(request);
      return Promise.resolve({});
    });
    await api.findings({ severity: 'critical', area: '', state: 'all', tenant: 'ten_1' }, 'c&1');
    await api.accept({ id: 'key-old:k', tenant: 'ten_1' } as Finding, 5, 'why');
    await api.accept({ id: 'disk-low:disk', tenant: null } as Finding, 5, 'why');
    await api.reopen('acp_1');
    expect(asked).toEqual([
      ['GET', '/v1/security/findings?state=all&limit=200&severity=critical&tenant=ten_1&cursor=c%261'],
      ['POST', '/v1/security/acceptances', { finding: 'key-old:k', until: 5, reason: 'why', tenant: 'ten_1' }],
      ['POST', '/v1/security/acceptances', { finding: 'disk-low:disk', until: 5, reason: 'why' }],
      ['DELETE', '/v1/security/acceptances/acp_1'],
    ]);
  });
});

describe('what happens', () => {
  it('shows lists that hold something only', () => {
    const none = { anomalies: [], totals: {}, from: 0, to: 0, is_partial: false };
    const lists = ['sign_ins_refused_by_address', 'sign_ins_refused_by_account', 'throttled_accounts', 'new_devices', 'credentials_refused_by_address', 'ended_credentials_by_actor', 'calls_refused_by_actor', 'elevations_refused_by_actor', 'deletions_by_actor'];
    const empty = Object.fromEntries(lists.map((name) => [name, []]));
    const line = { name: '1.1.1.1', count: 3, last_at: 5 };
    const activity = { ...none, ...empty, new_devices: [line] } as unknown as Activity;
    expect(filledLists(activity)).toEqual([{ name: 'Unknown devices or networks, by account', lines: [line] }]);
    expect(filledLists({ ...activity, new_devices: [] })).toEqual([]);
  });

  it('is asked for by its window, and a session ends as its user’s', async () => {
    const asked: unknown[] = [];
    const api = new SecurityApi((method, path) => {
      asked.push([method, path]);
      return Promise.resolve({});
    });
    await api.activity(168);
    await api.sessions();
    await api.sessions('a&b');
    await api.endSession({ id: 'ses_1', user: 'usr_1' } as SessionInForce);
    expect(asked).toEqual([
      ['GET', '/v1/security/activity?hours=168'],
      ['GET', '/v1/security/sessions'],
      ['GET', '/v1/security/sessions?cursor=a%26b'],
      ['DELETE', '/v1/users/usr_1/sessions/ses_1'],
    ]);
  });
});
