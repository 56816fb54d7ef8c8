// Exponential backoff with full jitter: each wait is uniform between zero and a ceiling that
// doubles, so that clients which lost the same server do not come back as one wave.

export interface Backoff {
  firstMs: number;
  maxMs: number;
}

/** The wait before attempt `attempt` (0 is the first retry); `random` gives [0, 1). */
export function backoffMs(rule: Backoff, attempt: number, random: () => number): number {
  const ceiling = Math.min(rule.maxMs, rule.firstMs * 2 ** Math.min(attempt, 30));
  return Math.floor(random() * (ceiling + 1));
}
