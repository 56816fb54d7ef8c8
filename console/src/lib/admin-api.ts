// The admin API beyond people: tenants, projects, keys, plans, use, the process and its
// configuration. One function per call, asked as who is signed in.

import type { Account, UsageWindow } from './account';
import type { KafkaGroup, KafkaGroupDetails, KafkaGroupMove, KafkaGroupReset } from './kafka-groups';
import { staff } from './staff.svelte';

/** Pages the console asks for before it stops. */
const PAGES_MAX = 20;

export interface TenantRecord {
  id: string;
  name: string;
  plan: string;
  status: 'active' | 'trial' | 'past_due' | 'suspended';
  status_reason: string | null;
  created_at: number;
}

export type Limits = Record<string, number | null>;

export interface ProjectRecord {
  id: string;
  name: string;
  limits: Limits;
  created_at: number;
}

export interface KeyRecord {
  id: string;
  name: string;
  mode: 'live' | 'test';
  prefix: string;
  scopes: string[];
  created_at: number;
  revoked_at: number | null;
  grace_until: number | null;
  is_usable: boolean;
}

export type RevocationKind = 'jti' | 'fingerprint' | 'sub' | 'kid' | 'iss';

export interface RevocationRecord {
  id: string;
  kind: RevocationKind;
  value: string;
  issued_before: number | null;
  expires_at: number;
  reason: string | null;
  actor: string;
  created_at: number;
}

/** What tokens are recognised by, in the words of the form; the first is the usual one. */
export const REVOCATION_KINDS: { name: 'token' | RevocationKind; label: string; field: string; hint: string }[] = [
  { name: 'token', label: 'This one token', field: 'Token', hint: 'The whole token. It is not kept: its jti is revoked, or its fingerprint.' },
  { name: 'jti', label: 'One token, by its identifier', field: 'jti', hint: 'The claim jti of the token.' },
  { name: 'fingerprint', label: 'One token, by its fingerprint', field: 'SHA-256', hint: '64 hexadecimal digits: of the token’s text up to its second dot.' },
  { name: 'sub', label: 'All of a user, issued until now', field: 'Subject', hint: 'The claim sub of the tokens, without jwt: before it. Newer tokens count.' },
  { name: 'kid', label: 'All of a signing key, issued until now', field: 'kid', hint: 'Of the token’s header: <project id>.<name of the key>.' },
  { name: 'iss', label: 'All of an issuer, issued until now', field: 'Issuer', hint: 'The claim iss of the tokens.' },
];

export interface MetricTerms {
  included: number;
  soft_max: number | null;
  hard_max: number | null;
  per?: number | null;
  tiers: { up_to: number | null; price_minor: number }[];
}

export interface Terms {
  currency: string;
  base_minor: number;
  trial_days: number;
  after_trial: string | null;
  grace_days: number;
  metrics: Record<string, MetricTerms>;
  limits: Limits;
}

export interface PlanRecord {
  plan: string;
  title: string;
  terms: Terms;
  is_builtin: boolean;
  archived_at: number | null;
}

export interface TrailRecord {
  id: string;
  actor: string;
  action: string;
  target: string;
  details: Record<string, unknown>;
  at: number;
  /** `done`, `refused` or `failed`. */
  outcome?: string;
  /** More than 1 for what is told together. */
  count?: number;
}

export interface Figure {
  name: string;
  kind: string;
  labels: Record<string, string>;
  value: number;
}

export interface NodeStatus {
  about: { version: string; platform: string; process_id: number; started_at: number; processes: number };
  now: number;
  state: { status: string } & Record<string, unknown>;
  backups: { running: unknown; last: { outcome: string; ended_at: number } | null } | null;
  pending: string[];
}

export interface LogLine {
  sequence: number;
  at: number;
  level: 'error' | 'warn' | 'info' | 'debug' | 'trace';
  target: string;
  message: string;
  fields: Record<string, unknown>;
}

