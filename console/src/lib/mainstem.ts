// The client of the WebSocket subprotocol `mainstem.v1.json`.
//
// It promises its caller one thing: a subscription sees every record after the point where it
// started, in order per partition, once - across any number of lost connections. For that it keeps
// the cursor the server gave at the start and the newest cursor of each partition, and presents all
// of them when it subscribes again. It knows nothing of pages, storage of keys, or Svelte.

import { backoffMs, type Backoff } from './backoff';
import { DeltaReader, PatchError } from './delta';
import type {
  ErrorView,
  From,
  PublishedView,
  PublishView,
  RecordView,
  ServerFrame,
} from './wire';

export const SUBPROTOCOL = 'mainstem.v1.json';
/** Publishes waiting for their acknowledgement; the next one is refused at once. */
export const PUBLISH_PENDING_MAX = 1_000;
/** A connection that answers nothing for this long after a ping is taken for dead. */
export const PONG_WAIT_MS_MAX = 10_000;
/** From opening the socket to the server's `connected`. */
export const CONNECT_WAIT_MS_MAX = 15_000;
/** Cursors one subscribe presents; the server takes 1,024. */
export const CURSORS_SENT_MAX = 1_000;
const BACKOFF: Backoff = { firstMs: 250, maxMs: 15_000 };
const NORMAL_CLOSE = 1000;
/** Close codes after which the same credential will not be accepted on a second try. */
const REFUSED_CODES = new Set([1008, 4401, 4403]);

export class MainstemError extends Error {
  readonly code: string;
  readonly view: ErrorView;
  constructor(view: ErrorView) {
    super(view.message);
    this.name = 'MainstemError';
    this.code = view.code;
    this.view = view;
  }
}

export type State =
  | { kind: 'idle' }
  | { kind: 'connecting'; attempt: number }
  | { kind: 'connected'; project: string; principal: string }
  | { kind: 'waiting'; attempt: number; retryAt: number; reason: string }
  /** The credential was refused: nothing happens until `connect` is called again. */
  | { kind: 'refused'; error: ErrorView };

/** The part of the browser's WebSocket this client uses; tests hand in their own. */
export interface Socket {
  onopen: ((event: any) => void) | null;
  onmessage: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  send(text: string): void;
  close(code?: number, reason?: string): void;
}

export interface Surroundings {
  open(url: string, protocol: string): Socket;
  now(): number;
  random(): number;
  later(run: () => void, ms: number): unknown;
  cancel(timer: unknown): void;
  newId(): string;
}

export interface SubscribeOptions {
  filter: string;
  from?: From;
  /** First the latest value of each matching key, then what follows. */
  latest?: boolean;
  excludeOwn?: boolean;
  /** Only records of which this condition holds. */
  where?: string;
  /** Values travel as differences, where the topic permits it. */
  delta?: boolean;
}

export interface SubscriptionEvents {
  onRecord(record: RecordView): void;
  onLive?(): void;
  onGap?(gap: { partition: number; from: number; to: number }): void;
  /** The subscription is over and will not come back by itself. */
  onEnded?(error: ErrorView): void;
}

interface Reached {
  offset: number;
  timestampMax: number;
  cursor: string;
  /** True from a resubscription until the first record that is certainly new. */
  resuming: boolean;
}

type SubscriptionPhase = 'active' | 'paused' | 'over';

/** One followed filter. It outlives connections; `cancel` ends it. */
export class Subscription {
  /** The number on the wire. New at every subscribe, so that records still under way for an
   * earlier one cannot be taken for its successor's. For the client only; 0 before the first. */
  sub = 0;
  readonly options: SubscribeOptions;
  readonly events: SubscriptionEvents;
  phase: SubscriptionPhase = 'active';
  private readonly client: MainstemClient;
  private start: string | undefined;
  private readonly reached = new Map<string, Reached>();
  /** What differences are of; begun anew with each subscribe, as the server does. */
  private values = new DeltaReader();

  constructor(client: MainstemClient, options: SubscribeOptions, events: SubscriptionEvents) {
    this.client = client;
    this.options = options;
    this.events = events;
  }

  /** Where the subscription would go on: the start, then the newest cursor of each partition. */
  resumeFrom(): From {
    if (this.start === undefined) return this.options.from ?? 'latest';
    // A partition left out begins at the start cursor again; what it repeats is recognised below.
    const furthest = [...this.reached.values()].slice(0, CURSORS_SENT_MAX - 1);
    const cursors = furthest.map((reached) => reached.cursor);
    return cursors.length === 0 ? this.start : [this.start, ...cursors];
  }

