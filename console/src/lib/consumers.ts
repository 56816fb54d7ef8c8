// Durable consumers as the server answers them, and the few words the console has for their state.

import type { RecordView } from './wire';

export interface ConsumerView {
  topic: string;
  consumer: string;
  config: { filter?: string | null; ordering: 'none' | 'key'; ack_wait_ms: number; deliveries_max: number };
  dead_letter_topic: string;
  partitions: { partition: number; committed: number; next: number; end: number }[];
  lag: number;
  pending: number;
  retrying: number;
  held: number;
  dead_letters: number;
  active_at?: number | null;
}

/** The place of a dead letter in the dead-letter topic. */
export interface LetterPlace {
  partition: number;
  offset: number;
}

export interface DeadLetterView extends LetterPlace {
  reason: string;
  deliveries: number;
  original: { topic: string; partition: number; offset: number; timestamp: number };
  record: RecordView;
}

export interface DeadLetterPage {
  dead_letters: DeadLetterView[];
  next_cursor?: string | null;
}

export type ReplayTarget = 'topic' | 'consumer';

export function healthOf(consumer: ConsumerView): { tone: 'good' | 'warn' | 'bad'; text: string } {
  if (consumer.dead_letters > 0) return { tone: 'bad', text: 'has dead letters' };
  if (consumer.retrying > 0) return { tone: 'warn', text: 'retrying' };
  if (consumer.lag > consumer.pending + consumer.held) return { tone: 'warn', text: 'behind' };
  return { tone: 'good', text: 'caught up' };
}

export const letterId = (letter: LetterPlace) => `${letter.partition}:${letter.offset}`;
