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
  schema?: unknown;
  schema_kind?: SchemaKind;
  schema_compatibility?: Compatibility;
}

export interface ConnectionView {
  id: number | string;
  protocol: string;
  principal: string;
  address: string;
  opened_at: number | string;
  subscriptions: number | string[];
}

/** Where a subscription starts: `latest`, `earliest`, `offset:N`, `time:T`, a cursor, or several. */
export type From = string | string[];

export type ServerFrame =
  | { type: 'connected'; id?: number; project: string; principal: string; keepalive_ms: number }
  | { type: 'refreshed'; id: number }
  | { type: 'subscribed'; id: number; sub: number; cursor: string }
  | { type: 'unsubscribed'; id: number; sub: number }
  | ({ type: 'record'; sub: number } & RecordView)
  | { type: 'caught_up'; sub: number }
  | { type: 'gap'; sub: number; topic_id?: string | number; partition: number; from: number; to: number }
  | { type: 'ended'; sub: number; error: ErrorView }
  | { type: 'published'; id: number; records: PublishedView[] }
  | { type: 'presence'; id: number; members: unknown[] }
  | { type: 'presence_change'; sub: number; action: 'enter' | 'leave'; member: string }
  | { type: 'pong'; id: number }
  | { type: 'error'; id?: number; error: ErrorView }
  | { type: 'reconnect'; after_ms: number };
