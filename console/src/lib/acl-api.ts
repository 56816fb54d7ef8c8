// Access lists as the admin API has them, and what people read of their entries.

export type Effect = 'allow' | 'deny';
export type Match = { literal: string } | { prefix: string } | { filter: string };

export interface TimeWindow {
  days?: string[];
  from: string;
  to: string;
}

export interface When {
  networks?: string[];
  times?: TimeWindow[];
  tls?: boolean;
  attributes?: Record<string, string[]>;
}

export interface Entry {
  id: string;
  effect: Effect;
  principals: string[];
  operations: string[];
  topic: Match;
  key?: Match;
  when?: When;
  note?: string;
}

export interface AccessList {
  default?: Effect;
  groups?: Record<string, string[]>;
  entries: Entry[];
}

export interface Version {
  version: number;
  entries: number;
  is_removed: boolean;
  actor: string;
  note: string;
  at: number;
}

export interface ListAnswer {
  version: number;
  list: AccessList | null;
  about: Version | null;
}

export interface Finding {
  field: string;
  message: string;
}

export interface Difference {
  from: number;
  to: number;
  is_same: boolean;
  default: [Effect | null, Effect | null] | null;
  groups: Record<string, { added: string[]; removed: string[] }>;
  added: Entry[];
  removed: Entry[];
  changed: { before: Entry; after: Entry }[];
}

export interface Considered {
  list: 'installation' | 'tenant' | 'project';
  entry: string;
  effect: Effect;
  applies: boolean;
  lacks: string | null;
}

export interface Explained {
  is_allowed: boolean;
  reason: string;
  lists_allow: boolean;
  decided_by: Considered | null;
  considered: Considered[];
  is_cut: boolean;
  credential: 'allowed' | 'refused' | 'unknown';
  credential_reason: string | null;
}

export interface Question {
  principal: string;
  operation: string;
  topic: string;
  key?: string;
  address?: string;
  tls?: boolean;
  attributes?: Record<string, string[]>;
}

export interface Change {
  add?: Entry[];
  replace?: Entry[];
  remove?: string[];
  groups?: Record<string, string[] | null>;
  default?: Effect | null;
  version: number;
  note: string;
}

/** Whose list: empty texts for the installation's. */
export interface Place {
  tenant: string;
  project: string;
}

export const OPERATIONS = ['publish', 'read', 'subscribe', 'presence', 'describe', 'manage'] as const;

type Ask = (method: string, path: string, body?: unknown) => Promise<any>;

function query(place: Place, more: Record<string, string | number> = {}): string {
  const parts = Object.entries({ tenant: place.tenant, project: place.project, ...more })
    .filter(([, value]) => value !== '')
    .map(([name, value]) => `${name}=${encodeURIComponent(value)}`);
  return parts.length === 0 ? '' : `?${parts.join('&')}`;
}

export class AclApi {
  constructor(private readonly ask: Ask) {}

  list = (at: Place): Promise<ListAnswer> => this.ask('GET', `/v1/acl${query(at)}`);
  change = (at: Place, change: Change): Promise<Version> => this.ask('PATCH', `/v1/acl${query(at)}`, change);
  remove = (at: Place, version: number, note: string): Promise<Version> =>
    this.ask('PUT', `/v1/acl${query(at)}`, { list: null, version, note });
  validate = (at: Place, list: AccessList): Promise<{ is_valid: boolean; problems: Finding[]; warnings: Finding[] }> =>
    this.ask('POST', `/v1/acl/validate${query(at)}`, { list });
  versions = async (at: Place): Promise<Version[]> => (await this.ask('GET', `/v1/acl/versions${query(at)}`)).versions;
  diff = (at: Place, from: number, to: number): Promise<Difference> => this.ask('GET', `/v1/acl/diff${query(at, { from, to })}`);
  rollBack = (at: Place, version: number): Promise<Version> => this.ask('POST', `/v1/acl/rollback${query(at)}`, { version, note: '' });
  explain = (at: Place, question: Question): Promise<Explained> => this.ask('POST', `/v1/acl/explain${query(at)}`, question);
}

/** `orders`, `orders…`, or the filter, and the key behind it. */
export function addressOf(entry: Pick<Entry, 'topic' | 'key'>): string {
  const topic = matchText(entry.topic);
  if (entry.key === undefined) return 'filter' in entry.topic ? topic : `${topic}/#`;
  return `${topic}/${matchText(entry.key)}`;
}

function matchText(match: Match): string {
  if ('literal' in match) return match.literal;
  return 'prefix' in match ? `${match.prefix}…` : match.filter;
}

/** The conditions in words; nothing when it always counts. */
export function conditionsOf(entry: Entry): string[] {
  const when = entry.when ?? {};
  const words: string[] = [];
  if (when.networks?.length) words.push(`from ${when.networks.join(', ')}`);
  for (const window of when.times ?? []) {
    const days = window.days?.length ? `${window.days.join(', ')} ` : '';
    words.push(`${days}${window.from}–${window.to} UTC`);
  }
  if (when.tls !== undefined) words.push(when.tls ? 'over TLS' : 'without TLS');
  for (const [name, values] of Object.entries(when.attributes ?? {})) words.push(`${name} is ${values.join(' or ')}`);
  return words;
}

/** Whether an entry has all words of a text somewhere. */
export function entryFits(entry: Entry, text: string): boolean {
  const whole = [entry.id, entry.effect, addressOf(entry), entry.note ?? '', ...entry.principals, ...entry.operations, ...conditionsOf(entry)].join(' ').toLowerCase();
  return text.toLowerCase().split(/\s+/).every((word) => whole.includes(word));
}

/** Lines or commas apart, without empty ones. */
export function listOf(text: string): string[] {
  return text.split(/[\n,]/).map((part) => part.trim()).filter((part) => part !== '');
}

/** `department=sales, ops` on lines of their own. */
export function attributesOf(text: string): Record<string, string[]> {
  const found: Record<string, string[]> = {};
  for (const line of text.split('\n')) {
    const at = line.indexOf('=');
    if (at < 1) continue;
    found[line.slice(0, at).trim()] = line.slice(at + 1).split(',').map((value) => value.trim()).filter((value) => value !== '');
  }
  return found;
}

export function attributesText(attributes: Record<string, string[]> | undefined): string {
  return Object.entries(attributes ?? {}).map(([name, values]) => `${name}=${values.join(', ')}`).join('\n');
}
