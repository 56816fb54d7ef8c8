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

  reopen = (acceptance: string): Promise<void> => this.ask('DELETE', `/v1/security/acceptances/${acceptance}`);
}
