/**
 * Values told as differences (`"delta":true` in a subscribe): the patch format of the WebSocket
 * manual, and the reader that keeps what patches are applied to. Knows no socket and no page.
 */
import type { RecordView } from './wire';

/** A value longer than this is not built, whatever a patch says. */
export const VALUE_BYTES_MAX = 1024 * 1024;

export class PatchError extends Error {}

/** Steps of the patch: `count << 1` takes bytes of the patch, `count << 1 | 1` copies of the base. */
export function applyPatch(base: Uint8Array, patch: Uint8Array): Uint8Array {
  const pieces: Uint8Array[] = [];
  let length = 0;
  let at = 0;
  const number = (): number => {
    let value = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = patch[at++];
      if (byte === undefined) throw new PatchError('the patch ends within a number');
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw new PatchError('a number of the patch is too long');
  };
  while (at < patch.length) {
    const step = number();
    const count = step >>> 1;
    const isCopy = (step & 1) === 1;
    const source = isCopy ? base : patch;
    const from = isCopy ? number() : at;
    if (from + count > source.length) throw new PatchError('a step reaches beyond its source');
    length += count;
    if (length > VALUE_BYTES_MAX) throw new PatchError('the value is too long');
    pieces.push(source.subarray(from, from + count));
    if (!isCopy) at += count;
  }
  const value = new Uint8Array(length);
  let end = 0;
  for (const piece of pieces) {
    value.set(piece, end);
    end += piece.length;
  }
  return value;
}

/** One subscription's values, by topic and key: what the next patch of each key is applied to. */
export class DeltaReader {
  private readonly values = new Map<string, { offset: number; bytes: Uint8Array }>();

  /** The record with its value in `data` (or `data_base64` when it is not JSON). */
  read(record: RecordView): RecordView {
    const { data_text, delta_base64, base, ...rest } = record;
    const place = `${record.topic}\u0000${record.key ?? record.key_base64 ?? ''}`;
    if (delta_base64 === undefined && data_text === undefined) {
      this.values.delete(place);
      return record;
    }
    const bytes =
      delta_base64 === undefined
        ? new TextEncoder().encode(data_text)
        : applyPatch(this.base(place, base), fromBase64(delta_base64));
    this.values.set(place, { offset: record.offset, bytes });
    return { ...rest, ...view(bytes) };
  }

  private base(place: string, offset: number | undefined): Uint8Array {
    const held = this.values.get(place);
    if (held === undefined || held.offset !== offset) {
      throw new PatchError('the value that the patch is of is not here');
    }
    return held.bytes;
  }
}

function view(bytes: Uint8Array): { data: unknown } | { data_base64: string } {
  try {
    return { data: JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) };
  } catch {
    return { data_base64: btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join('')) };
  }
}

export function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}
