// Which page the address names. Plain history navigation; links stay ordinary anchors.

import { tick } from 'svelte';

export type Page =
  | { name: 'overview' }
  | { name: 'topics' }
  | { name: 'topic'; topic: string }
  | { name: 'consumers'; topic: string }
  | { name: 'connections' }
  | { name: 'webhooks' }
  | { name: 'webhook'; webhook: string }
  | { name: 'usage' }
  | { name: 'demo' }
  | { name: 'api' }
  | { name: 'users' }
  | { name: 'roles' }
  | { name: 'providers' }
  | { name: 'return' }
  | { name: 'access' }
  | { name: 'audit' }
  | { name: 'alerts' }
  | { name: 'security' }
  | { name: 'approvals' }
  | { name: 'account' }
  | { name: 'device' }
  | { name: 'tenants' }
  | { name: 'tenant'; tenant: string }
  | { name: 'project'; tenant: string; project: string }
  | { name: 'groups'; tenant: string; project: string }
  | { name: 'group'; tenant: string; project: string; group: string }
  | { name: 'plans' }
  | { name: 'logs' }
  | { name: 'configuration' }
  | { name: 'accept' }
  | { name: 'reset' }
  | { name: 'unknown' };

/** How long a page's code may take until its heading is no longer waited for. */
const HEADING_LOOKS_MAX = 12;
const HEADING_LOOK_MS = 25;

/** Pages of the admin port, one word each. */
const STAFF_PAGES = ['users', 'roles', 'providers', 'audit', 'alerts', 'security', 'approvals', 'access', 'account', 'device', 'accept', 'reset', 'tenants', 'plans', 'logs', 'configuration'] as const;

export function pageOf(path: string): Page {
  const parts = path.split('/').filter((part) => part !== '');
  const [first, second, third] = parts;
  if (first === undefined) return { name: 'overview' };
  if (first === 'topics' && parts.length === 1) return { name: 'topics' };
  if (first === 'topics' && second !== undefined && parts.length === 2) {
    return { name: 'topic', topic: safeDecode(second) };
  }
  if (first === 'topics' && second !== undefined && third === 'consumers' && parts.length === 3) {
    return { name: 'consumers', topic: safeDecode(second) };
  }
  if (first === 'connections' && parts.length === 1) return { name: 'connections' };
  if (first === 'webhooks' && parts.length === 1) return { name: 'webhooks' };
  if (first === 'webhooks' && second !== undefined && parts.length === 2) {
    return { name: 'webhook', webhook: safeDecode(second) };
  }
  if (first === 'usage' && parts.length === 1) return { name: 'usage' };
  if (first === 'demo' && parts.length === 1) return { name: 'demo' };
  if (first === 'sign-in' && second === 'return' && parts.length === 2) return { name: 'return' };
  if (first === 'docs' && second === 'api' && parts.length === 2) return { name: 'api' };
  if (first === 'tenants' && second !== undefined) {
    const tenant = safeDecode(second);
    if (parts.length === 2) return { name: 'tenant', tenant };
    const project = parts[3];
    if (third === 'projects' && project !== undefined) {
      const at = { tenant, project: safeDecode(project) };
      const group = parts[5];
      if (parts.length === 4) return { name: 'project', ...at };
      if (parts[4] === 'groups' && group === undefined) return { name: 'groups', ...at };
      if (parts[4] === 'groups' && group !== undefined && parts.length === 6) return { name: 'group', ...at, group: safeDecode(group) };
    }
  }
  const staff = STAFF_PAGES.find((name) => name === first && parts.length === 1);
  return staff === undefined ? { name: 'unknown' } : { name: staff };
}

/** Half an escape in a pasted address is shown as it stands. */
function safeDecode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

class Router {
  path = $state(location.pathname);
  page = $derived(pageOf(this.path));

  listen(): void {
    addEventListener('popstate', () => {
      this.path = location.pathname;
    });
    document.addEventListener('click', (event) => this.onClick(event));
  }

  async go(path: string): Promise<void> {
    if (path === this.path) return;
    history.pushState(null, '', path);
    this.path = path;
    scrollTo(0, 0);
    // A new page is announced by moving focus to its heading, as a full load would begin there. Its
    // code may have to come first.
    const before = document.querySelector<HTMLElement>('main h1');
    await tick();
    for (let look = 0; look < HEADING_LOOKS_MAX; look += 1) {
      const heading = document.querySelector<HTMLElement>('main h1');
      if (heading !== null && heading !== before) break;
      await new Promise((resolve) => setTimeout(resolve, HEADING_LOOK_MS));
    }
    document.querySelector<HTMLElement>('main h1')?.focus({ preventScroll: true });
  }

  private onClick(event: MouseEvent): void {
    const plain = event.button === 0 && !(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey);
    const link = (event.target as Element).closest?.('a');
    if (!plain || event.defaultPrevented || !link || link.target || link.origin !== location.origin) return;
    if (link.hash !== '' && link.pathname === location.pathname) return;
    if (pageOf(link.pathname).name === 'unknown') return;
    event.preventDefault();
    void this.go(link.pathname);
  }
}

export const router = new Router();
