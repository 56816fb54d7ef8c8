// The JSON shapes of the tenant API and of the WebSocket subprotocol `mainstem.v1.json`, as the
// server writes them. This file describes and never decides.

export interface RecordView {
  topic: string;
  partition: number;
  offset: number;
  id: string;
  key?: string;
  key_base64?: string;
  /** Milliseconds since the Unix epoch. */
  timestamp: number;
  headers?: Record<string, string>;
  content_type?: string;
  publisher?: string;
  data?: unknown;
  data_base64?: string;
  /** In subscriptions that take differences: the value's own text, or a patch of the value at `base`. */
  data_text?: string;
  delta_base64?: string;
  base?: number;
  /** Records of the key that were passed over for this one. */
  left_out?: number;
  tombstone?: boolean;
  cursor: string;
}

export interface PublishView {
  topic: string;
  key?: string;
  data?: unknown;
  data_base64?: string;
  headers?: Record<string, string>;
  /** Idempotency id: the same id is stored once. */
  id?: string;
  timestamp?: number;
  content_type?: string;
}

export interface PublishedView {
  topic: string;
  partition: number;
  offset: number;
  id: string;
  timestamp: number;
  duplicate?: boolean;
}

export interface ErrorView {
  code: string;
  message: string;
  details?: { field?: string; hint?: string; retry_after_ms?: number };
  request_id?: string;
}

export type Durability = 'durable' | 'relaxed' | 'ephemeral';

export type Cleanup = 'delete' | 'compact' | 'compact_delete';
export type SchemaKind = 'json_schema' | 'avro';

/** What a new schema promises towards the one before. */
export type Compatibility = 'none' | 'backward' | 'forward' | 'full';

export interface TopicConfig {
  partitions: number;
  durability: Durability;
  retention: { age_ms_max?: number | null; bytes_max?: number | null; records_max?: number | null };
  cleanup: Cleanup;
  tombstone_ms?: number | undefined;
  idempotency_window_ms?: number;
  /** Of a record, or of a batch as its publisher made it; `null`: as many as limits allow. */
  message_bytes_max?: number | null;
  /** Tells in `$occupancy` when its addresses come to be followed, and when no more. */
  occupancy?: boolean;
  schema?: unknown;
  schema_kind?: SchemaKind;
  schema_compatibility?: Compatibility;
  delta?: boolean;
}

export interface ConnectionView {
  id: number | string;
  protocol: string;
  principal: string;
  address: string;
  opened_at: number | string;
  subscriptions: number | string[];
}

export interface WebhookAttempt {
  message: string;
  partition: number | null;
  offset: number | null;
  attempt: number;
  at: number;
  outcome: string;
  status: number | null;
  error: string | null;
  answer: string | null;
  took_ms: number;
}

export interface WebhookView {
  id: string;
  url: string;
  filter: string;
  description: string;
  enabled: boolean;
  disabled_reason: string | null;
  signing: 'hmac' | 'ed25519';
  secrets: { public_key: string | null; created_at: number; expires_at: number | null }[];
  headers: string[];
  timeout_ms: number;
  concurrency: number;
  rate_per_second: number | null;
  attempts_max: number;
  created_at: number;
  updated_at: number;
  status: {
    breaker: 'closed' | 'open' | 'half_open' | 'disabled';
    failures: number;
    rests_ms: number | null;
    lag: number | null;
    pending: number | null;
    retrying: number | null;
    held: number | null;
    dead_letters: number | null;
    dead_letter_topic: string | null;
    last_error: WebhookAttempt | null;
  };
  /** Only in the answer to making it or its secret. */
  secret?: string | null;
}

export interface NewWebhook {
  url: string;
  filter: string;
  description?: string;
  signing?: 'hmac' | 'ed25519';
}

export interface DeadLetterView {
  partition: number;
  offset: number;
  reason: string;
  attempts: number;
  origin: { topic: string; partition: number; offset: number; timestamp: number };
  record: RecordView;
}

/** All of them, or single ones by their place in the dead-letter topic. */
export type WhichLetters = { all: true } | { at: { partition: number; offset: number }[] };

/** Where a subscription starts: `latest`, `earliest`, `offset:N`, `time:T`, a cursor, or several. */
export type From = string | string[];

export type ServerFrame =
  | { type: 'connected'; id?: number; project: string; principal: string; keepalive_ms: number }
  | { type: 'refreshed'; id: number }
  | { type: 'subscribed'; id: number; sub: number; cursor: string }
  | { type: 'unsubscribed'; id: number; sub: number }
  | ({ type: 'record'; sub: number } & RecordView)
  | { type: 'caught_up'; sub: number }
  | { type: 'gap'; sub: number; topic_id?: string | number; partition: number; from: number; to: number; reason?: string }
  | { type: 'progress'; sub: number; cursor: string }
  | { type: 'ended'; sub: number; error: ErrorView }
  | { type: 'published'; id: number; records: PublishedView[] }
  | { type: 'presence'; id: number; members: unknown[] }
  | { type: 'presence_change'; sub: number; action: 'enter' | 'leave'; member: string }
  | { type: 'pong'; id: number }
  | { type: 'error'; id?: number; error: ErrorView }
  | { type: 'reconnect'; after_ms: number };
