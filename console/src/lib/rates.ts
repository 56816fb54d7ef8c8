// Rates over time from counters that only grow: pure, so that they are tested without a browser.

export interface Series {
  seconds: number[];
  /** Per second, since the look before; `null` where nothing was known. */
  lines: (number | null)[][];
}

/** Adds what counters say now to what was drawn, and keeps the newest points. */
export class Growth {
  private before: { at: number; counts: number[] } | undefined;
  series: Series;

  constructor(
    private readonly count: number,
    private readonly points: number,
    now: number,
  ) {
    this.series = { seconds: [now / 1_000], lines: Array.from({ length: count }, () => [null]) };
  }

  /** A counter that fell began anew, with its process. */
  add(at: number, counts: number[]): Series {
    const { before } = this;
    this.before = { at, counts };
    if (before === undefined || at <= before.at) return this.series;
    const grown = counts.map((now, index) => {
      const then = before.counts[index] ?? 0;
      return ((now < then ? now : now - then) * 1_000) / (at - before.at);
    });
    const keep = <T>(list: T[], next: T) => [...list, next].slice(-this.points);
    this.series = {
      seconds: keep(this.series.seconds, at / 1_000),
      lines: Array.from({ length: this.count }, (_, index) => keep(this.series.lines[index] ?? [], grown[index] ?? null)),
    };
    return this.series;
  }
}

/** All figures of a name together. */
export const sumOf = (figures: { name: string; value: number }[], name: string) =>
  figures.filter((it) => it.name === name).reduce((sum, it) => sum + it.value, 0);

/** Figures of a name by one of their labels, the largest first. */
export function byLabel(figures: { name: string; labels: Record<string, string>; value: number }[], name: string, label: string): [string, number][] {
  const sums = new Map<string, number>();
  for (const it of figures) {
    if (it.name !== name) continue;
    const of = it.labels[label] ?? '';
    sums.set(of, (sums.get(of) ?? 0) + it.value);
  }
  return [...sums].sort((left, right) => right[1] - left[1]);
}