  /** Stops delivery and keeps the place; `resume` goes on with the next record. */
  pause(): void {
    if (this.phase !== 'active') return;
    this.phase = 'paused';
    this.client.sendUnsubscribe(this);
  }

  resume(): void {
    if (this.phase !== 'paused') return;
    this.phase = 'active';
    this.client.sendSubscribe(this);
  }

  cancel(): void {
    if (this.phase === 'over') return;
    const wasActive = this.phase === 'active';
    this.phase = 'over';
    if (wasActive) this.client.sendUnsubscribe(this);
    this.client.forget(this);
  }

  /** For the client only. */
  started(cursor: string): void {
    this.start ??= cursor;
  }

  hasStarted(): boolean {
    return this.start !== undefined;
  }

  /** For the client only: what was seen may come again, until something newer arrives. */
  resubscribing(): void {
    for (const reached of this.reached.values()) reached.resuming = true;
    this.values = new DeltaReader();
  }

  /** For the client only. */
  take(told: RecordView): void {
    if (this.phase !== 'active') return;
    // Also of a record that came before: what follows may be a difference to it.
    const record = this.options.delta ? this.values.read(told) : told;
    const place = `${record.topic}\u0000${record.partition}`;
    const reached = this.reached.get(place);
    if (reached === undefined) {
      this.reached.set(place, {
        offset: record.offset,
        timestampMax: record.timestamp,
        cursor: record.cursor,
        resuming: false,
      });
    } else {
      // A topic made anew counts from zero again, so a small offset alone proves nothing; but what
      // was seen before cannot be younger than the youngest record seen.
      const seen = record.offset <= reached.offset && record.timestamp <= reached.timestampMax;
      if (reached.resuming && seen) return;
      reached.resuming = false;
      reached.offset = record.offset;
      reached.timestampMax = Math.max(reached.timestampMax, record.timestamp);
      reached.cursor = record.cursor;
    }
    this.events.onRecord(record);
  }
}

interface PendingPublish {
  records: PublishView[];
  /** The request id of the current connection; `undefined` when it must be sent again. */
  request: number | undefined;
  resolve(published: PublishedView[]): void;
  reject(error: Error): void;
}

export class MainstemClient {
  private state: State = { kind: 'idle' };
  private socket: Socket | undefined;
  private requestNext = 1;
  private subNext = 1;
  private attempt = 0;
  private keepaliveMs = 25_000;
  private heardAt = 0;
  private adviceMs: number | undefined;
  private connectTimer: unknown;
  private retryTimer: unknown;
  private keepaliveTimer: unknown;
  private readonly subscriptions = new Set<Subscription>();
  private readonly bySub = new Map<number, Subscription>();
  private readonly subscribing = new Map<number, Subscription>();
  private readonly publishing = new Set<PendingPublish>();
  private readonly watchers = new Set<(state: State) => void>();

  constructor(
    private readonly url: string,
    private readonly token: () => string,
    private readonly around: Surroundings = browserSurroundings(),
  ) {}

  currentState(): State {
    return this.state;
  }

  /** Calls at once with the present state, then at each change. Returns the way to stop. */
  watch(watcher: (state: State) => void): () => void {
    this.watchers.add(watcher);
    watcher(this.state);
    return () => this.watchers.delete(watcher);
  }

  connect(): void {
    if (this.state.kind === 'connecting' || this.state.kind === 'connected') return;
    this.around.cancel(this.retryTimer);
    this.open();
  }

  /** Closes for good; subscriptions keep their place for a later `connect`. */
  close(): void {
    this.around.cancel(this.retryTimer);
    this.drop(NORMAL_CLOSE);
    for (const pending of this.publishing) {
      pending.reject(new MainstemError({ code: 'CLOSED', message: 'The client was closed.' }));
    }
    this.publishing.clear();
    this.become({ kind: 'idle' });
  }

  subscribe(options: SubscribeOptions, events: SubscriptionEvents): Subscription {
    const subscription = new Subscription(this, options, events);
    this.subscriptions.add(subscription);
    this.sendSubscribe(subscription);
    return subscription;
  }

