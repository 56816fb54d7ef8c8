import { describe, expect, it } from 'vitest';
import { ConditionError, conditionsOf, fieldsOf, inWords, notedOf, notedText, windowOf, windowText, type Conditions } from '../src/lib/role-conditions';

const whole: Conditions = {
  networks: ['10.0.0.0/8', '2001:db8::/32'],
  hours: { zone: 'Europe/Berlin', windows: [{ days: ['mon', 'tue', 'wed', 'sat'], from: '08:00', to: '18:00' }, { from: '22:00', to: '23:00' }] },
  strong_sign_in: true,
  signed_in_minutes_max: 30,
  tls: true,
  attributes: { department: ['ops', 'legal'] },
};

describe('conditions of roles', () => {
  it('come out of the form as they went in', () => {
    expect(conditionsOf(fieldsOf(whole, 'UTC'))).toEqual(whole);
    expect(conditionsOf(fieldsOf(null, 'Europe/Berlin'))).toEqual({});
    expect(fieldsOf(null, 'Europe/Berlin').zone).toBe('Europe/Berlin');
    expect(fieldsOf({ hours: { windows: [{ from: '08:00', to: '09:00' }] } }, 'Europe/Berlin').zone).toBe('UTC');
  });

  it('read hours as people write them', () => {
    expect(windowOf('mon-fri 08:00-18:00')).toEqual({ days: ['mon', 'tue', 'wed', 'thu', 'fri'], from: '08:00', to: '18:00' });
    expect(windowOf('sat-mon 22:00-06:00').days).toEqual(['sat', 'sun', 'mon']);
    expect(windowOf('08:00 - 18:00'.replaceAll(' ', ''))).toEqual({ from: '08:00', to: '18:00' });
    for (const wrong of ['monday 08:00-18:00', '8-18', 'mon', 'mon-fri']) expect(() => windowOf(wrong)).toThrow(ConditionError);
    expect(windowText({ days: ['mon', 'tue', 'thu', 'fri', 'sat'], from: '08:00', to: '18:00' })).toBe('mon,tue,thu-sat 08:00-18:00');
  });

  it('say what cannot be read, and where', () => {
    const field = (change: object) => {
      try {
        conditionsOf({ ...fieldsOf(null, 'UTC'), ...change });
      } catch (error) {
        return (error as ConditionError).field;
      }
      return undefined;
    };
    expect(field({ hours: 'always' })).toBe('conditions.hours');
    expect(field({ minutes: 'ten' })).toBe('conditions.signed_in_minutes_max');
    expect(field({ attributes: 'ops' })).toBe('conditions.attributes');
    expect(field({ attributes: 'department=' })).toBe('conditions.attributes');
  });

  it('are told in words', () => {
    expect(inWords(null)).toEqual([]);
    expect(inWords(whole)).toEqual([
      'from 10.0.0.0/8, 2001:db8::/32', 'mon-wed,sat 08:00-18:00; 22:00-23:00 Europe/Berlin', 'with a second factor or a passkey',
      '30 min after proving who one is', 'over TLS', 'department is ops or legal',
    ]);
  });

  it('ask about what was noted', () => {
    const noted = { department: 'ops', site: 'a=b' };
    expect(notedOf(notedText(noted))).toEqual(noted);
    expect(() => notedOf('ops')).toThrow(ConditionError);
  });
});
