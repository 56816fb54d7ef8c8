// The tenant's HTTP API as the console needs it: one function per call, one error type. The key
// travels in the Authorization header only, never in an address.

import type { Account, UsageWindow } from './account';
import type { ConsumerView, DeadLetterPage, LetterPlace, ReplayTarget } from './consumers';
import { MEMBERS_SHOWN_MAX, type Presence, readPresence } from './presence';
import type {
  Cleanup,
  Compatibility,
  ConnectionView,
  DeadLetterView,
  Durability,
  ErrorView,
  NewWebhook,
  PublishedView,
  PublishView,
  SchemaKind,
  TopicConfig,
  WebhookAttempt,
  WebhookView,
  WhichLetters,
} from './wire';

const ANSWER_WAIT_MS_MAX = 15_000;
/** Pages the console asks for before it says that there is more. */
const PAGES_MAX = 20;
const PAGE_ITEMS = 1_000;

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly view: ErrorView,
  ) {
    super(view.message);
    this.name = 'ApiError';
  }
}

export interface Topic {
  name: string;
  config: TopicConfig;
  storedBytes: number;
  /** Kept now, in all partitions; deletions by retention leave no holes in the count. */
  records: number;
}

export interface SchemaDraft {
  kind: SchemaKind;
  schema: unknown;
}

export interface SchemaVersion extends SchemaDraft {
  version: number;
  created_at: number;
}

export interface SchemaVerdict {
  is_compatible: boolean;
  reason?: string | null;
  field?: string | null;
}

export interface Stats {
  published_per_second?: number;
  delivered_per_second?: number;
  [name: string]: unknown;
}

export class Api {
  constructor(
    readonly base: string,
    private readonly key: () => string,
  ) {}

  /** Succeeds when the server knows the key, whatever the key may do. */
  async checkKey(): Promise<void> {
    try {
      await this.call('GET', '/v1/topics?limit=1');
    } catch (error) {
      if (error instanceof ApiError && error.status === 403) {
        if (error.view.code !== 'TENANT_SUSPENDED') return;
      }
      throw error;
    }
  }

