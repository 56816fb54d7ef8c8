// Bytes and options of passkeys, as the server writes them and the browser wants them.

import { describe, expect, it } from 'vitest';
import { creationOptions, fromBase64url, passkeyProblem, requestOptions, toBase64url } from '../src/lib/passkeys';

const bytes = (...numbers: number[]) => new Uint8Array(numbers).buffer;

describe('base64url', () => {
  it('goes both ways for every length and byte', () => {
    for (let length = 0; length < 70; length += 1) {
      const some = Uint8Array.from({ length }, (_, at) => (at * 37 + length * 11) % 256);
      const text = toBase64url(some.buffer);
      expect(text).not.toMatch(/[+/=]/);
      expect(new Uint8Array(fromBase64url(text))).toEqual(some);
    }
    expect(toBase64url(bytes(0xfb, 0xff, 0xfe))).toBe('-__-');
  });
});

describe('options', () => {
  it('have bytes where the browser wants bytes, and the rest as it was', () => {
    const known = [{ type: 'public-key', id: 'AQI', transports: ['usb'] }];
    const asked = requestOptions({ challenge: 'AAEC', rpId: 'localhost', timeout: 5, allowCredentials: known, userVerification: 'required' });
    expect(asked.challenge).toEqual(bytes(0, 1, 2));
    expect(asked.allowCredentials).toEqual([{ type: 'public-key', id: bytes(1, 2), transports: ['usb'] }]);
    expect(asked.userVerification).toBe('required');
    const made = creationOptions({ challenge: 'AAEC', user: { id: 'BQ', name: 'ann', displayName: 'Ann' }, excludeCredentials: known, attestation: 'none' });
    expect(made.user).toEqual({ id: bytes(5), name: 'ann', displayName: 'Ann' });
    expect(made.excludeCredentials?.[0]?.id).toEqual(bytes(1, 2));
    expect(made.attestation).toBe('none');
  });
});

describe('what went wrong', () => {
  it('is told in words that help', () => {
    expect(passkeyProblem(new DOMException('x', 'NotAllowedError')).message).toContain('cancelled');
    expect(passkeyProblem(new DOMException('x', 'InvalidStateError')).message).toContain('already');
    expect(passkeyProblem(new Error('as it was')).message).toBe('as it was');
  });
});
