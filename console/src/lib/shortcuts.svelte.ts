// Keys that act anywhere on a page. Single letters can be switched off (WCAG 2.1.4), and nothing
// fires while one types or a dialog is open.

import { preferences } from './prefs.svelte';
import { router } from './router.svelte';

export const PAGES: Record<string, { path: string; label: string }> = {
  o: { path: '/', label: 'Overview' },
  t: { path: '/topics', label: 'Topics' },
  c: { path: '/connections', label: 'Connections' },
  w: { path: '/webhooks', label: 'Webhooks' },
  u: { path: '/usage', label: 'Usage' },
  d: { path: '/demo', label: 'Demo' },
  a: { path: '/docs/api', label: 'API reference' },
};
const CHORD_WAIT_MS_MAX = 1_500;

type Act = () => void;

class Shortcuts {
  helpOpen = $state(false);
  private readonly acts = new Map<string, Act>();
  private chordUntil = 0;

  /** Adds a page's keys; returns the way to take them back. */
  use(acts: Record<string, Act>): () => void {
    for (const [key, act] of Object.entries(acts)) this.acts.set(key, act);
    return () => {
      for (const key of Object.keys(acts)) this.acts.delete(key);
    };
  }

  onKey(event: KeyboardEvent): void {
    if (!preferences.singleKeys || event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.target as HTMLElement;
    if (target.matches('input, textarea, select, [contenteditable]')) return;
    if (document.querySelector('dialog[open]')) return;
    if (Date.now() < this.chordUntil) {
      this.chordUntil = 0;
      const page = PAGES[event.key];
      if (page) {
        event.preventDefault();
        void router.go(page.path);
      }
      return;
    }
    if (event.key === 'g') {
      this.chordUntil = Date.now() + CHORD_WAIT_MS_MAX;
      return;
    }
    const act = event.key === '?' ? () => (this.helpOpen = true) : this.acts.get(event.key);
    if (act === undefined) return;
    event.preventDefault();
    act();
  }
}

export const shortcuts = new Shortcuts();
