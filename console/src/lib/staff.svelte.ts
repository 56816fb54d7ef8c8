// Who is signed in to the staff pages. All tabs share one session: its tokens are in localStorage,
// and one tab at a time refreshes them, since a refresh token counts once. The device's secret
// stays when the user signs out: by it the server knows the browser again.

import { ApiError } from './api';
import { ApprovalsApi, asked, type Asked } from './approvals-api';
import { usePasskey } from './passkeys';
import { ProvidersApi } from './providers';
import { SecurityApi } from './security-api';
import { WatchApi } from './watch-api';
import { fieldOf, readFailure, request, StaffApi, type Account, type Credentials, type Tokens } from './staff-api';

const TOKENS = 'mainstem.staff.tokens';
const DEVICE = 'mainstem.staff.device';
/** An access token is replaced so long before its end. */
const REFRESH_AHEAD_MS = 30_000;

type Stored = Pick<Tokens, 'access_token' | 'access_expires_at' | 'refresh_token'>;

function stored(): Stored | undefined {
  try {
    return (JSON.parse(localStorage.getItem(TOKENS) ?? 'null') as Stored | null) ?? undefined;
  } catch {
    return undefined;
  }
}

/** Made once in each browser. */
export function deviceSecret(): string {
  const known = localStorage.getItem(DEVICE);
  if (known) return known;
  const bytes = crypto.getRandomValues(new Uint8Array(24));
  const made = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  localStorage.setItem(DEVICE, made);
  return made;
}

/** What the browser calls itself, as short as people would. */
export function deviceName(agent: string): string {
  const browser = ['Edg', 'Firefox', 'Chrome', 'Safari'].find((name) => agent.includes(name)) ?? 'Browser';
  const system = ['Android', 'iPhone', 'Windows', 'Mac OS', 'Linux'].find((name) => agent.includes(name));
  return `${browser === 'Edg' ? 'Edge' : browser}${system === undefined ? '' : ` on ${system}`}`;
}

/** At most one tab at a time, where the browser can tell. */
async function alone<T>(work: () => Promise<T>): Promise<T> {
  if (navigator.locks === undefined) return work();
  return (await navigator.locks.request('mainstem.staff.refresh', work)) as T;
}

class Staff {
  account = $state<Account>();
  /** Until it is known whether somebody is signed in. */
  phase = $state<'loading' | 'setup' | 'out' | 'in'>('loading');
  problem = $state<unknown>();
  /** The origin whose pages can use passkeys, as the server says. */
  passkeyOrigin = $state<string | null>(null);
  /** Set while a dialog asks for a fresh proof; called with whether it was given. */
  proving = $state<(given: boolean) => void>();
  /** One's act that waits for a second person, until it was taken note of. */
  waiting = $state.raw<Asked>();
  readonly api = new StaffApi((method, path, body) => this.ask(method, path, body));
  readonly security = new SecurityApi((method, path, body) => this.ask(method, path, body));
  readonly providers = new ProvidersApi((method, path, body) => this.ask(method, path, body));
  readonly watch = new WatchApi((method, path, body) => this.ask(method, path, body), (path, signal) => this.open(path, signal));

  readonly approvals = new ApprovalsApi((method, path, body) => this.ask(method, path, body));

  async start(): Promise<void> {
    this.problem = undefined;
    addEventListener('storage', (event) => {
      if (event.key === TOKENS && event.newValue === null) this.forget();
    });
    try {
      const setup = await request('', 'GET', '/v1/setup');
      this.passkeyOrigin = setup.passkey_origin ?? null;
      if (stored() !== undefined) return await this.load();
      this.phase = setup.needs_owner ? 'setup' : 'out';
    } catch (error) {
      this.problem = error;
    }
  }

