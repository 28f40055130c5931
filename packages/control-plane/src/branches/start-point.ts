import { isId, lsn, parseLsn, parseTimelineId, type Lsn, type TimelineId } from '@zenith/base';
import { ControlPlaneError } from '../errors.ts';
import { looksLikeTime, parsePointInTime, type PointInTime } from '../history/point-in-time.ts';
import { checkName } from './branch-name.ts';

/** A position in a timeline's history, as a user writes it: an LSN, a time, or neither for its end. */
export interface Position {
  readonly lsn: Lsn | undefined;
  readonly time: PointInTime | undefined;
}

/** From where a branch starts, as a user writes it: a branch or a timeline, at an LSN, at a time or, without either, at its end. */
export type StartPoint = ({ readonly branch: string } | { readonly timeline: TimelineId }) & Position;

/** Reads `branch`, `branch@LSN`, `branch@TIME`, or the same with a timeline id. @throws ControlPlaneError `invalid-start`, `invalid-time`, `invalid-name` */
export function parseStartPoint(text: string): StartPoint {
  const at = text.indexOf('@');
  const origin = at < 0 ? text : text.slice(0, at);
  const position = at < 0 ? { lsn: undefined, time: undefined } : readStart(text, text.slice(at + 1));
  if (isId(origin.toLowerCase())) return { timeline: parseTimelineId(origin), ...position };
  if (origin === '')
    throw new ControlPlaneError(
      'invalid-start',
      `'${text}' is no start point: write BRANCH, BRANCH@LSN, BRANCH@TIME, or the same with a timeline id`,
    );
  checkName('branch', origin);
  return { branch: origin, ...position };
}

/** Reads an LSN or a time. @throws ControlPlaneError `invalid-start`, `invalid-time` */
export function parsePosition(text: string): Position {
  return readStart(text, text);
}

function readStart(text: string, position: string): Position {
  if (looksLikeTime(position)) return { lsn: undefined, time: parsePointInTime(position) };
  try {
    return { lsn: alignLsn(parseLsn(position)), time: undefined };
  } catch (error) {
    throw new ControlPlaneError(
      'invalid-start',
      `'${text}' is no start point: '${position}' is not an LSN; write one such as 0/16B3D98, or a time such as 2026-11-22 10:00:00`,
      { cause: error },
    );
  }
}

const MAXALIGN = 8;
const XLOG_BLCKSZ = 8192;
const WAL_SEGMENT_BYTES = 16 * 1024 * 1024;
const SIZE_OF_SHORT_PAGE_HEADER = 24;
const SIZE_OF_LONG_PAGE_HEADER = 40;

/**
 * The position in WAL that an LSN stands for. Records begin at multiples of 8, so that bytes after a record up to the next multiple are padding; and a page header holds no
 * record, so that a position in it is the page's beginning.
 */
export function alignLsn(position: Lsn): Lsn {
  const aligned = Math.ceil(position / MAXALIGN) * MAXALIGN;
  const inPage = aligned % XLOG_BLCKSZ;
  const header = aligned % WAL_SEGMENT_BYTES < XLOG_BLCKSZ ? SIZE_OF_LONG_PAGE_HEADER : SIZE_OF_SHORT_PAGE_HEADER;
  return lsn(inPage < header ? aligned - inPage : aligned);
}