  /**
   * Resolves when the log has the records. Each gets an id of its own, so that sending again after
   * a lost connection stores it once.
   */
  publish(records: PublishView[]): Promise<PublishedView[]> {
    if (this.publishing.size >= PUBLISH_PENDING_MAX) {
      const message = `${PUBLISH_PENDING_MAX} publishes already wait for their acknowledgement.`;
      return Promise.reject(new MainstemError({ code: 'TOO_MANY_PENDING', message }));
    }
    const withIds = records.map((record) => ({ ...record, id: record.id ?? this.around.newId() }));
    return new Promise((resolve, reject) => {
      const pending: PendingPublish = { records: withIds, request: undefined, resolve, reject };
      this.publishing.add(pending);
      this.sendPublish(pending);
    });
  }

  /** For subscriptions only. */
  forget(subscription: Subscription): void {
    this.subscriptions.delete(subscription);
  }

  /** For subscriptions only. */
  sendSubscribe(subscription: Subscription): void {
    if (this.state.kind !== 'connected') return;
    const { filter, latest, excludeOwn, where, delta } = subscription.options;
    subscription.resubscribing();
    subscription.sub = this.subNext++;
    this.bySub.set(subscription.sub, subscription);
    const id = this.requestNext++;
    this.subscribing.set(id, subscription);
    const from = subscription.resumeFrom();
    this.send({
      type: 'subscribe',
      id,
      sub: subscription.sub,
      filter,
      from,
      ...(latest && !subscription.hasStarted() ? { latest } : {}),
      ...(excludeOwn ? { exclude_own: true } : {}),
      ...(where ? { where } : {}),
      ...(delta ? { delta } : {}),
    });
  }

  /** For subscriptions only. */
  sendUnsubscribe(subscription: Subscription): void {
    this.bySub.delete(subscription.sub);
    if (this.state.kind !== 'connected') return;
    this.send({ type: 'unsubscribe', id: this.requestNext++, sub: subscription.sub });
  }

  private sendPublish(pending: PendingPublish): void {
    if (this.state.kind !== 'connected') return;
    pending.request = this.requestNext++;
    this.send({ type: 'publish', id: pending.request, records: pending.records });
  }

  private open(): void {
    this.become({ kind: 'connecting', attempt: this.attempt });
    this.adviceMs = undefined;
    const socket = this.around.open(this.url, SUBPROTOCOL);
    this.socket = socket;
    this.connectTimer = this.around.later(() => this.lost('no answer'), CONNECT_WAIT_MS_MAX);
    socket.onopen = () => {
      if (this.socket !== socket) return;
      this.send({ type: 'connect', id: this.requestNext++, token: this.token() });
    };
    socket.onmessage = (event) => {
      if (this.socket !== socket) return;
      this.heardAt = this.around.now();
      const frame = parseFrame(event.data);
      if (frame !== undefined) this.onFrame(frame);
    };
    socket.onclose = (event) => {
      if (this.socket !== socket) return;
      if (REFUSED_CODES.has(event.code)) {
        const message = event.reason || 'The server refused this credential.';
        this.refused({ code: event.code === 4403 ? 'FORBIDDEN' : 'UNAUTHENTICATED', message });
      } else {
        this.lost(event.reason || `closed with ${event.code}`);
      }
    };
    socket.onerror = () => {};
  }

  private onFrame(frame: ServerFrame): void {
    switch (frame.type) {
      case 'connected':
        return this.onConnected(frame);
      case 'record':
        return this.take(frame.sub, frame);
      case 'subscribed':
        this.subscribing.delete(frame.id);
        return this.bySub.get(frame.sub)?.started(frame.cursor);
      case 'caught_up':
        return this.bySub.get(frame.sub)?.events.onLive?.();
      case 'gap':
        return this.bySub.get(frame.sub)?.events.onGap?.(frame);
      case 'ended':
        return this.endSubscription(this.bySub.get(frame.sub), frame.error);
      case 'published':
        return this.settle(frame.id, (pending) => pending.resolve(frame.records));
      case 'error':
        return this.onError(frame.id, frame.error);
      case 'reconnect':
        this.adviceMs = frame.after_ms;
        return;
      default:
        return;
    }
  }

  /** A difference that does not fit is no reason to guess: the next subscribe begins with wholes. */
  private take(sub: number, record: RecordView): void {
    try {
      this.bySub.get(sub)?.take(record);
    } catch (error) {
      if (!(error instanceof PatchError)) throw error;
      this.lost(error.message);
    }
  }