  async load(): Promise<void> {
    try {
      this.account = await this.api.account();
      this.phase = 'in';
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 401) throw error;
      this.forget();
    }
  }

  async signIn(wish: Pick<Credentials, 'email' | 'password' | 'code' | 'passkey'>): Promise<void> {
    const device = { device: deviceSecret(), device_name: deviceName(navigator.userAgent) };
    this.keep(await request('', 'POST', '/v1/auth/login', { ...wish, ...device }));
    await this.load();
  }

  /** By a passkey alone; with a signal it is offered where the browser fills addresses in. */
  async signInByPasskey(signal?: AbortSignal): Promise<void> {
    const options = await request('', 'POST', '/v1/auth/passkey/options');
    const credential = await usePasskey(options, signal);
    const device = { device: deviceSecret(), device_name: deviceName(navigator.userAgent) };
    this.keep(await request('', 'POST', '/v1/auth/passkey/login', { credential, ...device }));
    await this.load();
  }

  /** By a passkey in place of the code that is asked for after the password. */
  async signInBySecondPasskey(wish: Pick<Credentials, 'email' | 'password'>): Promise<void> {
    const asked = { ...wish, device: deviceSecret() };
    const options = await request('', 'POST', '/v1/auth/passkey/second-factor-options', asked);
    await this.signIn({ ...wish, passkey: await usePasskey(options) });
  }

  /** A fresh proof by a passkey. */
  async elevateByPasskey(): Promise<void> {
    await this.api.elevateByPasskey(await usePasskey(await this.api.elevateOptions()));
  }

  /** With tokens that were got in another way than by a password. */
  async enter(tokens: Tokens): Promise<void> {
    this.keep(tokens);
    await this.load();
  }

  async signOut(): Promise<void> {
    // Whatever the server says, this browser forgets.
    await this.ask('POST', '/v1/auth/logout').catch(() => undefined);
    this.forget();
  }

  /** Repeats what was refused for want of a fresh proof, once it is given. */
  async proven<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (fieldOf(error) !== 'elevated') throw error;
      const given = await new Promise<boolean>((resolve) => (this.proving = resolve));
      this.proving = undefined;
      if (!given) throw error;
      return work();
    }
  }

  /** Whether the roles allow it anywhere: what the server would refuse is not offered. */
  may(permission: string): boolean {
    return this.account?.rights.some((rights) => rights.permissions.includes(permission)) ?? false;
  }

  /** Whether the roles allow it in this tenant. */
  mayIn(permission: string, tenant: string): boolean {
    const counting = this.account?.rights.filter((it) => it.tenant === null || (it.tenant === tenant && it.project === null)) ?? [];
    return counting.some((rights) => rights.permissions.includes(permission));
  }

  /** Whether the roles allow it in the whole installation. */
  mayEverywhere(permission: string): boolean {
    const whole = this.account?.rights.filter((rights) => rights.tenant === null) ?? [];
    return whole.some((rights) => rights.permissions.includes(permission));
  }

  /** One request as who is signed in. */
  async ask(method: string, path: string, body?: unknown): Promise<any> {
    try {
      const answer = await request(await this.token(), method, path, body);
      // Nothing was done: whoever asked must not take this for what he asked for.
      const waiting = asked(answer);
      if (waiting === undefined) return answer;
      this.waiting = waiting;
      throw new ApiError(202, { code: waiting.code, message: 'Nothing was done yet: this waits for a second person.', details: { hint: 'Approvals shows it, and what comes of it.' } });
    } catch (error) {
      const ended = error instanceof ApiError && error.status === 401 && fieldOf(error) === 'authorization';
      if (ended) this.forget();
      throw error;
    }
  }

  /** An answer that is read piece by piece; a refusal is thrown like any other. */
  private async open(path: string, signal: AbortSignal): Promise<Response> {
    const headers = { authorization: `Bearer ${await this.token()}` };
    const response = await fetch(path, { headers, signal, cache: 'no-store' });
    if (!response.ok) throw await readFailure(response);
    return response;
  }

  private async token(): Promise<string> {
    const soon = (tokens: Stored) => tokens.access_expires_at - Date.now() < REFRESH_AHEAD_MS;
    const now = stored();
    if (now !== undefined && !soon(now)) return now.access_token;
    return alone(async () => {
      // Another tab may have done it meanwhile.
      const known = stored();
      if (known === undefined) throw new ApiError(401, { code: 'INVALID_TOKEN', message: 'You are signed out.', details: { field: 'authorization' } });
      if (!soon(known)) return known.access_token;
      const body = { refresh_token: known.refresh_token, device: deviceSecret() };
      const next = (await request('', 'POST', '/v1/auth/refresh', body)) as Tokens;
      this.keep(next);
      return next.access_token;
    });
  }

  private keep(tokens: Tokens): void {
    const { access_token, access_expires_at, refresh_token } = tokens;
    localStorage.setItem(TOKENS, JSON.stringify({ access_token, access_expires_at, refresh_token }));
  }

  private forget(): void {
    localStorage.removeItem(TOKENS);
    this.account = undefined;
    this.phase = 'out';
  }
}

export const staff = new Staff();
