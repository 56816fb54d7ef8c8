// The audit trail and alerts as the admin API gives them. Pure but for what it is handed to ask with.

import { fileName } from './report-period';

export interface AuditRecord {
  id: string;
  tenant: string | null;
  project: string | null;
  actor: string;
  action: string;
  target: string;
  details: unknown;
  at: number;
  outcome: 'done' | 'refused' | 'failed';
  address: string | null;
  request: string | null;
  count: number;
  sequence: number | null;
  previous: string | null;
  hash: string | null;
}

export interface AuditSearch {
  tenant: string;
  actor: string;
  action: string;
  target: string;
  outcome: string;
  /** As `datetime-local` has them: the reader's own time. */
  from: string;
  to: string;
}

export interface Verdict {
  holds: boolean;
  records: number;
  first: number | null;
  last: { sequence: number; hash: string } | null;
  broken: { sequence: number; place: string; why: string } | null;
  next_cursor: string | null;
}

export type Severity = 'info' | 'warning' | 'critical';

export interface Alert {
  id: string;
  rule: string;
  name: string;
  severity: Severity;
  labels: Record<string, string>;
  summary: string;
  state: 'pending' | 'firing' | 'resolved';
  value: number;
  started_at: number;
  fired_at: number | null;
  resolved_at: number | null;
  notified_at: number | null;
}

export interface MetricTerms {
  name: string;
  labels?: Record<string, string>;
  measure?: string;
  quantile?: number | null;
  window_seconds?: number;
  by?: string[];
  aggregate?: string;
  comparison: string;
  threshold: number;
}

export interface EventTerms {
  action: string;
  outcome?: string | null;
  tenant?: string | null;
  count_min?: number;
  window_seconds?: number;
}

export interface Terms {
  source: { metric?: MetricTerms; event?: EventTerms };
  for_seconds?: number;
  repeat_seconds?: number;
  channels?: string[] | null;
  summary?: string;
}

export interface Rule {
  id: string;
  name: string;
  built_in: string | null;
  terms: Terms;
  severity: Severity;
  is_enabled: boolean;
}

export interface Channel {
  id: string;
  name: string;
  kind: 'mail' | 'webhook' | 'slack';
  address: string;
  severity_min: Severity;
  is_enabled: boolean;
}

export interface Silence {
  id: string;
  rule: string | null;
  labels: Record<string, string>;
  reason: string;
  actor: string;
  ends_at: number;
}

export interface Notice {
  id: string;
  alert: string | null;
  channel: string;
  kind: string;
  body: { name?: string };
  attempts: number;
  created_at: number;
  outcome: string | null;
  error: string | null;
}

export interface Metric {
  name: string;
  kind: 'counter' | 'gauge' | 'histogram';
  meaning: string;
}

export const noSearch = (): AuditSearch => ({ tenant: '', actor: '', action: '', target: '', outcome: '', from: '', to: '' });

/** What a search adds to an address, beginning with `?`; empty for everything. */
export function auditQuery(search: AuditSearch, more: Record<string, string> = {}): string {
  const parts: Record<string, string> = { ...more };
  for (const name of ['tenant', 'actor', 'action', 'target', 'outcome'] as const) {
    if (search[name].trim() !== '') parts[name] = search[name].trim();
  }
  for (const name of ['from', 'to'] as const) {
    const at = Date.parse(search[name]);
    if (!Number.isNaN(at)) parts[name] = String(at);
  }
  const text = new URLSearchParams(parts).toString();
  return text === '' ? '' : `?${text}`;
}

/** `usr_…:ann@example.org` is shown as the address. */
export function actorName(actor: string): string {
  return /^usr_[0-9a-f]+:(.+)$/.exec(actor)?.[1] ?? actor;
}

/** What a rule watches, in words. */
export function condition(terms: Terms): string {
  const { metric, event } = terms.source;
  if (event !== undefined) {
    const times = event.count_min === undefined || event.count_min === 1 ? '' : ` ${event.count_min} times`;
    return `${event.action}${times} within ${event.window_seconds ?? 300} s`;
  }
  if (metric === undefined) return '';
  const measure = metric.measure === undefined || metric.measure === 'value' ? '' : `${metric.measure} of `;
  const labels = Object.entries(metric.labels ?? {}).map(([name, value]) => `${name}=${value}`);
  const place = labels.length === 0 ? '' : ` {${labels.join(', ')}}`;
  return `${measure}${metric.name}${place} ${metric.comparison.replace('_', ' ')} ${metric.threshold}`;
}

/** `tenant=ten_1, code=INTERNAL` into an object; what is not such a pair is left out. */
export function pairs(text: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const part of text.split(',')) {
    const [name = '', ...rest] = part.split('=');
    if (name.trim() !== '' && rest.length > 0) found[name.trim()] = rest.join('=').trim();
  }
  return found;
}

