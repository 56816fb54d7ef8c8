// Limits of a project as people set them: pure, so that they are tested without a browser.

import type { Limits } from './admin-api';

export interface LimitField {
  name: string;
  label: string;
  /** Shown in days or mebibytes, kept in milliseconds or bytes. */
  scale: number;
}

const DAY_MS = 86_400_000;
const MIB = 1_048_576;

export const LIMITS: LimitField[] = [
  { name: 'publish_per_month_max', label: 'Events published a month', scale: 1 },
  { name: 'publish_per_second_max', label: 'Events published a second', scale: 1 },
  { name: 'request_per_second_max', label: 'Requests a second', scale: 1 },
  { name: 'connections_max', label: 'Open connections', scale: 1 },
  { name: 'websocket_connections_max', label: 'Open WebSockets', scale: 1 },
  { name: 'sse_connections_max', label: 'Open event streams', scale: 1 },
  { name: 'connections_per_principal_max', label: 'Open connections of one key or user', scale: 1 },
  { name: 'subscriptions_max', label: 'Open subscriptions', scale: 1 },
  { name: 'subscriptions_per_principal_max', label: 'Open subscriptions of one key or user', scale: 1 },
  { name: 'topics_max', label: 'Topics', scale: 1 },
  { name: 'record_bytes_max', label: 'Bytes of a record', scale: 1 },
  { name: 'storage_bytes_max', label: 'Stored, in MiB', scale: MIB },
  { name: 'retention_age_ms_max', label: 'Kept, in days', scale: DAY_MS },
  { name: 'retention_bytes_max', label: 'Kept, in MiB', scale: MIB },
  { name: 'retention_records_max', label: 'Kept, in records', scale: 1 },
];

export type LimitTexts = Record<string, string>;

export const shownLimits = (limits: Limits): LimitTexts =>
  Object.fromEntries(LIMITS.map(({ name, scale }) => [name, limits[name] == null ? '' : String(limits[name] / scale)]));

/** What the fields say; the name of the first that says nothing sensible instead. */
export function readLimits(texts: LimitTexts): { limits: Limits } | { wrong: string } {
  const limits: Limits = {};
  for (const { name, scale } of LIMITS) {
    const text = (texts[name] ?? '').trim();
    if (text === '') continue;
    const value = Number(text) * scale;
    if (!Number.isFinite(value) || value < 0) return { wrong: name };
    limits[name] = Math.round(value);
  }
  return { limits };
}

export const labelOfLimit = (name: string) => LIMITS.find((it) => it.name === name)?.label ?? name;