export interface Difference {
  key: string;
  from: unknown;
  to: unknown;
  effect: 'at_once' | 'at_restart' | null;
}

export interface ConfigProblem {
  key: string;
  line: number | null;
  message: string;
  suggestion: string | null;
}

export interface ConfigNow {
  revision: number | null;
  text: string;
  origins: { key: string; source: string; place: string | null }[];
  pending: Difference[];
}

export interface CheckedConfig {
  is_valid: boolean;
  problems: ConfigProblem[];
  differences: Difference[];
  needs_restart: boolean;
  warnings: ConfigProblem[];
}

export interface Revision {
  revision: number;
  actor: string;
  note: string;
  at: number;
}

export interface Recomputed {
  ranges: number;
  metered_records: number;
  log_records: number;
  differing: number;
  unverifiable_records: number;
}

const part = encodeURIComponent;
const tenantPath = (tenant: string) => `/v1/tenants/${part(tenant)}`;
const projectPath = (tenant: string, project: string) => `${tenantPath(tenant)}/projects/${part(project)}`;
const groupsPath = (tenant: string, project: string) => `${projectPath(tenant, project)}/kafka/groups`;
const get = (path: string) => staff.ask('GET', path);
const post = (path: string, body: unknown = {}) => staff.ask('POST', path, body);

/** All pages of a list, up to a bound. */
async function all(path: string, name: string): Promise<any[]> {
  const items: any[] = [];
  let cursor = '';
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const mark = path.includes('?') ? '&' : '?';
    const answer = await get(`${path}${mark}limit=1000${cursor === '' ? '' : `&cursor=${part(cursor)}`}`);
    items.push(...answer[name]);
    if (!answer.next_cursor) break;
    cursor = String(answer.next_cursor);
  }
  return items;
}

