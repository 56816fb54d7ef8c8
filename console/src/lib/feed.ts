// What the live view holds: the newest records of one subscription, a pause that loses nothing, and
// a text filter over what is held. It knows no DOM; it is told when to hand a batch over.

import type { MainstemClient, Subscription } from './mainstem';
import type { ErrorView, From, RecordView } from './wire';

/** Records the view holds; older ones leave it (the log still has them). */
export const HELD_MAX = 10_000;
/** Records gathered while paused. Beyond it the subscription itself is paused at its cursor. */
export const WAITING_MAX = 5_000;

export interface FeedRecord {
  /** Counts all records this feed ever took: the identity of a row. */
  sequence: number;
  record: RecordView;
  /** Milliseconds from the record's timestamp to its arrival here. */
  delayMs: number;
  /** Arrived after the subscription had caught up with the log. */
  live: boolean;
}

export interface FeedChange {
  /** Rows added at the end of `rows`. */
  added: number;
  /** Rows that left at the front. */
  removed: number;
}

export type FeedPhase = 'catching up' | 'live' | 'paused' | 'ended';

export class Feed {
  /** Held and matching the text, oldest first. */
  rows: FeedRecord[] = [];
  /** Taken while paused, not shown yet. */
  waiting: FeedRecord[] = [];
  taken = 0;
  ended: ErrorView | undefined;
  gaps: { partition: number; from: number; to: number }[] = [];
  private held: FeedRecord[] = [];
  private text = '';
  private paused = false;
  private live = false;
  private incoming: FeedRecord[] = [];
  private readonly subscription: Subscription;

  constructor(
    client: MainstemClient,
    filter: string,
    from: From,
    private readonly wake: () => void,
    private readonly now: () => number = () => Date.now(),
  ) {
    this.subscription = client.subscribe(
      { filter, from },
      {
        onRecord: (record) => this.take(record),
        onLive: () => {
          this.live = true;
          this.wake();
        },
        onGap: (gap) => {
          this.gaps.push(gap);
          this.wake();
        },
        onEnded: (error) => {
          this.ended = error;
          this.wake();
        },
      },
    );
  }

  phase(): FeedPhase {
    if (this.ended) return 'ended';
    if (this.paused) return 'paused';
    return this.live ? 'live' : 'catching up';
  }

  heldCount(): number {
    return this.held.length;
  }

  /** True when so much arrived during the pause that the rest stays in the log for now. */
  overflowed(): boolean {
    return this.subscription.phase === 'paused';
  }

  pause(): void {
    if (this.paused) return;
    this.flush();
    this.paused = true;
    this.wake();
  }

  resume(): FeedChange {
    this.paused = false;
    this.incoming = this.waiting;
    this.waiting = [];
    const change = this.flush();
    this.subscription.resume();
    this.wake();
    return change;
  }

  stop(): void {
    this.subscription.cancel();
  }

  clear(): void {
    this.held = [];
    this.rows = [];
    this.wake();
  }

  setText(text: string): void {
    this.text = text.trim().toLowerCase();
    this.rows = this.text === '' ? [...this.held] : this.held.filter((row) => this.matches(row));
    this.wake();
  }

  /** Moves what arrived since the last call into `rows`. */
  flush(): FeedChange {
    if (this.incoming.length === 0) return { added: 0, removed: 0 };
    const batch = this.incoming;
    this.incoming = [];
    this.held.push(...batch);
    const excess = Math.max(0, this.held.length - HELD_MAX);
    const oldestKept = this.held[excess]?.sequence ?? 0;
    if (excess > 0) this.held.splice(0, excess);
    const matching = this.text === '' ? batch : batch.filter((row) => this.matches(row));
    this.rows.push(...matching);
    let removed = 0;
    while (removed < this.rows.length && (this.rows[removed]?.sequence ?? 0) < oldestKept) {
      removed += 1;
    }
    if (removed > 0) this.rows.splice(0, removed);
    return { added: matching.length, removed };
  }

  private take(record: RecordView): void {
    const row: FeedRecord = {
      sequence: this.taken,
      record,
      delayMs: this.now() - record.timestamp,
      live: this.live,
    };
    this.taken += 1;
    if (this.paused) {
      this.waiting.push(row);
      if (this.waiting.length >= WAITING_MAX) this.subscription.pause();
    } else {
      this.incoming.push(row);
      // A hidden page draws no frames, yet records keep coming.
      if (this.incoming.length >= HELD_MAX) this.flush();
    }
    this.wake();
  }

  private matches(row: FeedRecord): boolean {
    return searchText(row.record).includes(this.text);
  }
}

const searchTexts = new WeakMap<RecordView, string>();

/** Key, id, headers and value as one lower-case text, made when first asked for. */
export function searchText(record: RecordView): string {
  const known = searchTexts.get(record);
  if (known !== undefined) return known;
  const headers = Object.entries(record.headers ?? {}).map(([name, value]) => `${name}:${value}`);
  const value = record.data_base64 ?? JSON.stringify(record.data) ?? '';
  const parts = [record.key ?? '', record.id, ...headers, value];
  const text = parts.join('\n').toLowerCase();
  searchTexts.set(record, text);
  return text;
}
