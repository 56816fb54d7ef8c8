// Choices of the reader that outlive the tab: the theme and whether single keys are shortcuts.

export type Theme = 'system' | 'light' | 'dark';

class Preferences {
  theme = $state<Theme>(readTheme());
  singleKeys = $state(localStorage.getItem('mainstem.single-keys') !== 'off');
  /** What is on the screen now, whoever decided it. */
  dark = $state(false);

  start(): void {
    const system = matchMedia('(prefers-color-scheme: dark)');
    system.addEventListener('change', () => this.apply());
    this.apply();
  }

  setTheme(theme: Theme): void {
    this.theme = theme;
    if (theme === 'system') localStorage.removeItem('mainstem.theme');
    else localStorage.setItem('mainstem.theme', theme);
    this.apply();
  }

  setSingleKeys(on: 'on' | 'off'): void {
    this.singleKeys = on === 'on';
    localStorage.setItem('mainstem.single-keys', on);
  }

  private apply(): void {
    const root = document.documentElement;
    if (this.theme === 'system') delete root.dataset['theme'];
    else root.dataset['theme'] = this.theme;
    const systemDark = matchMedia('(prefers-color-scheme: dark)').matches;
    this.dark = this.theme === 'dark' || (this.theme === 'system' && systemDark);
  }
}

function readTheme(): Theme {
  const stored = localStorage.getItem('mainstem.theme');
  return stored === 'light' || stored === 'dark' ? stored : 'system';
}

export const preferences = new Preferences();