  private onConnected(frame: { project: string; principal: string; keepalive_ms: number }): void {
    this.around.cancel(this.connectTimer);
    this.attempt = 0;
    if (frame.keepalive_ms > 0) this.keepaliveMs = frame.keepalive_ms;
    this.become({ kind: 'connected', project: frame.project, principal: frame.principal });
    for (const subscription of this.subscriptions) {
      if (subscription.phase === 'active') this.sendSubscribe(subscription);
    }
    for (const pending of this.publishing) this.sendPublish(pending);
    this.armKeepalive();
  }

  private onError(id: number | undefined, error: ErrorView): void {
    if (this.state.kind === 'connecting') return this.refusedOrLost(error);
    if (id === undefined) return;
    const subscription = this.subscribing.get(id);
    if (subscription !== undefined) {
      this.subscribing.delete(id);
      return this.endSubscription(subscription, error);
    }
    this.settle(id, (pending) => pending.reject(new MainstemError(error)));
  }

  /** Only a refused credential is final; an overloaded or draining server is worth a retry. */
  private refusedOrLost(error: ErrorView): void {
    const final = /KEY|TOKEN|CREDENTIAL|FORBIDDEN|SCOPE|SUSPENDED/.test(error.code);
    if (final) return this.refused(error);
    this.adviceMs = error.details?.retry_after_ms;
    this.lost(error.message);
  }

  private endSubscription(subscription: Subscription | undefined, error: ErrorView): void {
    if (subscription === undefined || subscription.phase === 'over') return;
    subscription.phase = 'over';
    this.subscriptions.delete(subscription);
    this.bySub.delete(subscription.sub);
    subscription.events.onEnded?.(error);
  }

  private settle(request: number, act: (pending: PendingPublish) => void): void {
    for (const pending of this.publishing) {
      if (pending.request !== request) continue;
      this.publishing.delete(pending);
      return act(pending);
    }
  }

  private armKeepalive(): void {
    this.keepaliveTimer = this.around.later(() => {
      const askedAt = this.around.now();
      this.send({ type: 'ping', id: this.requestNext++ });
      this.keepaliveTimer = this.around.later(() => {
        if (this.heardAt < askedAt) this.lost('the server stopped answering');
        else this.armKeepalive();
      }, PONG_WAIT_MS_MAX);
    }, this.keepaliveMs);
  }

  private lost(reason: string): void {
    this.drop();
    const jittered = backoffMs(BACKOFF, this.attempt, () => this.around.random());
    const waitMs = this.adviceMs ?? jittered;
    this.become({
      kind: 'waiting',
      attempt: this.attempt,
      retryAt: this.around.now() + waitMs,
      reason,
    });
    this.attempt += 1;
    this.retryTimer = this.around.later(() => this.open(), waitMs);
  }

  private refused(error: ErrorView): void {
    this.drop();
    this.become({ kind: 'refused', error });
  }

  private drop(code?: number): void {
    this.around.cancel(this.connectTimer);
    this.around.cancel(this.keepaliveTimer);
    const socket = this.socket;
    this.socket = undefined;
    this.subscribing.clear();
    this.bySub.clear();
    for (const pending of this.publishing) pending.request = undefined;
    socket?.close(code);
  }

  private send(frame: object): void {
    this.socket?.send(JSON.stringify(frame));
  }

  private become(state: State): void {
    this.state = state;
    for (const watcher of this.watchers) watcher(state);
  }
}

/** `undefined` for what is not a frame: the server may grow types this client does not know. */
function parseFrame(data: unknown): ServerFrame | undefined {
  if (typeof data !== 'string') return undefined;
  try {
    const frame: unknown = JSON.parse(data);
    const isFrame = typeof frame === 'object' && frame !== null && 'type' in frame;
    return isFrame ? (frame as ServerFrame) : undefined;
  } catch {
    return undefined;
  }
}

/** `crypto.randomUUID` exists only on secure origins; a console on plain HTTP needs ids too. */
export function randomId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

export function browserSurroundings(): Surroundings {
  return {
    open: (url, protocol) => new WebSocket(url, protocol) as unknown as Socket,
    now: () => Date.now(),
    random: () => Math.random(),
    later: (run, ms) => setTimeout(run, ms),
    cancel: (timer) => clearTimeout(timer as ReturnType<typeof setTimeout>),
    newId: randomId,
  };
}
