// Under which circumstances a role counts: as the API writes it, as the form's fields hold it, and
// in words.

export interface Window {
  days?: string[];
  from: string;
  to: string;
}

/** All that is named must hold. */
export interface Conditions {
  networks?: string[];
  hours?: { zone?: string; windows: Window[] };
  strong_sign_in?: boolean;
  signed_in_minutes_max?: number;
  tls?: boolean;
  attributes?: Record<string, string[]>;
}

/** A condition that does not hold. */
export interface Unmet {
  condition: string;
  reason: string;
}

const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'];

/** The form's fields. */
export interface Fields {
  networks: string;
  hours: string;
  zone: string;
  strong: boolean;
  minutes: string;
  tls: boolean;
  attributes: string;
}

/** Something the form cannot read; `field` is the API's. */
export class ConditionError extends Error {
  constructor(readonly field: string, message: string) {
    super(message);
  }
}

function span(text: string): string[] | undefined {
  const [first = '', last = first] = text.split('-').map((name) => name.trim().toLowerCase());
  const [from, to] = [DAYS.indexOf(first), DAYS.indexOf(last)];
  if (from < 0 || to < 0) return undefined;
  const count = ((to - from + 7) % 7) + 1;
  return Array.from({ length: count }, (_, step) => DAYS[(from + step) % 7] as string);
}

/** `mon-fri 08:00-18:00`; without days it is every day. */
export function windowOf(line: string): Window {
  const text = line.trim();
  const at = text.lastIndexOf(' ');
  const match = /^(\d\d:\d\d)\s*[-–]\s*(\d\d:\d\d)$/.exec(text.slice(at + 1));
  const days = at < 0 ? [] : text.slice(0, at).split(',').map(span);
  if (match === null || days.includes(undefined)) {
    throw new ConditionError('conditions.hours', `“${text}” are no hours: write mon-fri 08:00-18:00, or 08:00-18:00 for every day`);
  }
  const found = [...new Set(days.flat() as string[])];
  const [, from = '', to = ''] = match;
  return { ...(found.length === 0 ? {} : { days: found }), from, to };
}

/** Days in a row as `mon-fri`. */
export function windowText(window: Window): string {
  const runs: string[][] = [];
  for (const day of DAYS.filter((one) => window.days?.includes(one))) {
    const run = runs.at(-1);
    const last = run?.at(-1);
    if (run !== undefined && last !== undefined && DAYS.indexOf(last) + 1 === DAYS.indexOf(day)) run.push(day);
    else runs.push([day]);
  }
  const days = runs.map((run) => (run.length > 2 ? `${run[0]}-${run.at(-1)}` : run.join(','))).join(',');
  return `${days === '' ? '' : `${days} `}${window.from}-${window.to}`;
}

const linesOf = (text: string) => text.split('\n').map((line) => line.trim()).filter((line) => line !== '');

export function fieldsOf(conditions: Conditions | null | undefined, zone: string): Fields {
  const was = conditions ?? {};
  return {
    networks: (was.networks ?? []).join('\n'),
    hours: (was.hours?.windows ?? []).map(windowText).join('\n'),
    zone: was.hours === undefined ? zone : (was.hours.zone ?? 'UTC'),
    strong: was.strong_sign_in ?? false,
    minutes: was.signed_in_minutes_max === undefined ? '' : String(was.signed_in_minutes_max),
    tls: was.tls ?? false,
    attributes: Object.entries(was.attributes ?? {}).map(([name, values]) => `${name}=${values.join(', ')}`).join('\n'),
  };
}

/** What the fields say; throws a `ConditionError` for what cannot be read. */
export function conditionsOf(fields: Fields): Conditions {
  const made: Conditions = {};
  const networks = linesOf(fields.networks.replaceAll(',', '\n'));
  if (networks.length > 0) made.networks = networks;
  const windows = linesOf(fields.hours).map(windowOf);
  if (windows.length > 0) made.hours = { zone: fields.zone.trim() || 'UTC', windows };
  if (fields.strong) made.strong_sign_in = true;
  if (fields.minutes.trim() !== '') {
    const minutes = Number(fields.minutes);
    if (!Number.isInteger(minutes)) throw new ConditionError('conditions.signed_in_minutes_max', 'a number of minutes');
    made.signed_in_minutes_max = minutes;
  }
  if (fields.tls) made.tls = true;
  const attributes: Record<string, string[]> = {};
  for (const line of linesOf(fields.attributes)) {
    const at = line.indexOf('=');
    const values = line.slice(at + 1).split(',').map((value) => value.trim()).filter((value) => value !== '');
    if (at < 1 || values.length === 0) throw new ConditionError('conditions.attributes', `“${line}” is no attribute: write department=ops, legal`);
    attributes[line.slice(0, at).trim()] = values;
  }
  if (Object.keys(attributes).length > 0) made.attributes = attributes;
  return made;
}

/** One sentence part for each condition. */
export function inWords(conditions: Conditions | null | undefined): string[] {
  const words: string[] = [];
  if (!conditions) return words;
  if (conditions.networks?.length) words.push(`from ${conditions.networks.join(', ')}`);
  if (conditions.hours) words.push(`${conditions.hours.windows.map(windowText).join('; ')} ${conditions.hours.zone ?? 'UTC'}`);
  if (conditions.strong_sign_in) words.push('with a second factor or a passkey');
  if (conditions.signed_in_minutes_max !== undefined) words.push(`${conditions.signed_in_minutes_max} min after proving who one is`);
  if (conditions.tls) words.push('over TLS');
  for (const [name, values] of Object.entries(conditions.attributes ?? {})) words.push(`${name} is ${values.join(' or ')}`);
  return words;
}

/** `department=ops` on lines of their own. */
export function notedOf(text: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const line of linesOf(text)) {
    const at = line.indexOf('=');
    if (at < 1) throw new ConditionError('attributes', `“${line}” is no attribute: write department=ops`);
    found[line.slice(0, at).trim()] = line.slice(at + 1).trim();
  }
  return found;
}

export function notedText(noted: Record<string, string>): string {
  return Object.entries(noted).map(([name, value]) => `${name}=${value}`).join('\n');
}

/** The browser's own zone, and all it knows. */
export function ownZone(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC';
}

export function zones(): string[] {
  return ['UTC', ...Intl.supportedValuesOf('timeZone').filter((zone) => zone !== 'UTC')];
}
