// The admin API as the console's staff pages need it: one function per call. Tokens travel in the
// Authorization header and in bodies only, never in an address.

import { AclApi } from './acl-api';
import { ApiError } from './api';
import type { Conditions, Unmet } from './role-conditions';
import type { ErrorView } from './wire';

const ANSWER_WAIT_MS_MAX = 15_000;
/** Pages the console asks for before it stops. */
const PAGES_MAX = 20;

export interface User {
  id: string;
  email: string;
  name: string;
  status: 'invited' | 'active' | 'disabled';
  created_at: number;
  signed_in_at: number | null;
}

export interface Binding {
  id: string;
  user: string;
  role: string;
  tenant: string | null;
  project: string | null;
  is_conditional: boolean;
  /** null: none, or one's own, which are not told. */
  conditions: Conditions | null;
  /** Names the conditions as they are; null in one's own account. */
  version: string | null;
  in_force: boolean;
  unmet: Unmet[];
}

export interface ExplainedUser {
  is_allowed: boolean;
  reason: string;
  decided_by: string | null;
  considered: { role: Binding; lacks: 'permission' | 'place' | 'conditions' | null }[];
  /** false: roles in places that one may not look into are not among them. */
  is_complete: boolean;
}

export interface UserQuestion {
  permission: string;
  tenant?: string;
  address?: string;
  at?: number;
  tls: boolean;
  strong_sign_in: boolean;
  signed_in_minutes?: number;
}

export interface UserWithRoles extends User {
  roles: Binding[];
}

export interface SessionView {
  id: string;
  device: string;
  address: string;
  created_at: number;
  seen_at: number;
  elevated_until: number | null;
  is_current: boolean;
  /** The provider that vouches for the user. */
  provider: string | null;
}

export interface PasskeyView {
  id: string;
  name: string;
  is_synced: boolean;
  created_at: number;
  used_at: number | null;
}

export interface PasskeyList {
  passkeys: PasskeyView[];
  /** Of the pages where they can be used; null where there are none. */
  origin: string | null;
}

/** A device that shows a code and waits for somebody to confirm it. */
export interface WaitingDevice {
  user_code: string;
  device: string;
  address: string;
  created_at: number;
  expires_at: number;
}

export interface Account {
  user: User;
  session: SessionView;
  has_second_factor: boolean;
  roles: Binding[];
  rights: { tenant: string | null; project: string | null; permissions: string[] }[];
}

export interface Role {
  id: string;
  name: string;
  description: string;
  is_built_in: boolean;
  permissions: string[];
}

export interface Permission {
  name: string;
  meaning: string;
}

export interface Tenant {
  id: string;
  name: string;
}

export interface Tokens {
  user: User;
  session: SessionView;
  access_token: string;
  access_expires_at: number;
  refresh_token: string;
}

export interface Credentials {
  email: string;
  password: string;
  code?: string;
  /** In place of the code: what a passkey answered. */
  passkey?: unknown;
  device: string;
  device_name: string;
}

export interface Invitation {
  email: string;
  role: string;
  tenant?: string;
}

