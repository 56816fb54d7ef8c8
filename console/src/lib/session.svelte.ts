// Who is signed in at this tab. The key lives in sessionStorage (it ends with the tab) and goes to
// the server in a header or in the first WebSocket frame, never in an address.

import { Api } from './api';
import { MainstemClient, type State } from './mainstem';

const STORED_AS = 'mainstem.key';

class Session {
  key = $state(sessionStorage.getItem(STORED_AS) ?? '');
  connection = $state<State>({ kind: 'idle' });
  readonly api = new Api('', () => this.key);
  readonly client = new MainstemClient(
    `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/v1/ws`,
    () => this.key,
  );

  constructor() {
    this.client.watch((state) => {
      this.connection = state;
    });
    if (this.key !== '') this.client.connect();
  }

  async signIn(key: string): Promise<void> {
    await new Api('', () => key).checkKey();
    sessionStorage.setItem(STORED_AS, key);
    this.key = key;
    this.client.connect();
  }

  signOut(): void {
    sessionStorage.removeItem(STORED_AS);
    this.key = '';
    this.client.close();
  }
}

export const session = new Session();
