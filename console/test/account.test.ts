import { describe, expect, it } from 'vitest';
import { type AccountMetric, counted, hours, level, money, trend } from '../src/lib/account';

const metric = (over: Partial<AccountMetric>): AccountMetric => ({
  metric: 'events_published',
  used: 0,
  forecast: 0,
  included: null,
  soft_max: null,
  hard_max: null,
  amount_minor: 0,
  forecast_minor: 0,
  last_week: 0,
  week_before: 0,
  ...over,
});

describe('the account', () => {
  it('tells how near a bound is', () => {
    expect(level(metric({ used: 5 })).level).toBe('free');
    expect(level(metric({ used: 79, hard_max: 100 }))).toEqual({ level: 'calm', percent: 79, bound: 100 });
    expect(level(metric({ used: 80, hard_max: 100, soft_max: 10 })).level).toBe('near');
    expect(level(metric({ used: 100, soft_max: 100 })).level).toBe('over');
    expect(level(metric({ used: 1, hard_max: 0 })).level).toBe('over');
    expect(level(metric({ used: 1, included: 2 })).bound).toBe(2);
  });

  it('writes money with the digits of its currency', () => {
    expect(money(4_900, 'usd')).toBe('$49.00');
    expect(money(4_900, 'jpy')).toBe('¥4,900');
    expect(money(7, 'x')).toBe('7 X');
  });

  it('compares weeks', () => {
    expect(trend(metric({}))).toBe('–');
    expect(trend(metric({ last_week: 3 }))).toBe('new');
    expect(trend(metric({ last_week: 15, week_before: 10 }))).toBe('+50 %');
    expect(trend(metric({ last_week: 5, week_before: 10 }))).toBe('-50 %');
  });

  it('counts begun minutes and fills hours without use', () => {
    expect(counted('connection_seconds', 61)).toBe(2);
    const hour = 3_600_000;
    const windows = [
      { metric: 'events_published', window_start: 10 * hour, quantity: 4 },
      { metric: 'api_requests', window_start: 10 * hour, quantity: 9 },
    ];
    expect(hours(windows, 'events_published', 3, 11 * hour + 5)).toEqual([0, 4, 0]);
  });
});
