// A server made of arrays and a clock that moves only when told, to drive the client through lost
// connections without waiting for anything.

import type { Socket, Surroundings } from '../src/lib/mainstem';
import type { RecordView } from '../src/lib/wire';

interface Timer {
  at: number;
  run: () => void;
}

export class FakeSocket implements Socket {
  onopen: ((event: any) => void) | null = null;
  onmessage: ((event: any) => void) | null = null;
  onclose: ((event: any) => void) | null = null;
  onerror: ((event: any) => void) | null = null;
  sent: any[] = [];
  closed = false;
  onSent: (frame: any) => void = () => {};

  send(text: string): void {
    const frame = JSON.parse(text);
    this.sent.push(frame);
    this.onSent(frame);
  }
  close(): void {
    this.closed = true;
  }
  give(frame: object): void {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }
  break(code = 1006, reason = ''): void {
    this.closed = true;
    this.onclose?.({ code, reason });
  }
}

export class FakeWorld implements Surroundings {
  time = 1_000_000;
  sockets: FakeSocket[] = [];
  randomValue = 0.5;
  onOpen: (socket: FakeSocket) => void = () => {};
  private timers = new Map<number, Timer>();
  private timerNext = 1;
  private idNext = 1;

  open(): Socket {
    const socket = new FakeSocket();
    this.sockets.push(socket);
    this.onOpen(socket);
    return socket;
  }
  now = () => this.time;
  random = () => this.randomValue;
  newId = () => `generated-${this.idNext++}`;
  later(run: () => void, ms: number): number {
    const id = this.timerNext++;
    this.timers.set(id, { at: this.time + ms, run });
    return id;
  }
  cancel(timer: unknown): void {
    this.timers.delete(timer as number);
  }
  pass(ms: number): void {
    const until = this.time + ms;
    for (;;) {
      const due = [...this.timers].filter(([, timer]) => timer.at <= until);
      due.sort((a, b) => a[1].at - b[1].at);
      const first = due[0];
      if (first === undefined) break;
      this.timers.delete(first[0]);
      this.time = Math.max(this.time, first[1].at);
      first[1].run();
    }
    this.time = until;
  }
  last(): FakeSocket {
    const socket = this.sockets[this.sockets.length - 1];
    if (socket === undefined) throw new Error('no socket was opened');
    return socket;
  }
  /** Opens the newest socket and answers its connect frame. */
  accept(): FakeSocket {
    const socket = this.last();
    socket.onopen?.({});
    const request = socket.sent[0];
    socket.give({
      type: 'connected',
      id: request.id,
      project: 'prj_1',
      principal: 'key_1',
      keepalive_ms: 25_000,
    });
    return socket;
  }
}

/** A cursor that tests can read: `partition@next`. */
export function cursorOf(partition: number, next: number): string {
  return `${partition}@${next}`;
}

export function record(partition: number, offset: number, extra?: object): RecordView {
  return {
    topic: 'orders',
    partition,
    offset,
    id: `orders:${partition}:${offset}`,
    timestamp: 500_000 + offset,
    data: { n: offset },
    cursor: cursorOf(partition, offset + 1),
    ...extra,
  };
}

/** A log of several partitions that honours `from` as the server does: cursors merge to the furthest. */
export class FakeLog {
  readonly partitions: RecordView[][];
  constructor(count: number) {
    this.partitions = Array.from({ length: count }, () => []);
  }
  append(partition: number): RecordView {
    const log = this.partitions[partition]!;
    const added = record(partition, log.length);
    log.push(added);
    return added;
  }
  positions(from: string | string[]): number[] {
    const next = this.partitions.map(() => 0);
    if (from === 'latest') return this.partitions.map((log) => log.length);
    if (from === 'earliest') return next;
    for (const cursor of Array.isArray(from) ? from : [from]) {
      for (const part of cursor.split(',')) {
        const [partition, offset] = part.split('@').map(Number);
        next[partition!] = Math.max(next[partition!]!, offset!);
      }
    }
    return next;
  }
  startCursor(positions: number[]): string {
    return positions.map((next, partition) => cursorOf(partition, next)).join(',');
  }
}
