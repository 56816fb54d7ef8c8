// What the demo page reads out of a record of `examples/replay`. Records of another shape are left
// out, since anybody may publish to these topics.

import { project } from './land';
import type { RecordView } from './wire';

export interface Place {
  x: number;
  y: number;
}

export interface Happening {
  id: string;
  kind: 'quake' | 'flight';
  title: string;
  detail: string;
  /** Magnitude, or minutes of delay. */
  size: number;
  at: Place;
  to?: Place;
  happenedAt: number;
  arrivedAt: number;
}

const number = (value: unknown) => (typeof value === 'number' && Number.isFinite(value) ? value : undefined);
const text = (value: unknown) => (typeof value === 'string' ? value : undefined);

export function happening(record: RecordView, arrivedAt: number): Happening | undefined {
  if (typeof record.data !== 'object' || record.data === null) return undefined;
  const data = record.data as Record<string, any>;
  return data['magnitude'] === undefined ? flight(record, data, arrivedAt) : quake(record, data, arrivedAt);
}

function place(from: Record<string, unknown> | null | undefined): Place | undefined {
  const longitude = number(from?.['longitude']);
  const latitude = number(from?.['latitude']);
  return longitude === undefined || latitude === undefined ? undefined : project(longitude, latitude);
}

function quake(record: RecordView, data: Record<string, any>, arrivedAt: number): Happening | undefined {
  const at = place(data);
  const size = number(data['magnitude']);
  if (at === undefined || size === undefined) return undefined;
  const depth = number(data['depth_km']);
  return {
    id: record.id,
    kind: 'quake',
    title: text(data['place']) ?? 'Unnamed place',
    detail: depth === undefined ? '' : `${depth.toFixed(0)} km deep`,
    size,
    at,
    happenedAt: number(data['time_ms']) ?? record.timestamp,
    arrivedAt,
  };
}

function flight(record: RecordView, data: Record<string, any>, arrivedAt: number): Happening | undefined {
  const at = place(data['from']);
  const to = place(data['to']);
  const size = number(data['delay_minutes']);
  if (at === undefined || to === undefined || size === undefined) return undefined;
  return {
    id: record.id,
    kind: 'flight',
    title: `${text(data['origin'])} → ${text(data['destination'])}`,
    detail: `${text(data['from']?.city) ?? ''} to ${text(data['to']?.city) ?? ''}`,
    size,
    at,
    to,
    happenedAt: number(data['time_ms']) ?? record.timestamp,
    arrivedAt,
  };
}

/** An arc above the straight line between two places, as the path of a flight. */
export function arcPath(from: Place, to: Place): string {
  const lift = Math.hypot(to.x - from.x, to.y - from.y) * 0.18;
  const middle = { x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 - lift };
  return `M${from.x} ${from.y}Q${middle.x} ${middle.y} ${to.x} ${to.y}`;
}
