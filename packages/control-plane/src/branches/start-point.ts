import { isId, lsn, parseLsn, parseTimelineId, type Lsn, type TimelineId } from '@zenith/base';
import { ControlPlaneError } from '../errors.ts';
import { checkName } from './branch-name.ts';

/** From where a branch starts, as a user writes it: a branch or a timeline, at an LSN or, without one, at its end. */
export type StartPoint = ({ readonly branch: string } | { readonly timeline: TimelineId }) & {
  readonly lsn: Lsn | undefined;
};

/** Reads `branch`, `branch@LSN`, `timeline id` or `timeline id@LSN`. @throws ControlPlaneError `invalid-start`, `invalid-name` */
export function parseStartPoint(text: string): StartPoint {
  const at = text.indexOf('@');
  const origin = at < 0 ? text : text.slice(0, at);
  const position = at < 0 ? undefined : readPosition(text, text.slice(at + 1));
  if (isId(origin.toLowerCase())) return { timeline: parseTimelineId(origin), lsn: position };
  if (origin === '')
    throw new ControlPlaneError(
      'invalid-start',
      `'${text}' is no start point: write BRANCH, BRANCH@LSN, or a timeline id with or without @LSN`,
    );
  checkName('branch', origin);
  return { branch: origin, lsn: position };
}

function readPosition(text: string, position: string): Lsn {
  try {
    return alignLsn(parseLsn(position));
  } catch (error) {
    throw new ControlPlaneError(
      'invalid-start',
      `'${text}' is no start point: '${position}' is not an LSN; write one such as 0/16B3D98`,
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
