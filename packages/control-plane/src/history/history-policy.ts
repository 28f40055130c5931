import { ControlPlaneError } from '../errors.ts';

/** How much history of every branch can be read: as much as both say. */
export interface HistoryPolicy {
  /** What was current within this time. Unit: milliseconds. */
  readonly timeMs: number;
  /** So much WAL before the end. Unit: bytes. */
  readonly bytes: number;
}

const MIB = 1024 * 1024;
const HOUR_MS = 3600 * 1000;

/** Without anything configured: a week, and 256 MiB of WAL where a week has less. */
export const DEFAULT_HISTORY: HistoryPolicy = { timeMs: 7 * 24 * HOUR_MS, bytes: 256 * MIB };

const TIME_UNITS: readonly (readonly [unit: string, ms: number])[] = [
  ['w', 7 * 24 * HOUR_MS],
  ['d', 24 * HOUR_MS],
  ['h', HOUR_MS],
  ['min', 60 * 1000],
  ['s', 1000],
];
const BYTE_UNITS: readonly (readonly [unit: string, bytes: number])[] = [
  ['TB', MIB * MIB],
  ['GB', 1024 * MIB],
  ['MB', MIB],
  ['kB', 1024],
  ['B', 1],
];

/** Reads a length of time such as `7d`, `36h` or `30min`. @throws ControlPlaneError `invalid-setting` */
export function parseHistoryTime(text: string): number {
  return parseAmount(text, TIME_UNITS, "a length of time such as '7d', '36h' or '30min'");
}

/** Reads a size such as `1GB` or `512MB`, in PostgreSQL's units: powers of 1024. @throws ControlPlaneError `invalid-setting` */
export function parseHistoryBytes(text: string): number {
  return parseAmount(text, BYTE_UNITS, "a size such as '1GB' or '512MB'");
}

/** A length of time as {@link parseHistoryTime} reads it. */
export function formatHistoryTime(timeMs: number): string {
  return formatAmount(timeMs, TIME_UNITS, 's');
}

/** A size as {@link parseHistoryBytes} reads it. */
export function formatHistoryBytes(bytes: number): string {
  return formatAmount(bytes, BYTE_UNITS, 'B');
}

function parseAmount(text: string, units: readonly (readonly [string, number])[], expected: string): number {
  const match = /^(\d{1,9}) ?([A-Za-z]+)$/.exec(text);
  const unit = units.find(([name]) => name.toLowerCase() === match?.[2]?.toLowerCase());
  const amount = unit === undefined ? Number.NaN : Number(match?.[1]) * unit[1];
  if (!Number.isSafeInteger(amount)) throw new ControlPlaneError('invalid-setting', `'${text}' is not ${expected}`);
  return amount;
}

function formatAmount(amount: number, units: readonly (readonly [string, number])[], smallest: string): string {
  const [name, size] = units.find(([, one]) => amount >= one && amount % one === 0) ?? [smallest, 1];
  return `${amount / size}${name}`;
}
