// Providers that people sign in with: those to choose from, the way there and back, and how they
// are set up. What a way is for stays in this browser: the provider sends nothing back but a state.

import type { Tokens } from './staff-api';

const WAY = 'mainstem.staff.way';
/** Set when somebody came back to a session, for the tab that waits for it. */
export const RETURNED = 'mainstem.staff.returned';

export interface Offer {
  id: string;
  name: string;
}

export interface GroupRule {
  group: string;
  role: string;
  tenant?: string | null;
  project?: string | null;
}

export interface ProviderTerms {
  name: string;
  client_id: string;
  scopes: string[];
  groups_claim: string | null;
  verified_claim: string;
  rules: GroupRule[];
  domains: string[];
  admits_unknown: boolean;
  password_allowed: boolean;
  require_own_second_factor: boolean;
  is_enabled: boolean;
  is_offered: boolean;
}

export interface Provider extends ProviderTerms {
  id: string;
  tenant: string | null;
  issuer: string;
  has_client_secret: boolean;
  redirect_uri: string;
}

export type ProviderWish = ProviderTerms & { issuer?: string; tenant?: string; client_secret?: string | null };

export interface Test {
  is_good: boolean;
  steps: { what: string; is_good: boolean; finding: string }[];
  redirect_uri: string;
}

export interface Identity {
  id: string;
  issuer: string;
  email: string;
  seen_at: number;
}

export interface Arrived {
  tokens: Tokens | null;
  ticket: string | null;
}

/** What the provider sent the browser back with. */
export interface Back {
  state: string;
  code: string;
  iss?: string;
}

export type Purpose = 'sign-in' | 'elevate' | 'link';

interface Way {
  state: string;
  purpose: Purpose;
}

/** Remembers what the way is for. */
export function setOut(url: string, purpose: Purpose): string {
  const way: Way = { state: new URL(url).searchParams.get('state') ?? '', purpose };
  localStorage.setItem(WAY, JSON.stringify(way));
  return url;
}

/** What somebody who comes back with this state set out for; once. */
export function purposeOf(state: string): Purpose {
  try {
    const way = JSON.parse(localStorage.getItem(WAY) ?? 'null') as Way | null;
    localStorage.removeItem(WAY);
    if (way?.state === state) return way.purpose;
  } catch {
    // Whatever is there, nobody here wrote it.
  }
  return 'sign-in';
}

/** What an address came back with, or why not. */
export function backOf(query: string): Back | { refused: string } {
  const fields = new URLSearchParams(query);
  const error = fields.get('error');
  if (error !== null) return { refused: fields.get('error_description') ?? error };
  const [state, code, iss] = [fields.get('state'), fields.get('code'), fields.get('iss')];
  if (!state || !code) return { refused: 'The address holds nothing that a provider sends.' };
  return { state, code, ...(iss === null ? {} : { iss }) };
}

/** The words of a line or lines, separated by blanks or commas. */
export function words(text: string): string[] {
  return text.split(/[\s,]+/).filter((word) => word !== '');
}

type Ask = (method: string, path: string, body?: unknown) => Promise<any>;

const at = (id: string) => `/v1/identity-providers/${encodeURIComponent(id)}`;

/** As who is signed in. */
export class ProvidersApi {
  constructor(private readonly ask: Ask) {}

  list = async (): Promise<Provider[]> => (await this.ask('GET', '/v1/identity-providers?limit=1000')).identity_providers;
  create = (wish: ProviderWish): Promise<Provider> => this.ask('POST', '/v1/identity-providers', wish);
  update = (id: string, wish: Partial<ProviderWish>): Promise<Provider> => this.ask('PATCH', at(id), wish);
  remove = (id: string): Promise<void> => this.ask('DELETE', at(id));
  test = (id: string): Promise<Test> => this.ask('POST', `${at(id)}/test`);

  identities = async (): Promise<Identity[]> => (await this.ask('GET', '/v1/account/identities?limit=1000')).identities;
  unlink = (id: string): Promise<void> => this.ask('DELETE', `/v1/account/identities/${encodeURIComponent(id)}`);
  link = async (provider: string, device: string): Promise<string> =>
    setOut((await this.ask('POST', '/v1/account/identities', { provider, device })).url, 'link');
  elevate = async (device: string): Promise<string> => setOut((await this.ask('POST', '/v1/auth/providers/elevate', { device })).url, 'elevate');
  return = (back: Back, device: string): Promise<unknown> => this.ask('POST', '/v1/auth/providers/return', { ...back, device });
}
