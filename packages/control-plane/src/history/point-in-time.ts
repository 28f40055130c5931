import { ControlPlaneError } from '../errors.ts';

declare const unit: unique symbol;

/** A point in time. Unit: microseconds since 1970 UTC; an integer. */
export type PointInTime = number & { readonly [unit]: 'point in time' };

const TIME =
  /^(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,6}))?)?)?\s*(Z|UTC|[+-]\d{2}(?::?\d{2})?)?$/i;

const ZONE_MINUTES_MAX = 15 * 60 + 59;

/** True when a text looks like a time rather than an LSN or a name. */
export function looksLikeTime(text: string): boolean {
  return /^\d{4}-\d/.test(text);
}

/**
 * Reads a point in time: `2026-11-22`, `2026-11-22 10:00`, `2026-11-22 10:00:00.123456`, with `T` for the space if wanted, and with a zone behind it: `Z`, `UTC`, `+01`, `+0530` or `+05:30`. Without one it is local time, that is of
 * the process that reads it.
 * @throws ControlPlaneError `invalid-time`, also for a day that no calendar has and for a local time that daylight saving skips
 */
export function parsePointInTime(text: string): PointInTime {
  const match = TIME.exec(text.trim());
  if (match === null)
    throw invalid(text, "write one such as '2026-11-22 10:00:00', which is local time, or '2026-11-22 10:00:00+01'");
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match
    .slice(1, 7)
    .map((part) => Number(part ?? 0));
  const date = new Date(Date.UTC(year, month - 1, day, hour, minute, second));
  const isReal =
    date.getUTCMonth() === month - 1 && date.getUTCDate() === day && hour < 24 && minute < 60 && second < 60;
  if (!isReal || year < 1970) throw invalid(text, 'there is no such time');
  const zone = match[8];
  const millis = zone === undefined ? localMillis(text, date) : date.getTime() - zoneMinutes(text, zone) * 60_000;
  return (millis * 1000 + Number((match[7] ?? '').padEnd(6, '0'))) as PointInTime;
}

/** A point in time for people, to the microsecond: in UTC, and as a clock here shows it where that differs. */
export function formatPointInTime(time: PointInTime): string {
  const date = new Date(Math.floor(time / 1000));
  const micros = String(time % 1_000_000).padStart(6, '0');
  const offset = -date.getTimezoneOffset();
  const at = (minutes: number): string =>
    `${new Date(date.getTime() + minutes * 60_000).toISOString().slice(0, 19).replace('T', ' ')}.${micros}`;
  return offset === 0 ? `${at(0)} UTC` : `${at(0)} UTC (${at(offset)}${formatZone(offset)} here)`;
}

/** A point in time for programs: ISO 8601 in UTC, to the microsecond. */
export function isoPointInTime(time: PointInTime): string {
  return `${new Date(Math.floor(time / 1000)).toISOString().slice(0, 19)}.${String(time % 1_000_000).padStart(6, '0')}Z`;
}

function localMillis(text: string, wanted: Date): number {
  const local = new Date(
    wanted.getUTCFullYear(),
    wanted.getUTCMonth(),
    wanted.getUTCDate(),
    wanted.getUTCHours(),
    wanted.getUTCMinutes(),
    wanted.getUTCSeconds(),
  );
  const isShown = local.getHours() === wanted.getUTCHours() && local.getMinutes() === wanted.getUTCMinutes();
  if (!isShown) throw invalid(text, 'local clocks skip that time, for daylight saving; give it with a zone');
  return local.getTime();
}

function zoneMinutes(text: string, zone: string): number {
  const match = /^([+-])(\d{2}):?(\d{2})?$/.exec(zone);
  if (match === null) return 0; // Z or UTC
  const minutes = Number(match[2]) * 60 + Number(match[3] ?? 0);
  if (minutes > ZONE_MINUTES_MAX || Number(match[3] ?? 0) > 59) throw invalid(text, `there is no time zone ${zone}`);
  return match[1] === '-' ? -minutes : minutes;
}

function formatZone(minutes: number): string {
  const size = Math.abs(minutes);
  const two = (value: number): string => String(value).padStart(2, '0');
  return `${minutes < 0 ? '-' : '+'}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}

function invalid(text: string, why: string): ControlPlaneError {
  return new ControlPlaneError('invalid-time', `'${text}' is no time: ${why}`);
}
