// Rates and delays of a live stream, in buckets of one second. Pure: the caller brings the clock.

export const SECONDS_SHOWN = 120;
/** Delays kept per second; beyond it each further one replaces a random earlier one. */
const DELAYS_PER_SECOND_MAX = 512;

interface Bucket {
  second: number;
  count: number;
  delayCount: number;
  delays: number[];
}

export interface Series {
  /** Unix seconds, oldest first, one for each second shown. */
  seconds: number[];
  perSecond: (number | null)[];
  /** Milliseconds; `null` where nothing live arrived. Rates are `null` before the start. */
  p50: (number | null)[];
  p99: (number | null)[];
}

export class Measure {
  private buckets: Bucket[] = [];

  constructor(private readonly startedMs: number) {}

  /** `delayMs` is absent for a record read from history: its age says nothing of delivery. */
  note(nowMs: number, delayMs?: number, random: () => number = Math.random): void {
    const second = Math.floor(nowMs / 1_000);
    let bucket = this.buckets.at(-1);
    if (bucket === undefined || bucket.second !== second) {
      bucket = { second, count: 0, delayCount: 0, delays: [] };
      this.buckets.push(bucket);
      if (this.buckets.length > SECONDS_SHOWN + 2) this.buckets.shift();
    }
    bucket.count += 1;
    if (delayMs === undefined) return;
    // Clocks of two machines differ; a record cannot arrive before it was written.
    const delay = Math.max(0, delayMs);
    bucket.delayCount += 1;
    if (bucket.delays.length < DELAYS_PER_SECOND_MAX) bucket.delays.push(delay);
    else if (random() < DELAYS_PER_SECOND_MAX / bucket.delayCount) {
      bucket.delays[Math.floor(random() * DELAYS_PER_SECOND_MAX)] = delay;
    }
  }

  /** The last complete seconds; the present one is not shown, as it would always look low. */
  series(nowMs: number): Series {
    const end = Math.floor(nowMs / 1_000);
    const bySecond = new Map(this.buckets.map((bucket) => [bucket.second, bucket]));
    const seconds = Array.from({ length: SECONDS_SHOWN }, (_, index) => end - SECONDS_SHOWN + index);
    const found = seconds.map((second) => bySecond.get(second));
    return {
      seconds,
      perSecond: found.map((bucket, index) => {
        const before = (seconds[index] ?? 0) < Math.floor(this.startedMs / 1_000);
        return bucket?.count ?? (before ? null : 0);
      }),
      p50: found.map((bucket) => quantile(bucket?.delays ?? [], 0.5)),
      p99: found.map((bucket) => quantile(bucket?.delays ?? [], 0.99)),
    };
  }

  /** Mean rate and delays over the last `seconds` complete seconds. */
  recent(nowMs: number, seconds: number): { perSecond: number; p50: number | null; p99: number | null } {
    const end = Math.floor(nowMs / 1_000);
    const taken = this.buckets.filter((bucket) => bucket.second >= end - seconds && bucket.second < end);
    const count = taken.reduce((sum, bucket) => sum + bucket.count, 0);
    const delays = taken.flatMap((bucket) => bucket.delays);
    return { perSecond: count / seconds, p50: quantile(delays, 0.5), p99: quantile(delays, 0.99) };
  }
}

/** Nearest rank. */
function quantile(values: number[], share: number): number | null {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? null;
}
