// Access lists as the admin API has them, and what people read of their entries.

export type Effect = 'allow' | 'deny';
export type Match = { literal: string } | { prefix: string } | { filter: string };
/** The prefix `""` is every name. */
export type NameMatch = { literal: string } | { prefix: string };

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

/** What an entry speaks of: one of a topic, a group and a transactional id; only topics have keys. */
export interface Spoken {
  topic?: Match;
  key?: Match;
  consumer_group?: NameMatch;
  transactional_id?: NameMatch;
}

export interface Entry extends Spoken {
  id: string;
  effect: Effect;
  principals: string[];
  operations: string[];
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

/** What a question is about, as `Spoken` is for entries. */
export interface Asked {
  topic?: string;
  key?: string;
  consumer_group?: string;
  transactional_id?: string;
}

export interface Question extends Asked {
  principal: string;
  operation: string;
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

export type About = 'topic' | 'consumer_group' | 'transactional_id';

interface AboutWords {
  option: string;
  /** Over the fields. */
  label: string;
  text: string;
  /** In entries as people read them, behind “every” too. */
  noun: string;
  operations: readonly string[];
  /** What the operations mean where their names do not say it. */
  meaning: string;
}

export const ABOUT: Record<About, AboutWords> = {
  topic: { option: 'topic', label: 'Topic', text: 'Topic’s name', noun: 'topic', operations: OPERATIONS, meaning: '' },
  consumer_group: {
    option: 'Kafka consumer group',
    label: 'Group',
    text: 'Group’s name',
    noun: 'group',
    operations: ['read', 'describe', 'manage'],
    meaning: 'read: join and commit; describe: see it and its offsets; manage: delete it or its offsets',
  },
  transactional_id: {
    option: 'Kafka transactional id',
    label: 'Transactional id',
    text: 'Id’s text',
    noun: 'transactional id',
    operations: ['publish', 'describe'],
    meaning: 'publish: write with it; describe: see it',
  },
};

export type Kind = 'literal' | 'prefix' | 'filter';

/** What an entry speaks of, as the form's fields hold it. */
export interface Subject {
  about: About;
  kind: Kind;
  text: string;
  /** Empty: any key, or none. */
  keyKind: Kind | '';
  key: string;
}

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

/** What an entry speaks of, in two parts: its noun, which topics go without, and which of them. */
export function spokenOf(entry: Spoken): { noun: string; which: string } {
  const about = aboutOf(entry);
  const match = entry[about];
  if (!match) return { noun: 'nothing known here', which: '' };
  if (about === 'topic') return { noun: '', which: topicText(match, entry.key) };
  const { noun } = ABOUT[about];
  return isEvery(match) ? { noun: `every ${noun}`, which: '' } : { noun, which: matchText(match) };
}

/** `orders/#`, `orders…/7`, or the filter; `group billing`, `group bill…` or `every group`. */
export function addressOf(entry: Spoken): string {
  const { noun, which } = spokenOf(entry);
  return [noun, which].filter((part) => part !== '').join(' ');
}

function aboutOf(entry: Spoken): About {
  return (Object.keys(ABOUT) as About[]).find((one) => entry[one]) ?? 'topic';
}

const isEvery = (match: Match) => 'prefix' in match && match.prefix === '';

function topicText(topic: Match, key: Match | undefined): string {
  const text = matchText(topic);
  if (key === undefined) return 'filter' in topic ? text : `${text}/#`;
  return `${text}/${matchText(key)}`;
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

/** The fields of an entry, or those of a new one. */
export function subjectOf(entry: Spoken | undefined): Subject {
  const about = aboutOf(entry ?? {});
  const { kind, text } = fieldsOf(entry?.[about]);
  const key = fieldsOf(entry?.key);
  return { about, kind, text, keyKind: entry?.key === undefined ? '' : key.kind, key: key.text };
}

function fieldsOf(match: Match | undefined): { kind: Kind; text: string } {
  const [kind, text] = Object.entries(match ?? { literal: '' })[0] ?? ['literal', ''];
  return { kind: kind as Kind, text };
}

/** The same fields about something else; names know no filters. */
export function turnedTo(subject: Subject, about: About): Subject {
  return { ...subject, about, kind: about !== 'topic' && subject.kind === 'filter' ? 'literal' : subject.kind };
}

/** What the fields say. A space counts in keys and in names of Kafka's clients: a prefix without its last one is wider. */
export function spokenBy({ about, kind, text, keyKind, key }: Subject): Spoken {
  const match = (of: Kind, what: string) => ({ [of]: what }) as unknown as Match;
  if (about !== 'topic') return { [about]: match(kind, text) };
  return { topic: match(kind, text.trim()), ...(keyKind === '' ? {} : { key: match(keyKind, key) }) };
}

/** Of those chosen what can be done with it; `all` when that is everything. */
export function operationsOf(about: About, chosen: readonly string[]): string[] {
  const { operations } = ABOUT[about];
  const found = operations.filter((one) => chosen.includes(one));
  return found.length === operations.length ? ['all'] : found;
}

/** What a question is about; no key is asked for without a text. */
export function askedBy(about: About, text: string, key: string): Asked {
  if (about !== 'topic') return { [about]: text };
  return { topic: text.trim(), ...(key === '' ? {} : { key }) };
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
