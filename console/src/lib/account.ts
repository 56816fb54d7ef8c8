// The account behind a project as the Usage page needs it: pure, so that it is tested without a
// browser. Money arrives as whole minor units and stays whole.

export interface AccountMetric {
  metric: string;
  used: number;
  forecast: number;
  included: number | null;
  soft_max: number | null;
  hard_max: number | null;
  amount_minor: number;
  forecast_minor: number;
  last_week: number;
  week_before: number;
}

export interface Account {
  plan: string;
  status: string;
  status_reason: string | null;
  trial_ends_at: number | null;
  grace_ends_at: number | null;
  stop_reason: string | null;
  stop_until: number | null;
  period_start: number;
  period_end: number;
  currency: string;
  base_minor: number;
  metrics: AccountMetric[];
  projects: { project: string; used: Record<string, number>; stored_bytes: number }[];
  total_minor: number;
  forecast_minor: number;
  budgets: { id: string; name: string; metric: string | null; amount: number; action: string }[];
  hints: string[];
}

export interface UsageWindow {
  metric: string;
  window_start: number;
  quantity: number;
}

const NAMES: Record<string, string> = {
  events_published: 'Events published',
  events_delivered: 'Events delivered',
  connection_seconds: 'Connection minutes',
  api_requests: 'API requests',
  bytes_published: 'Bytes published',
  bytes_delivered: 'Bytes delivered',
  stored_byte_hours: 'Byte-hours stored',
};

/** All that is metered. */
export const METRICS = Object.keys(NAMES);

export const nameOf = (metric: string) => NAMES[metric] ?? metric;

/** As people count it: connection seconds as begun minutes. */
export const counted = (metric: string, quantity: number) =>
  metric === 'connection_seconds' ? Math.ceil(quantity / 60) : quantity;

/** Minor units as an amount of the currency; the number of its digits is the currency's own. */
export function money(minor: number, currency: string): string {
  const code = currency.toUpperCase();
  try {
    const style = new Intl.NumberFormat('en', { style: 'currency', currency: code });
    const digits = style.resolvedOptions().maximumFractionDigits ?? 2;
    return style.format(minor / 10 ** digits);
  } catch {
    return `${minor} ${code}`;
  }
}

export type Level = 'free' | 'calm' | 'near' | 'over';

/** How near the tightest bound is, and how much of it is used, in whole percent. */
export function level(metric: AccountMetric): { level: Level; percent: number; bound: number | null } {
  const bound = metric.hard_max ?? metric.soft_max ?? (metric.included || null);
  if (bound === null) return { level: 'free', percent: 0, bound };
  const percent = bound === 0 ? 100 : Math.floor((metric.used * 100) / bound);
  return { level: percent >= 100 ? 'over' : percent >= 80 ? 'near' : 'calm', percent, bound };
}

/** The last seven days against the seven before; nothing when there was nothing. */
export function trend(metric: AccountMetric): string {
  if (metric.week_before === 0) return metric.last_week === 0 ? '–' : 'new';
  const percent = Math.round(((metric.last_week - metric.week_before) * 100) / metric.week_before);
  return `${percent > 0 ? '+' : ''}${percent} %`;
}

/** Hours without a window had no use; the newest `count` hours, oldest first. */
export function hours(windows: UsageWindow[], metric: string, count: number, nowMs: number): number[] {
  const hour = 3_600_000;
  const last = Math.floor(nowMs / hour) * hour;
  const known = new Map(windows.filter((it) => it.metric === metric).map((it) => [it.window_start, it.quantity]));
  return Array.from({ length: count }, (_, index) => known.get(last - (count - 1 - index) * hour) ?? 0);
}
