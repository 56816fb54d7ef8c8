// Periods that a compliance report is asked for, as days in UTC. Pure.

export type Preset = 'month' | 'quarter' | 'days';

/** From the first day on, and before the second; `''`: up to now. */
export interface Days {
  from: string;
  to: string;
}

const day = (year: number, month: number): string => new Date(Date.UTC(year, month, 1)).toISOString().slice(0, 10);

/** The whole month or quarter before the one that `now` is in. */
export function lastWhole(preset: 'month' | 'quarter', now: number): Days {
  const today = new Date(now);
  const length = preset === 'month' ? 1 : 3;
  const begin = today.getUTCMonth() - (today.getUTCMonth() % length);
  return { from: day(today.getUTCFullYear(), begin - length), to: day(today.getUTCFullYear(), begin) };
}

/** The last day that somebody means is in the period; the server's `to` is not. */
export function behind(last: string): string {
  const at = Date.parse(`${last}T00:00:00Z`);
  return Number.isNaN(at) ? '' : new Date(at + 24 * 3_600_000).toISOString().slice(0, 10);
}

/** What is asked for; a period that reaches up to today or beyond it ends now. */
export function reportQuery(days: Days, format: string, tenant: string, now: number): string {
  const parts: Record<string, string> = { from: days.from, format };
  if (days.to !== '' && Date.parse(`${days.to}T00:00:00Z`) <= now) parts.to = days.to;
  if (tenant !== '') parts.tenant = tenant;
  return `?${new URLSearchParams(parts)}`;
}

/** The name that the server gives the file. */
export function fileName(disposition: string | null): string {
  return /filename="([A-Za-z0-9._-]+)"/.exec(disposition ?? '')?.[1] ?? 'mainstem-report';
}