/** One request, without anything remembered. `token` is empty for what anybody may ask. */
export async function request(token: string, method: string, path: string, body?: unknown): Promise<any> {
  const headers: Record<string, string> = { accept: 'application/json' };
  if (token !== '') headers['authorization'] = `Bearer ${token}`;
  if (body !== undefined) headers['content-type'] = 'application/json';
  const signal = AbortSignal.timeout(ANSWER_WAIT_MS_MAX);
  let response: Response;
  try {
    const asked = { method, headers, signal, cache: 'no-store' as const };
    response = await fetch(path, { ...asked, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
  } catch {
    throw new ApiError(0, { code: 'UNREACHABLE', message: 'The server did not answer.' });
  }
  const text = await response.text();
  const answer = text === '' ? {} : parse(text);
  if (response.ok && answer !== undefined) return answer;
  throw new ApiError(response.status, readError(response.status, answer));
}

/** The refusal that an answer is. */
export async function readFailure(response: Response): Promise<ApiError> {
  return new ApiError(response.status, readError(response.status, parse(await response.text())));
}

/** What a refusal is about: `code`, `elevated`, `password` ... */
export function fieldOf(error: unknown): string {
  return error instanceof ApiError ? (error.view.details?.field ?? '') : '';
}

export class StaffApi {
  constructor(private readonly ask: (method: string, path: string, body?: unknown) => Promise<any>) {}

  account = (): Promise<Account> => this.ask('GET', '/v1/account');
  elevate = (password: string, code: string): Promise<SessionView> =>
    this.ask('POST', '/v1/auth/elevate', { password, ...(code === '' ? {} : { code }) });
  elevateOptions = (): Promise<unknown> => this.ask('POST', '/v1/auth/passkey/elevate-options');
  elevateByPasskey = (passkey: unknown): Promise<SessionView> => this.ask('POST', '/v1/auth/elevate', { passkey });
  passkeys = (): Promise<PasskeyList> => this.ask('GET', '/v1/account/passkeys');
  passkeyOptions = (): Promise<unknown> => this.ask('POST', '/v1/account/passkeys/options');
  addPasskey = (name: string, credential: unknown): Promise<PasskeyView> => this.ask('POST', '/v1/account/passkeys', { name, credential });
  renamePasskey = (id: string, name: string): Promise<PasskeyView> =>
    this.ask('PATCH', `/v1/account/passkeys/${encodeURIComponent(id)}`, { name });
  removePasskey = (id: string): Promise<void> => this.ask('DELETE', `/v1/account/passkeys/${encodeURIComponent(id)}`);
  lookAtDevice = (user_code: string): Promise<WaitingDevice> => this.ask('POST', '/v1/account/device', { user_code });
  answerDevice = (user_code: string, word: 'confirm' | 'refuse'): Promise<void> =>
    this.ask('POST', `/v1/account/device/${word}`, { user_code });
  changePassword = (current: string, code: string, password: string): Promise<void> =>
    this.ask('POST', '/v1/account/password', { current, password, ...(code === '' ? {} : { code }) });
  startSecondFactor = (): Promise<{ secret: string; uri: string }> => this.ask('POST', '/v1/account/second-factor');
  confirmSecondFactor = async (code: string): Promise<string[]> =>
    (await this.ask('POST', '/v1/account/second-factor/confirm', { code })).recovery_codes;
  removeSecondFactor = (): Promise<void> => this.ask('DELETE', '/v1/account/second-factor');
  ownSessions = (): Promise<SessionView[]> => this.all('/v1/account/sessions', 'sessions');
  endOwnSession = (id: string): Promise<void> => this.ask('DELETE', `/v1/account/sessions/${encodeURIComponent(id)}`);

  users = (): Promise<UserWithRoles[]> => this.all('/v1/users', 'users');
  user = (id: string): Promise<UserWithRoles> => this.ask('GET', userPath(id));
  invite = (wish: Invitation): Promise<{ user: User; link: string | null }> => this.ask('POST', '/v1/users/invite', wish);
  changeUser = (id: string, verb: 'disable' | 'enable'): Promise<UserWithRoles> => this.ask('POST', `${userPath(id)}/${verb}`);
  deleteUser = (id: string): Promise<void> => this.ask('DELETE', userPath(id));
  endSessions = async (id: string): Promise<number> => (await this.ask('POST', `${userPath(id)}/sessions/revoke`)).count;

  roles = (): Promise<Role[]> => this.all('/v1/roles', 'roles');
  permissions = async (): Promise<Permission[]> => (await this.ask('GET', '/v1/permissions')).permissions;
  createRole = (role: { name: string; description: string; permissions: string[] }): Promise<Role> =>
    this.ask('POST', '/v1/roles', role);
  deleteRole = (id: string): Promise<void> => this.ask('DELETE', `/v1/roles/${encodeURIComponent(id)}`);
  giveRole = (wish: { user: string; role: string; tenant?: string }): Promise<Binding> =>
    this.ask('POST', '/v1/role-bindings', wish);
  /** Refused when the conditions are not those of this version any more. */
  setConditions = (id: string, conditions: Conditions, version: string | null): Promise<Binding> =>
    this.ask('PATCH', `/v1/role-bindings/${encodeURIComponent(id)}`, { conditions, version });
  attributes = async (id: string, tenant: string): Promise<Record<string, string>> =>
    (await this.ask('GET', `${userPath(id)}/attributes${inTenant(tenant)}`)).attributes;
  setAttributes = (id: string, tenant: string, attributes: Record<string, string>): Promise<unknown> =>
    this.ask('PUT', `${userPath(id)}/attributes${inTenant(tenant)}`, { attributes });
  explainUser = (id: string, question: UserQuestion): Promise<ExplainedUser> => this.ask('POST', `${userPath(id)}/explain`, question);
  takeRole = (id: string): Promise<void> => this.ask('DELETE', `/v1/role-bindings/${encodeURIComponent(id)}`);

  tenants = (): Promise<Tenant[]> => this.all('/v1/tenants', 'tenants');
  projects = (tenant: string): Promise<Tenant[]> => this.all(`/v1/tenants/${encodeURIComponent(tenant)}/projects`, 'projects');

  get acl(): AclApi {
    return new AclApi(this.ask);
  }

  /** All pages of a list, up to a bound. */
  private async all(path: string, name: string): Promise<any[]> {
    const items: any[] = [];
    let cursor = '';
    for (let page = 0; page < PAGES_MAX; page += 1) {
      const place = cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`;
      const answer = await this.ask('GET', `${path}?limit=1000${place}`);
      items.push(...answer[name]);
      if (!answer.next_cursor) break;
      cursor = String(answer.next_cursor);
    }
    return items;
  }
}

function inTenant(tenant: string): string {
  return tenant === '' ? '' : `?tenant=${encodeURIComponent(tenant)}`;
}

function userPath(id: string): string {
  return `/v1/users/${encodeURIComponent(id)}`;
}

function parse(text: string): any {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function readError(status: number, answer: any): ErrorView {
  const error = answer?.error;
  if (typeof error?.message === 'string') return error as ErrorView;
  return { code: `HTTP_${status}`, message: `The server answered with status ${status}.` };
}
