// The pure parts of the pages Audit and Alerts.

import { describe, expect, it } from 'vitest';
import { behind, fileName, lastWhole, reportQuery } from '../src/lib/report-period';
import { actorName, auditQuery, condition, EventText, noSearch, pairs } from '../src/lib/watch-api';

describe('searching the trail', () => {
  it('names only what is asked for', () => {
    expect(auditQuery(noSearch())).toBe('');
    const search = { ...noSearch(), action: ' key.* ', from: '2026-11-21T00:00:00Z', to: 'soon' };
    expect(auditQuery(search, { limit: '5' })).toBe(`?limit=5&action=key.*&from=${Date.UTC(2026, 10, 21)}`);
  });

  it('shows people by their address', () => {
    expect(actorName('usr_0190a5c3:ann@example.org')).toBe('ann@example.org');
    expect(actorName('operator')).toBe('operator');
  });

  it('reads events from pieces, whatever the cuts', () => {
    const text = ': following\n\nid: 1\nevent: record\ndata: {"a":1}\n\nid: 2\nevent: record\ndata: {"a":2}\n\n';
    for (let cut = 0; cut <= text.length; cut += 1) {
      const events = new EventText();
      expect([...events.push(text.slice(0, cut)), ...events.push(text.slice(cut))]).toEqual(['{"a":1}', '{"a":2}']);
    }
  });
});

describe('periods of reports', () => {
  it('are the whole month or quarter before', () => {
    expect(lastWhole('month', Date.UTC(2026, 10, 22))).toEqual({ from: '2026-10-01', to: '2026-11-01' });
    expect(lastWhole('month', Date.UTC(2026, 0, 1))).toEqual({ from: '2025-12-01', to: '2026-01-01' });
    expect(lastWhole('quarter', Date.UTC(2026, 10, 22))).toEqual({ from: '2026-07-01', to: '2026-10-01' });
    expect(lastWhole('quarter', Date.UTC(2026, 2, 31, 23))).toEqual({ from: '2025-10-01', to: '2026-01-01' });
  });

  it('have their last day in them, and end now when they reach up to today', () => {
    expect(behind('2026-02-28')).toBe('2026-03-01');
    expect(behind('')).toBe('');
    const now = Date.UTC(2026, 10, 22, 12);
    expect(reportQuery({ from: '2026-10-01', to: '2026-11-01' }, 'json', 'ten_1', now)).toBe('?from=2026-10-01&format=json&to=2026-11-01&tenant=ten_1');
    expect(reportQuery({ from: '2026-11-01', to: behind('2026-11-22') }, 'markdown', '', now)).toBe('?from=2026-11-01&format=markdown');
  });

  it('give files the name that the server says', () => {
    expect(fileName('attachment; filename="mainstem-report-ten_1-2026-10-01-2026-11-01.md"')).toBe('mainstem-report-ten_1-2026-10-01-2026-11-01.md');
    expect(fileName('attachment; filename="../../x"')).toBe('mainstem-report');
    expect(fileName(null)).toBe('mainstem-report');
  });
});

describe('rules in words', () => {
  it('of figures and of the trail', () => {
    const metric = { name: 'm', comparison: 'at_least', threshold: 3, labels: { code: 'X' }, measure: 'rate' };
    expect(condition({ source: { metric } })).toBe('rate of m {code=X} at least 3');
    expect(condition({ source: { event: { action: 'key.*', count_min: 5, window_seconds: 60 } } })).toBe('key.* 5 times within 60 s');
  });

  it('labels are pairs', () => {
    expect(pairs('a=1, b = x=y,, c')).toEqual({ a: '1', b: 'x=y' });
  });
});
