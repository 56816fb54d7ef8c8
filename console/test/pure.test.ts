import { describe, expect, it } from 'vitest';
import { bytes, duration, shellQuote } from '../src/lib/format';
import { checkJson, tokens } from '../src/lib/json';
import { Measure, SECONDS_SHOWN } from '../src/lib/measure';
import { AGE_UNITS, join, split } from '../src/lib/retention';

describe('JSON as typed', () => {
  it.each([
    ['{"a": 1}', { kind: 'ok', value: { a: 1 } }],
    ['  ', { kind: 'empty' }],
    ['null', { kind: 'ok', value: null }],
  ])('%s', (text, expected) => expect(checkJson(text)).toEqual(expected));

  it('names the place of the mistake', () => {
    expect(checkJson('{\n  "a": x\n}')).toMatchObject({ kind: 'bad', line: 2, column: 8 });
    expect(checkJson('{"a": 1')).toMatchObject({ kind: 'bad', line: 1, column: 8 });
  });

  it('colours without changing a character', () => {
    const json = JSON.stringify({ a: [1, -2.5e3, 'x "y"', true, null], 'b c': {} }, null, 2);
    expect(tokens(json).map((token) => token.text).join('')).toBe(json);
    expect(tokens('"a": "b"').map((token) => token.kind)).toEqual(['key', 'mark', 'mark', 'text']);
  });
});

describe('measuring', () => {
  it('counts complete seconds and takes quantiles of live delays only', () => {
    const measure = new Measure(10_000);
    for (let index = 0; index < 100; index += 1) measure.note(10_000 + index, index + 1);
    measure.note(10_500);
    measure.note(11_000, 5_000);
    const series = measure.series(11_500);
    expect(series.seconds).toHaveLength(SECONDS_SHOWN);
    expect(series.perSecond.at(-2)).toBeNull();
    expect([series.perSecond.at(-1), series.p50.at(-1), series.p99.at(-1)]).toEqual([101, 50, 99]);
    expect(measure.recent(11_500, 1)).toEqual({ perSecond: 101, p50: 50, p99: 99 });
  });
});

describe('retention', () => {
  it.each([
    [604_800_000, { amount: '7', unit: 'days' }],
    [5_400_000, { amount: '90', unit: 'minutes' }],
    [null, { amount: '', unit: 'days' }],
  ])('%s', (value, shown) => {
    expect(split(value, AGE_UNITS)).toEqual(shown);
    expect(join(shown.amount, shown.unit, AGE_UNITS)).toBe(value);
  });

  it('refuses what is no positive number', () => {
    for (const amount of ['-1', '0', 'x', '1e30']) expect(join(amount, 'days', AGE_UNITS)).toBeUndefined();
  });
});

describe('formats', () => {
  it('reads well', () => {
    expect([duration(604_800_000), duration(90_000), duration(40)]).toEqual(['7 days', '1.5 minutes', '40 ms']);
    expect([bytes(512), bytes(1_610_612_736)]).toEqual(['512 B', '1.5 GiB']);
    expect(shellQuote("it's")).toBe(`'it'\\''s'`);
  });
});