export const admin = {
  tenants: (): Promise<TenantRecord[]> => all('/v1/tenants', 'tenants'),
  tenant: (id: string): Promise<TenantRecord> => get(tenantPath(id)),
  createTenant: (name: string, plan: string): Promise<TenantRecord> => post('/v1/tenants', { name, plan }),
  changeTenant: (id: string, change: { plan?: string; status?: string }): Promise<TenantRecord> => staff.ask('PATCH', tenantPath(id), change),
  suspend: (id: string, reason: string): Promise<TenantRecord> => post(`${tenantPath(id)}/suspend`, { reason }),
  resume: (id: string): Promise<TenantRecord> => post(`${tenantPath(id)}/resume`),

  projects: (tenant: string): Promise<ProjectRecord[]> => all(`${tenantPath(tenant)}/projects`, 'projects'),
  project: (tenant: string, id: string): Promise<ProjectRecord> => get(projectPath(tenant, id)),
  createProject: (tenant: string, name: string): Promise<ProjectRecord> => post(`${tenantPath(tenant)}/projects`, { name }),
  setLimits: (tenant: string, id: string, limits: Limits): Promise<ProjectRecord> => staff.ask('PATCH', projectPath(tenant, id), { limits }),

  keys: (tenant: string, project: string): Promise<KeyRecord[]> => all(`${projectPath(tenant, project)}/keys`, 'keys'),
  createKey: (tenant: string, project: string, wish: { name: string; mode: string; scopes: string[] }): Promise<{ key: KeyRecord; secret: string }> =>
    post(`${projectPath(tenant, project)}/keys`, wish),
  rotateKey: (tenant: string, project: string, key: string): Promise<{ key: KeyRecord; secret: string }> =>
    post(`${projectPath(tenant, project)}/keys/${part(key)}/rotate`),
  revokeKey: (tenant: string, project: string, key: string): Promise<KeyRecord> => post(`${projectPath(tenant, project)}/keys/${part(key)}/revoke`),

  revocations: (tenant: string, project: string): Promise<RevocationRecord[]> => all(`${projectPath(tenant, project)}/token-revocations`, 'revocations'),
  revokeTokens: (tenant: string, project: string, wish: Record<string, string>): Promise<RevocationRecord> =>
    post(`${projectPath(tenant, project)}/token-revocations`, wish),
  reinstateTokens: (tenant: string, project: string, revocation: string): Promise<void> =>
    staff.ask('DELETE', `${projectPath(tenant, project)}/token-revocations/${part(revocation)}`),

  kafkaGroups: (tenant: string, project: string): Promise<KafkaGroup[]> => all(groupsPath(tenant, project), 'groups'),
  kafkaGroup: (tenant: string, project: string, name: string): Promise<KafkaGroupDetails> => get(`${groupsPath(tenant, project)}/${part(name)}`),
  resetKafkaGroup: async (tenant: string, project: string, name: string, wish: KafkaGroupReset): Promise<KafkaGroupMove[]> =>
    (await post(`${groupsPath(tenant, project)}/${part(name)}/reset`, wish)).moves,
  deleteKafkaGroup: (tenant: string, project: string, name: string): Promise<void> =>
    staff.ask('DELETE', `${groupsPath(tenant, project)}/${part(name)}`),

  account: (tenant: string): Promise<Account> => get(`${tenantPath(tenant)}/account`),
  windows: (tenant: string, from: number): Promise<UsageWindow[]> =>
    all(`${tenantPath(tenant)}/usage?metric=events_published&from=${from}`, 'windows'),
  recompute: (tenant: string): Promise<Recomputed> => post(`${tenantPath(tenant)}/usage/recompute`, { mode: 'verify' }),
  createBudget: (tenant: string, wish: { name: string; metric?: string; amount: number; action: string }): Promise<void> =>
    post(`${tenantPath(tenant)}/budgets`, wish),
  deleteBudget: (tenant: string, id: string): Promise<void> => staff.ask('DELETE', `${tenantPath(tenant)}/budgets/${part(id)}`),

  plans: (): Promise<PlanRecord[]> => all('/v1/plans', 'plans'),
  putPlan: (plan: string, title: string, terms: Terms): Promise<PlanRecord> => staff.ask('PUT', `/v1/plans/${part(plan)}`, { title, terms }),

  trail: async (tenant: string, project?: string): Promise<TrailRecord[]> => {
    const of = project === undefined ? '' : `&project=${part(project)}`;
    return (await get(`/v1/audit?tenant=${part(tenant)}${of}&limit=20`)).records;
  },

  status: (): Promise<NodeStatus> => get('/v1/status'),
  figures: async (names: string[]): Promise<Figure[]> => (await get(`/v1/metrics?name=${names.map(part).join(',')}`)).metrics,
  diagnostics: (): Promise<unknown> => get('/v1/diagnostics'),
  logs: (query: { level?: string; target?: string; text?: string; cursor?: string; wait_ms?: number; limit?: number }): Promise<{
    lines: LogLine[];
    next_cursor: string;
    is_torn: boolean;
  }> => {
    const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== '');
    return get(`/v1/logs?${given.map(([name, value]) => `${name}=${part(String(value))}`).join('&')}`);
  },
  setLogLevel: (log: string, note: string): Promise<Revision> => staff.ask('PUT', '/v1/logs/level', { log, note }),

  config: (): Promise<ConfigNow> => get('/v1/config'),
  checkConfig: (text: string): Promise<CheckedConfig> => post('/v1/config/validate', { text }),
  applyConfig: (text: string, when: string, note: string): Promise<Revision> => staff.ask('PUT', '/v1/config', { text, when, note }),
  revisions: async (): Promise<Revision[]> => (await get('/v1/config/revisions?limit=50')).revisions,
  compare: async (from: number): Promise<Difference[]> => (await get(`/v1/config/diff?to=${from}`)).differences,
  rollBack: (revision: number, when: string, note: string): Promise<Revision> => post('/v1/config/rollback', { revision, when, note }),
};
