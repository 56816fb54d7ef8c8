// Kafka's groups as the admin API answers them, and the few words the console has for them.

export interface KafkaGroup {
  name: string;
  kind: 'classic' | 'consumer';
  state: string;
  assignor: string;
  members: number;
}

export interface KafkaGroupMember {
  id: string;
  instance: string | null;
  client: string;
  address: string;
  partitions: number;
}

export interface KafkaGroupPartition {
  topic: string;
  partition: number;
  committed: number | null;
  committed_at: number | null;
  start: number;
  end: number;
  lag: number | null;
  member: string | null;
}

export interface KafkaGroupDetails extends KafkaGroup {
  member_list: KafkaGroupMember[];
  partitions: KafkaGroupPartition[];
  lag: number;
}

export interface KafkaGroupReset {
  to: string;
  topic?: string;
  dry_run: boolean;
}

export interface KafkaGroupMove {
  topic: string;
  partition: number;
  from: number | null;
  to: number;
}

export type Place = 'earliest' | 'latest' | 'offset' | 'time';

/** A group with members is in the middle of something, or settled. */
export function standing(group: { state: string }): { tone: 'good' | 'warn' | ''; text: string } {
  if (group.state === 'Stable') return { tone: 'good', text: 'Stable' };
  if (group.state === 'Empty') return { tone: '', text: 'Empty' };
  return { tone: 'warn', text: group.state };
}

/** What the API takes for a place; undefined when the text names none. Times are the browser's. */
export function targetOf(place: Place, text: string): string | undefined {
  if (place === 'earliest' || place === 'latest') return place;
  const given = text.trim();
  if (place === 'offset') return /^\d{1,15}$/.test(given) ? `offset:${given}` : undefined;
  const ms = given === '' ? Number.NaN : new Date(given).getTime();
  return Number.isNaN(ms) ? undefined : `time:${ms}`;
}

/** The topics of the partitions, each once. */
export function topicsOf(partitions: { topic: string }[]): string[] {
  return [...new Set(partitions.map((it) => it.topic))];
}
