import { multiPrecedes, xidPrecedes, type CheckPoint, type ControlFile } from '@zenith/pg-format';

/** So many oids a server logs ahead, in order not to log each. PG: VAR_OID_PREFETCH, varsup.c. */
const VAR_OID_PREFETCH = 8192;

/** What of a checkpoint is a counter: the rest says when and how it was made. */
type Counter = Exclude<
  keyof CheckPoint,
  'redo' | 'pgTimeline' | 'previousPgTimeline' | 'fullPageWrites' | 'walLevel' | 'time' | 'oldestActiveXid'
>;

/** True when a timeline's counter is as it must be where nothing but records gave it. */
type CounterRule = (timeline: CheckPoint, control: CheckPoint, isShutdown: boolean) => boolean;

const nextOidIsLogged: CounterRule = (timeline, control, isShutdown) =>
  (timeline.nextOid - control.nextOid) >>> 0 <= (isShutdown ? VAR_OID_PREFETCH : 0);

const RULES: Readonly<Record<Counter, CounterRule>> = {
  nextXid: (timeline, control) => timeline.nextXid === control.nextXid,
  nextOid: nextOidIsLogged,
  nextMulti: (timeline, control) => timeline.nextMulti === control.nextMulti,
  nextMultiOffset: (timeline, control) => timeline.nextMultiOffset === control.nextMultiOffset,
  oldestXid: (timeline, control) => !xidPrecedes(control.oldestXid, timeline.oldestXid),
  oldestXidDb: () => true,
  oldestMulti: (timeline, control) => !multiPrecedes(control.oldestMulti, timeline.oldestMulti),
  oldestMultiDb: () => true,
  oldestCommitTsXid: (timeline, control) =>
    (timeline.oldestCommitTsXid === 0) === (control.oldestCommitTsXid === 0) &&
    !xidPrecedes(control.oldestCommitTsXid, timeline.oldestCommitTsXid),
  newestCommitTsXid: (timeline, control) => timeline.newestCommitTsXid === control.newestCommitTsXid,
};

/** True when the checkpoint of a control file is one of a shutdown: it begins where its redo does. PG: CreateCheckPoint(), xlog.c. */
export function isShutdownCheckpoint({ checkPoint, checkPointCopy }: ControlFile): boolean {
  return checkPoint === checkPointCopy.redo;
}

/**
 * Compares the counters that a timeline has where a checkpoint begins (at its redo LSN) with those that the server wrote in that checkpoint: it knows them first hand, the timeline by the records before, so that this is where a record
 * that was not followed shows. From one end of the checkpoint to the other the server must have been idle; at a shutdown it is. One line for each counter that is not as PostgreSQL's own recovery would have it:
 *
 * - `nextXid` with its epoch, `nextMulti`, `nextMultiOffset`, `newestCommitTsXid` are equal: each assignment is in the WAL before anything else is (PG: AssignTransactionId() and RecordTransactionAbort(), xact.c, which log the end of
 *   whatever has an xid; MultiXactIdCreateFromMembers(), multixact.c; TransactionTreeSetCommitTsData(), commit_ts.c).
 * - `nextOid` is at most 8192 ahead of a shutdown's, because GetNewObjectId() (varsup.c) logs so many at a time, and equal to an online checkpoint's, to which CreateCheckPoint() adds what is left of those.
 * - `oldestXid`, `oldestMulti`, `oldestCommitTsXid` may be behind, never ahead: vac_truncate_clog() (vacuum.c) raises them by SetTransactionIdLimit(), SetMultiXactIdLimit() and AdvanceOldestCommitTsXid(), and only where that lets a segment file go is there a
 *   record, of the truncation. `oldestCommitTsXid` is 0 on both sides or on none.
 * - The databases of the oldest xid and multixact are not compared: among databases with the same value vac_truncate_clog() names any, without a record.
 */
export function compareCountersBefore(timeline: CheckPoint, control: ControlFile): string[] {
  const isShutdown = isShutdownCheckpoint(control);
  return Object.entries(RULES)
    .filter(([, isRight]) => !isRight(timeline, control.checkPointCopy, isShutdown))
    .map(([counter]) => describe(counter as Counter, timeline, control.checkPointCopy));
}

/**
 * Compares everything of a timeline's checkpoint, behind the end of the control file's, with the latter. After a shutdown all is equal. After an online checkpoint the databases of the oldest xid and multixact may differ where
 * these are the same: recovery takes them over with a newer value only (PG: xlog_redo(), XLOG_CHECKPOINT_ONLINE). One line for each field that differs.
 */
export function compareCountersAfter(timeline: CheckPoint, control: ControlFile): string[] {
  const fields = Object.keys(control.checkPointCopy) as (keyof CheckPoint)[];
  const isShutdown = isShutdownCheckpoint(control);
  return fields
    .filter((field) => isShutdown || (field !== 'oldestXidDb' && field !== 'oldestMultiDb'))
    .filter((field) => timeline[field] !== control.checkPointCopy[field])
    .map((field) => describe(field, timeline, control.checkPointCopy));
}

function describe(field: keyof CheckPoint, timeline: CheckPoint, control: CheckPoint): string {
  return `${field}: PostgreSQL has ${control[field]}, the timeline ${timeline[field]}`;
}

/** What of a control file is a state of the server that wrote it, and not of the cluster. The checkpoint is compared by itself. */
const SERVER_STATE = [
  'state',
  'time',
  'checkPoint',
  'checkPointCopy',
  'unloggedLsn',
  'minRecoveryPoint',
  'minRecoveryPointTimeline',
  'backupStartPoint',
  'backupEndPoint',
  'backupEndRequired',
] as const satisfies readonly (keyof ControlFile)[];

/** What of a control file says something of the cluster. */
type Parameter = Exclude<keyof ControlFile, (typeof SERVER_STATE)[number]>;

function isParameter(field: string): field is Parameter {
  return !(SERVER_STATE as readonly string[]).includes(field);
}

/** Compares what two control files say of the cluster and its parameters. One line for each field that differs. */
export function compareParameters(timeline: ControlFile, control: ControlFile): string[] {
  return Object.keys(control)
    .filter(isParameter)
    .map((field) => [field, text(timeline[field]), text(control[field])] as const)
    .filter(([, ours, theirs]) => ours !== theirs)
    .map(([field, ours, theirs]) => `${field}: PostgreSQL has ${theirs}, the timeline ${ours}`);
}

function text(value: ControlFile[Parameter]): string {
  return value instanceof Uint8Array ? Buffer.from(value).toString('hex') : String(value);
}
