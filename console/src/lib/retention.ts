// Retention as the form shows it: a number and a unit. Round numbers come back as they were typed.

export const AGE_UNITS = [
  { name: 'days', size: 86_400_000 },
  { name: 'hours', size: 3_600_000 },
  { name: 'minutes', size: 60_000 },
] as const;

export const BYTE_UNITS = [
  { name: 'GiB', size: 2 ** 30 },
  { name: 'MiB', size: 2 ** 20 },
  { name: 'KiB', size: 2 ** 10 },
] as const;

export const MESSAGE_UNITS = [
  { name: 'MiB', size: 2 ** 20 },
  { name: 'KiB', size: 2 ** 10 },
  { name: 'bytes', size: 1 },
] as const;

export const COUNT_UNITS = [
  { name: 'million', size: 1_000_000 },
  { name: 'thousand', size: 1_000 },
  { name: 'records', size: 1 },
] as const;

/** What the topic keeps, in words; empty when it keeps everything. */
export function keptText(
  retention: { age_ms_max?: number | null; bytes_max?: number | null; records_max?: number | null } | undefined,
  words: { duration: (ms: number) => string; bytes: (count: number) => string },
): string {
  const { age_ms_max, bytes_max, records_max } = retention ?? {};
  const parts = [
    age_ms_max ? words.duration(age_ms_max) : '',
    bytes_max ? words.bytes(bytes_max) : '',
    records_max ? `${records_max.toLocaleString('en')} records` : '',
  ];
  return parts.filter((part) => part !== '').join(' or ');
}

type Units = readonly { name: string; size: number }[];

/** The largest unit that leaves a whole number, else the smallest. */
export function split(value: number | null | undefined, units: Units): { amount: string; unit: string } {
  if (value === null || value === undefined) return { amount: '', unit: units[0]?.name ?? '' };
  const fitting = units.find((unit) => value % unit.size === 0) ?? units[units.length - 1];
  if (fitting === undefined) return { amount: String(value), unit: '' };
  return { amount: String(value / fitting.size), unit: fitting.name };
}

/** `null` for an empty field; `undefined` when it is no positive number. */
export function join(amount: string, unit: string, units: Units): number | null | undefined {
  if (amount.trim() === '') return null;
  const size = units.find((known) => known.name === unit)?.size ?? 1;
  const value = Math.round(Number(amount) * size);
  return Number.isSafeInteger(value) && value > 0 ? value : undefined;
}