/** Splits a text stream of events (`data:` lines, a blank line ends one) into their data. */
export class EventText {
  private rest = '';

  push(text: string): string[] {
    const events = (this.rest + text).split('\n\n');
    this.rest = events.pop() ?? '';
    return events
      .map((event) => event.split('\n').filter((line) => line.startsWith('data: ')))
      .filter((lines) => lines.length > 0)
      .map((lines) => lines.map((line) => line.slice(6)).join('\n'));
  }
}

type Ask = (method: string, path: string, body?: unknown) => Promise<any>;
type Open = (path: string, signal: AbortSignal) => Promise<Response>;

export class WatchApi {
  constructor(
    private readonly ask: Ask,
    private readonly open: Open,
  ) {}

  audit = (search: AuditSearch, cursor = ''): Promise<{ records: AuditRecord[]; next_cursor: string | null }> =>
    this.ask('GET', `/v1/audit${auditQuery(search, cursor === '' ? { limit: '50' } : { limit: '50', cursor })}`);

  /** Calls `onrecord` for what is written, until aborted or the server ends it. */
  async follow(search: AuditSearch, signal: AbortSignal, onrecord: (record: AuditRecord) => void): Promise<void> {
    const live = { ...search, from: '', to: '' };
    const response = await this.open(`/v1/audit/live${auditQuery(live)}`, signal);
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    const events = new EventText();
    for (;;) {
      const piece = await reader?.read();
      if (piece === undefined || piece.done) return;
      for (const data of events.push(piece.value)) onrecord(JSON.parse(data) as AuditRecord);
    }
  }

  /** Walks the whole chain, part by part. */
  async verify(): Promise<Verdict> {
    let records = 0;
    let first: number | null = null;
    let cursor = '';
    for (;;) {
      const place = cursor === '' ? '' : `?cursor=${encodeURIComponent(cursor)}`;
      const part = (await this.ask('GET', `/v1/audit/verify${place}`)) as Verdict;
      records += part.records;
      first ??= part.first;
      if (part.next_cursor === null || !part.holds) return { ...part, records, first };
      cursor = part.next_cursor;
    }
  }

  export = async (search: AuditSearch, format: string): Promise<Blob> =>
    (await this.open(`/v1/audit/export${auditQuery(search, { format })}`, AbortSignal.timeout(300_000))).blob();

  report = async (query: string): Promise<{ blob: Blob; name: string }> => {
    const answer = await this.open(`/v1/audit/compliance${query}`, AbortSignal.timeout(300_000));
    return { blob: await answer.blob(), name: fileName(answer.headers.get('content-disposition')) };
  };

  alerts = async (query: string): Promise<Alert[]> => (await this.ask('GET', `/v1/alerts?limit=100${query}`)).alerts;
  rules = async (): Promise<Rule[]> => (await this.ask('GET', '/v1/alerts/rules')).rules;
  createRule = (rule: Omit<Rule, 'id' | 'built_in' | 'is_enabled'>): Promise<Rule> => this.ask('POST', '/v1/alerts/rules', rule);
  changeRule = (id: string, patch: Partial<Omit<Rule, 'id' | 'built_in'>>): Promise<Rule> => this.ask('PATCH', place('rules', id), patch);
  deleteRule = (id: string): Promise<void> => this.ask('DELETE', place('rules', id));
  metrics = async (): Promise<Metric[]> => (await this.ask('GET', '/v1/alerts/metrics')).metrics;
  channels = async (): Promise<Channel[]> => (await this.ask('GET', '/v1/alerts/channels')).channels;
  createChannel = (wish: { name: string; kind: string; address: string; severity_min: string }): Promise<{ channel: Channel; secret: string | null }> =>
    this.ask('POST', '/v1/alerts/channels', wish);
  testChannel = (id: string): Promise<void> => this.ask('POST', `${place('channels', id)}/test`);
  changeChannel = (id: string, patch: { is_enabled: boolean }): Promise<Channel> => this.ask('PATCH', place('channels', id), patch);
  deleteChannel = (id: string): Promise<void> => this.ask('DELETE', place('channels', id));
  silences = async (): Promise<Silence[]> => (await this.ask('GET', '/v1/alerts/silences')).silences;
  silence = (wish: { rule?: string; labels: Record<string, string>; reason: string; ends_at: number }): Promise<Silence> =>
    this.ask('POST', '/v1/alerts/silences', wish);
  endSilence = (id: string): Promise<void> => this.ask('DELETE', place('silences', id));
  notices = async (): Promise<Notice[]> => (await this.ask('GET', '/v1/alerts/notices?limit=50')).notices;
}

function place(list: string, id: string): string {
  return `/v1/alerts/${list}/${encodeURIComponent(id)}`;
}
