// The pure parts of the pages that look after an installation: limits as texts, rates of counters.

import { describe, expect, it } from 'vitest';
import { LIMITS, labelOfLimit, readLimits, shownLimits } from '../src/lib/limits';
import { byLabel, Growth, sumOf } from '../src/lib/rates';

describe('limits', () => {
  it('are shown in units of people and read back', () => {
    const texts = shownLimits({ storage_bytes_max: 3 * 1_048_576, retention_age_ms_max: 129_600_000, topics_max: 0, record_bytes_max: null });
    expect(texts['storage_bytes_max']).toBe('3');
    expect(texts['retention_age_ms_max']).toBe('1.5');
    expect(texts['topics_max']).toBe('0');
    expect(texts['record_bytes_max']).toBe('');
    expect(readLimits(texts)).toEqual({ limits: { storage_bytes_max: 3_145_728, retention_age_ms_max: 129_600_000, topics_max: 0 } });
  });

  it('that say nothing sensible are named', () => {
    for (const text of ['many', '-1', '1e999', '1,000']) {
      expect(readLimits({ topics_max: text })).toEqual({ wrong: 'topics_max' });
    }
    expect(readLimits({ topics_max: '  ' })).toEqual({ limits: {} });
    expect(labelOfLimit(LIMITS[0]!.name)).toBe('Events published a month');
    expect(labelOfLimit('unheard_of')).toBe('unheard_of');
  });
});

describe('growth', () => {
  it('is told per second, and begins anew with the process', () => {
    const flow = new Growth(1, 3, 0);
    flow.add(1_000, [10]);
    expect(flow.add(3_000, [30]).lines[0]).toEqual([null, 10]);
    expect(flow.add(4_000, [5]).lines[0]).toEqual([null, 10, 5]);
    // The same moment again tells nothing, and the oldest point goes.
    expect(flow.add(4_000, [9]).lines[0]).toEqual([null, 10, 5]);
    expect(flow.add(5_000, [10]).lines[0]).toEqual([10, 5, 1]);
    expect(flow.series.seconds).toEqual([3, 4, 5]);
  });

  it('adds figures up by name and by label', () => {
    const figures = [
      { name: 'refused', labels: { code: 'A' }, value: 1 },
      { name: 'refused', labels: { code: 'B' }, value: 4 },
      { name: 'refused', labels: { code: 'A' }, value: 2 },
      { name: 'refused_total', labels: { code: 'A' }, value: 9 },
    ];
    expect(sumOf(figures, 'refused')).toBe(7);
    expect(byLabel(figures, 'refused', 'code')).toEqual([['B', 4], ['A', 3]]);
  });
});
