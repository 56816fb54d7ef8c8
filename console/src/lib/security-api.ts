// What the security checks find, as the admin API gives it. Pure but for what it is handed to ask
// with.

import type { Severity } from './watch-api';

export type Area = 'configuration' | 'records' | 'running';
export type FindingState = 'open' | 'accepted' | 'all';

export interface Acceptance {
  id: string;
  finding: string;
  reason: string;
  actor: string;
  at: number;
  until: number;
}

export interface Finding {
  id: string;
  check: string;
  area: Area;
  severity: Severity;
  title: string;
  subject: string;
  tenant: string | null;
  project: string | null;
  found: string;
  why: string;
  cure: string;
  docs: string;
  acceptance: Acceptance | null;
}

export interface Findings {
  at: number;
  open: Record<Severity, number>;
  accepted: number;
  is_partial: boolean;
  findings: Finding[];
  next_cursor: string | null;
}

export interface FindingSearch {
  severity: string;
  area: string;
  state: FindingState;
  tenant: string;
}

export const SEVERITIES: readonly Severity[] = ['critical', 'warning', 'info'];
export const TONES: Record<Severity, '' | 'warn' | 'bad'> = { info: '', warning: 'warn', critical: 'bad' };
export const AREAS: Record<Area, string> = {
  configuration: 'Configuration',
  records: 'People, keys and lists',
  running: 'The running process',
};
/** Items of one page. */
const LIMIT = '200';

/** One sentence for what is open; what screen readers hear first. */
export function verdict(open: Record<Severity, number>): string {
  const parts = SEVERITIES.filter((severity) => open[severity] > 0).map((severity) => {
    const count = open[severity];
    const word = severity === 'critical' ? 'critical' : severity === 'warning' ? (count === 1 ? 'warning' : 'warnings') : count === 1 ? 'hint' : 'hints';
    return `${count} ${word}`;
  });
  return parts.length === 0 ? 'Nothing is open' : `${parts.join(', ')} open`;
}

/** The moment that many days from now, at most a year. */
export const untilOf = (days: number, now: number): number => now + Math.min(Math.max(days, 1), 366) * 86_400_000;

/** Code in a text, as the checks write it: `` `edge.tls` ``. */
export function pieces(text: string): { text: string; isCode: boolean }[] {
  return text
    .split('`')
    .map((part, index) => ({ text: part, isCode: index % 2 === 1 }))
    .filter((piece) => piece.text !== '');
}

export class SecurityApi {
  constructor(private readonly ask: (method: string, path: string, body?: unknown) => Promise<any>) {}

  findings = (search: FindingSearch, cursor = ''): Promise<Findings> => {
    const parts = new URLSearchParams({ state: search.state, limit: LIMIT });
    for (const name of ['severity', 'area', 'tenant'] as const) if (search[name] !== '') parts.set(name, search[name]);
    if (cursor !== '') parts.set('cursor', cursor);
    return this.ask('GET', `/v1/security/findings?${parts}`);
  };

  accept = (finding: Finding, until: number, reason: string): Promise<Acceptance> =>
    this.ask('POST', '/v1/security/acceptances', { finding: finding.id, until, reason, ...(finding.tenant === null ? {} : { tenant: finding.tenant }) });

  activity = (hours: number): Promise<Activity> => this.ask('GET', `/v1/security/activity?hours=${hours}`);

  sessions = (cursor = ''): Promise<{ sessions: SessionInForce[]; next_cursor: string | null }> =>
    this.ask('GET', `/v1/security/sessions${cursor === '' ? '' : `?cursor=${encodeURIComponent(cursor)}`}`);

  endSession = (session: SessionInForce): Promise<void> => this.ask('DELETE', `/v1/users/${session.user}/sessions/${session.id}`);

  reopen = (acceptance: string): Promise<void> => this.ask('DELETE', `/v1/security/acceptances/${acceptance}`);
}

export interface Line {
  name: string;
  count: number;
  last_at: number;
}

export interface Anomaly {
  rule: string;
  severity: Severity;
  title: string;
  why: string;
  advice: string;
  subject: string;
  what: string;
  count: number;
  at: number;
}

export interface Activity {
  from: number;
  to: number;
  is_partial: boolean;
  totals: Record<string, number>;
  anomalies: Anomaly[];
  sign_ins_refused_by_address: Line[];
  sign_ins_refused_by_account: Line[];
  throttled_accounts: Line[];
  new_devices: Line[];
  credentials_refused_by_address: Line[];
  ended_credentials_by_actor: Line[];
  calls_refused_by_actor: Line[];
  elevations_refused_by_actor: Line[];
  deletions_by_actor: Line[];
}

export interface SessionInForce {
  id: string;
  user: string;
  email: string;
  device: string;
  address: string;
  created_at: number;
  seen_at: number;
  is_current: boolean;
  last_act: { action: string; at: number; address: string | null } | null;
}

/** What is counted, in the words of the page. */
export const TOTALS: readonly [string, string][] = [
  ['sign_ins', 'Sign-ins'],
  ['sign_ins_refused', 'Sign-ins refused'],
  ['throttled', 'Accounts that had to wait'],
  ['suspicious', 'From unknown devices or networks'],
  ['credentials_refused', 'Credentials refused'],
  ['ended_credentials_tried', 'Of those, good once'],
  ['calls_refused', 'Calls refused'],
  ['elevations_refused', 'Proofs of identity that failed'],
  ['deletions', 'Things deleted or taken away'],
];

type ListName = Exclude<{ [Name in keyof Activity]: Activity[Name] extends Line[] ? Name : never }[keyof Activity], 'anomalies'>;

const LISTS: readonly [ListName, string][] = [
  ['sign_ins_refused_by_address', 'Sign-ins refused, by address'],
  ['sign_ins_refused_by_account', 'Sign-ins refused, by account'],
  ['throttled_accounts', 'Accounts that had to wait'],
  ['new_devices', 'Unknown devices or networks, by account'],
  ['credentials_refused_by_address', 'Credentials refused, by address'],
  ['ended_credentials_by_actor', 'Ended credentials still tried'],
  ['calls_refused_by_actor', 'Calls refused, by whom'],
  ['elevations_refused_by_actor', 'Proofs of identity that failed, by whom'],
  ['deletions_by_actor', 'Deleted or taken away, by whom'],
];

/** Lists that hold something, with their names. */
export const filledLists = (activity: Activity): { name: string; lines: Line[] }[] =>
  LISTS.map(([key, name]) => ({ name, lines: activity[key] })).filter((list) => list.lines.length > 0);
