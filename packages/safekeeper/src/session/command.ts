import { PG_TIMELINE, parseLsn, type Lsn } from '@zenith/base';
import { PostgresServerError } from '@zenith/wire';

/** A command of a replication connection. PG 18: repl_gram.y. */
export type Command =
  | { readonly type: 'identifySystem' }
  | { readonly type: 'timelineStatus' }
  | { readonly type: 'startReplication'; readonly startLsn: Lsn }
  | { readonly type: 'timelineHistory'; readonly pgTimeline: number }
  | { readonly type: 'startWalPush' }
  | { readonly type: 'show'; readonly setting: string };

/** PG: UCONST, repl_scanner.l. */
const UINT32_MAX = 0xffff_ffff;

/** Longest part of a command shown in an error. */
const SHOWN_LENGTH_MAX = 100;

/** Reads a command. @throws PostgresServerError `42601` for anything else, `0A000` for what only a real primary has */
export function parseCommand(sql: string): Command {
  const text = sql.trim().replace(/;$/, '').trimEnd();
  if (/^IDENTIFY_SYSTEM$/i.test(text)) return { type: 'identifySystem' };
  if (/^TIMELINE_STATUS$/i.test(text)) return { type: 'timelineStatus' };
  if (/^START_WAL_PUSH$/i.test(text)) return { type: 'startWalPush' };
  const show = /^SHOW\s+(\w{1,63})$/i.exec(text);
  if (show !== null) return { type: 'show', setting: (show[1] ?? '').toLowerCase() };
  const history = /^TIMELINE_HISTORY\s+(\d{1,10})$/i.exec(text);
  if (history !== null) {
    const pgTimeline = Number(history[1]);
    if (pgTimeline === 0 || pgTimeline > UINT32_MAX)
      throw new PostgresServerError('42601', `invalid timeline ${history[1]}`);
    return { type: 'timelineHistory', pgTimeline };
  }
  const start =
    /^START_REPLICATION\s+(SLOT\s+\S+\s+)?(?:PHYSICAL\s+)?([0-9A-F]{1,8}\/[0-9A-F]{1,8})(?:\s+TIMELINE\s+(\d{1,10}))?$/i.exec(
      text,
    );
  if (start !== null) {
    const [, slot, position = '', pgTimeline] = start;
    if (slot !== undefined)
      throw new PostgresServerError(
        '0A000',
        'a safekeeper has no replication slots: it keeps the WAL anyway; leave the slot out',
      );
    if (pgTimeline !== undefined && Number(pgTimeline) !== PG_TIMELINE)
      throw new PostgresServerError(
        '22023',
        `PostgreSQL timeline ${pgTimeline} does not exist: it is always ${PG_TIMELINE} here`,
      );
    try {
      return { type: 'startReplication', startLsn: parseLsn(position) };
    } catch (error) {
      throw new PostgresServerError('22023', (error as Error).message);
    }
  }
  throw new PostgresServerError('42601', `a safekeeper does not know this command: ${text.slice(0, SHOWN_LENGTH_MAX)}`);
}
