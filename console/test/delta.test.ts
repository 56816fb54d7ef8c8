import { describe, expect, it } from 'vitest';
import vectors from '../../crates/stdx/vectors/patch.json';
import { applyPatch, DeltaReader, fromBase64, PatchError } from '../src/lib/delta';
import { MainstemClient } from '../src/lib/mainstem';
import type { RecordView } from '../src/lib/wire';
import { FakeWorld, record } from './fake';

describe('patches', () => {
  it('are applied as the server makes them', () => {
    for (const { base, target, patch_base64 } of vectors.good) {
      const value = applyPatch(new TextEncoder().encode(base), fromBase64(patch_base64));
      expect(new TextDecoder().decode(value)).toBe(target);
    }
  });

  it('that do not fit are refused', () => {
    for (const { base, patch_base64 } of vectors.bad) {
      const apply = () => applyPatch(new TextEncoder().encode(base), fromBase64(patch_base64));
      expect(apply).toThrow(PatchError);
    }
  });
});

function told(offset: number, more: Partial<RecordView>): RecordView {
  const { data: _, ...plain } = record(0, offset);
  return { ...plain, key: 'a', ...more };
}

describe('a reader of differences', () => {
  const { base, target, patch_base64 } = vectors.good[0]!;

  it('gives each record its value', () => {
    const reader = new DeltaReader();
    expect(reader.read(told(1, { data_text: base })).data).toEqual(JSON.parse(base));
    const next = reader.read(told(4, { delta_base64: patch_base64, base: 1 }));
    expect(next.data).toEqual(JSON.parse(target));
    expect(next.delta_base64).toBeUndefined();
  });

  it('does not apply a patch to another value', () => {
    const reader = new DeltaReader();
    reader.read(told(1, { data_text: base }));
    expect(() => reader.read(told(4, { delta_base64: patch_base64, base: 2 }))).toThrow(PatchError);
    const other = told(4, { key: 'b', delta_base64: patch_base64, base: 1 });
    expect(() => reader.read(other)).toThrow(PatchError);
  });

  it('is what the client uses when it asks for differences', () => {
    const world = new FakeWorld();
    const client = new MainstemClient('ws://server/v1/ws', () => 'ms_test_key', world);
    client.connect();
    const socket = world.accept();
    const got: RecordView[] = [];
    const options = { filter: 'prices', delta: true, where: "key = 'a'" };
    const subscription = client.subscribe(options, { onRecord: (record) => got.push(record) });
    const asked = socket.sent.find((frame) => frame.type === 'subscribe');
    expect(asked).toMatchObject({ delta: true, where: "key = 'a'" });
    const sub = subscription.sub;
    socket.give({ type: 'record', sub, ...told(1, { data_text: base }) });
    socket.give({ type: 'record', sub, ...told(4, { delta_base64: patch_base64, base: 1 }) });
    expect(got.map((record) => record.data)).toEqual([JSON.parse(base), JSON.parse(target)]);
  });
});