  async topics(): Promise<{ topics: Topic[]; more: boolean }> {
    const topics: Topic[] = [];
    let cursor = '';
    for (let page = 0; page < PAGES_MAX; page += 1) {
      const query = cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`;
      const answer = await this.call('GET', `/v1/topics?limit=${PAGE_ITEMS}${query}`);
      topics.push(...(answer.topics as object[]).map(readTopic));
      if (!answer.next_cursor) return { topics, more: false };
      cursor = String(answer.next_cursor);
    }
    return { topics, more: true };
  }

  /** Plan, the month's use and cost, of the tenant that the project belongs to. */
  async account(): Promise<Account> {
    return (await this.call('GET', '/v1/account')) as unknown as Account;
  }

  /** The project's use hour by hour since then; as many hours as one page holds. */
  async usageWindows(fromMs: number): Promise<UsageWindow[]> {
    const answer = await this.call('GET', `/v1/usage/windows?from=${fromMs}&limit=${PAGE_ITEMS}`);
    return answer.windows as UsageWindow[];
  }

  async topic(name: string): Promise<Topic> {
    return readTopic(await this.call('GET', `/v1/topics/${encodeURIComponent(name)}`));
  }

  /** Who is present at an address now: the first page of members, and how many there are. */
  async presence(topic: string, key: string): Promise<Presence> {
    const at = key === '' ? '' : `&key=${encodeURIComponent(key)}`;
    const path = `/v1/presence/${encodeURIComponent(topic)}?limit=${MEMBERS_SHOWN_MAX}${at}`;
    return readPresence(await this.call('GET', path));
  }

  async putTopic(name: string, config: TopicConfig): Promise<Topic> {
    const path = `/v1/topics/${encodeURIComponent(name)}`;
    return readTopic(await this.call('PUT', path, config));
  }

  async deleteTopic(name: string): Promise<void> {
    await this.call('DELETE', `/v1/topics/${encodeURIComponent(name)}`);
  }

  /** Oldest first, as many as one page holds. */
  async schemas(topic: string): Promise<SchemaVersion[]> {
    const path = `/v1/topics/${encodeURIComponent(topic)}/schemas?limit=${PAGE_ITEMS}`;
    return (await this.call('GET', path)).schemas as SchemaVersion[];
  }

  async putSchema(topic: string, draft: SchemaDraft): Promise<SchemaVersion> {
    const path = `/v1/topics/${encodeURIComponent(topic)}/schemas`;
    return (await this.call('POST', path, draft)) as SchemaVersion;
  }

  async checkSchema(topic: string, draft: SchemaDraft): Promise<SchemaVerdict> {
    const path = `/v1/topics/${encodeURIComponent(topic)}/schemas/check`;
    return (await this.call('POST', path, draft)) as SchemaVerdict;
  }

  async publish(record: PublishView): Promise<PublishedView> {
    return (await this.call('POST', '/v1/events', record)) as PublishedView;
  }

  /** As many as one topic can have. */
  async consumers(topic: string): Promise<ConsumerView[]> {
    const path = `/v1/topics/${encodeURIComponent(topic)}/consumers?limit=${PAGE_ITEMS}`;
    return (await this.call('GET', path)).consumers as ConsumerView[];
  }

  /** The oldest. */
  async deadLetters(topic: string, consumer: string): Promise<DeadLetterPage> {
    return (await this.call('GET', `${lettersPath(topic, consumer)}?limit=100`)) as DeadLetterPage;
  }

  /** Answers how many. */
  async replay(topic: string, consumer: string, letters: LetterPlace[], to: ReplayTarget): Promise<number> {
    const body = { to, letters: letters.map(placeOf) };
    return Number((await this.call('POST', `${lettersPath(topic, consumer)}/replay`, body)).replayed);
  }

  /** Answers how many. */
  async purge(topic: string, consumer: string, letters: LetterPlace[]): Promise<number> {
    const body = { letters: letters.map(placeOf) };
    return Number((await this.call('DELETE', lettersPath(topic, consumer), body)).purged);
  }

  /** `undefined` when this server lists no connections. */
  async connections(): Promise<ConnectionView[] | undefined> {
    const answer = await this.optional('/v1/connections');
    return answer?.connections as ConnectionView[] | undefined;
  }

  async closeConnection(id: ConnectionView['id']): Promise<void> {
    await this.call('DELETE', `/v1/connections/${encodeURIComponent(String(id))}`);
  }

  /** `undefined` when this server has no webhooks. */
  async webhooks(): Promise<WebhookView[] | undefined> {
    const answer = await this.optional('/v1/webhooks?limit=100');
    return answer?.webhooks as WebhookView[] | undefined;
  }

  async webhook(id: string): Promise<WebhookView> {
    return this.call('GET', webhookPath(id));
  }

  async createWebhook(webhook: NewWebhook): Promise<WebhookView> {
    return this.call('POST', '/v1/webhooks', webhook);
  }

  async changeWebhook(id: string, changes: { enabled?: boolean; url?: string; description?: string }): Promise<WebhookView> {
    return this.call('PATCH', webhookPath(id), changes);
  }

  async deleteWebhook(id: string): Promise<void> {
    await this.call('DELETE', webhookPath(id));
  }

  async rotateWebhookSecret(id: string): Promise<WebhookView> {
    return this.call('POST', `${webhookPath(id)}/rotate-secret`, {});
  }

  async testWebhook(id: string): Promise<WebhookAttempt> {
    return this.call('POST', `${webhookPath(id)}/test`);
  }

  async webhookAttempts(id: string): Promise<WebhookAttempt[]> {
    return (await this.call('GET', `${webhookPath(id)}/attempts`)).attempts;
  }

  async webhookDeadLetters(id: string): Promise<{ letters: DeadLetterView[]; more: boolean }> {
    const answer = await this.call('GET', `${webhookPath(id)}/dead-letters?limit=50`);
    return { letters: answer.dead_letters, more: Boolean(answer.next_cursor) };
  }

  /** How many were replayed or purged. */
  async settleDeadLetters(id: string, verb: 'replay' | 'purge', which: WhichLetters): Promise<number> {
    return (await this.call('POST', `${webhookPath(id)}/dead-letters/${verb}`, which)).count;
  }

  /** `undefined` when this server offers no statistics. */
  async stats(): Promise<Stats | undefined> {
    return (await this.optional('/v1/stats')) as Stats | undefined;
  }

  async openapi(): Promise<any> {
    return this.call('GET', '/openapi.json');
  }

  private async optional(path: string): Promise<any> {
    try {
      return await this.call('GET', path);
    } catch (error) {
      const missing = error instanceof ApiError && [404, 405, 501].includes(error.status);
      if (missing) return undefined;
      throw error;
    }
  }

  private async call(method: string, path: string, body?: unknown): Promise<any> {
    const headers: Record<string, string> = { accept: 'application/json' };
    const key = this.key();
    if (key !== '') headers['authorization'] = `Bearer ${key}`;
    if (body !== undefined) headers['content-type'] = 'application/json';
    const signal = AbortSignal.timeout(ANSWER_WAIT_MS_MAX);
    let response: Response;
    try {
      const request = { method, headers, signal, cache: 'no-store' as const };
      response = await fetch(this.base + path, {
        ...request,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
    } catch {
      throw new ApiError(0, { code: 'UNREACHABLE', message: 'The server did not answer.' });
    }
    const text = await response.text();
    const answer = text === '' ? {} : parse(text);
    if (response.ok && answer !== undefined) return answer;
    throw new ApiError(response.status, readError(response.status, answer));
  }
}

function webhookPath(id: string): string {
  return `/v1/webhooks/${encodeURIComponent(id)}`;
}

function lettersPath(topic: string, consumer: string): string {
  return `/v1/topics/${encodeURIComponent(topic)}/consumers/${encodeURIComponent(consumer)}/dead-letters`;
}

const placeOf = ({ partition, offset }: LetterPlace): LetterPlace => ({ partition, offset });

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

function readTopic(answer: any): Topic {
  const schema = answer.schema ?? undefined;
  return {
    name: String(answer.topic),
    config: {
      partitions: Number(answer.partitions ?? 1),
      durability: (answer.durability ?? 'durable') as Durability,
      retention: answer.retention ?? {},
      cleanup: (answer.cleanup ?? 'delete') as Cleanup,
      tombstone_ms: Number(answer.tombstone_ms ?? 86_400_000),
      idempotency_window_ms: Number(answer.idempotency_window_ms ?? 0),
      message_bytes_max: answer.message_bytes_max ?? null,
      occupancy: answer.occupancy === true,
      ...(schema === undefined ? {} : { schema }),
      schema_kind: (answer.schema_kind ?? 'json_schema') as SchemaKind,
      schema_compatibility: (answer.schema_compatibility ?? 'backward') as Compatibility,
      delta: Boolean(answer.delta ?? false),
    },
    storedBytes: Number(answer.stored_bytes ?? 0),
    records: (answer.offsets ?? []).reduce((sum: number, at: any) => sum + (at.end - at.start), 0),
  };
}
