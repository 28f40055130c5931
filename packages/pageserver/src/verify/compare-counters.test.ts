import { lsn, type SystemId } from '@zenith/base';
import { DbState, FLOATFORMAT_VALUE, type CheckPoint, type ControlFile } from '@zenith/pg-format';
import { describe, expect, test } from 'vitest';
import {
  compareCountersAfter,
  compareCountersBefore,
  compareParameters,
  isShutdownCheckpoint,
} from './compare-counters.ts';

const CHECK_POINT: CheckPoint = {
  redo: lsn(5000),
  pgTimeline: 1,
  previousPgTimeline: 1,
  fullPageWrites: false,
  walLevel: 1,
  nextXid: 0x1_0000_1000n,
  nextOid: 20_000,
  nextMulti: 10,
  nextMultiOffset: 100,
  oldestXid: 731,
  oldestXidDb: 1,
  oldestMulti: 3,
  oldestMultiDb: 1,
  time: 5,
  oldestCommitTsXid: 900,
  newestCommitTsXid: 1000,
  oldestActiveXid: 0,
};

const CONTROL_FILE: ControlFile = {
  major: 18,
  systemId: '7' as SystemId,
  catalogVersion: 202_506_291,
  state: DbState.shutdowned,
  time: 5,
  checkPoint: CHECK_POINT.redo,
  checkPointCopy: CHECK_POINT,
  unloggedLsn: lsn(1000),
  minRecoveryPoint: lsn(0),
  minRecoveryPointTimeline: 0,
  backupStartPoint: lsn(0),
  backupEndPoint: lsn(0),
  backupEndRequired: false,
  walLevel: 1,
  walLogHints: false,
  maxConnections: 100,
  maxWorkerProcesses: 8,
  maxWalSenders: 10,
  maxPreparedXacts: 0,
  maxLocksPerXact: 64,
  trackCommitTimestamp: true,
  maxAlign: 8,
  floatFormat: FLOATFORMAT_VALUE,
  blockSize: 8192,
  relationSegmentSize: 131_072,
  walBlockSize: 8192,
  walSegmentSize: 16 * 1024 * 1024,
  nameDataLength: 64,
  indexMaxKeys: 32,
  toastMaxChunkSize: 1996,
  largeObjectBlockSize: 2048,
  float8ByVal: true,
  dataChecksumVersion: 0,
  defaultCharSignedness: true,
  mockAuthenticationNonce: new Uint8Array(32).fill(9),
};

const SHUTDOWN = CONTROL_FILE;
const ONLINE: ControlFile = { ...CONTROL_FILE, state: DbState.inProduction, checkPoint: lsn(5200) };
const KINDS = [
  ['a shutdown', SHUTDOWN],
  ['an online', ONLINE],
] as const;

const before = (control: ControlFile, change: Partial<CheckPoint>): string[] =>
  compareCountersBefore({ ...CHECK_POINT, ...change }, control).map((line) => line.split(':')[0] as string);
const after = (control: ControlFile, change: Partial<CheckPoint>): string[] =>
  compareCountersAfter({ ...CHECK_POINT, ...change }, control).map((line) => line.split(':')[0] as string);

test('a checkpoint is one of a shutdown when it begins where its redo does', () => {
  expect(isShutdownCheckpoint(SHUTDOWN)).toBe(true);
  expect(isShutdownCheckpoint(ONLINE)).toBe(false);
});

describe.each(KINDS)('before %s checkpoint', (_name, control) => {
  test.each([
    ['nextXid', { nextXid: CHECK_POINT.nextXid - 1n }],
    ['nextXid', { nextXid: CHECK_POINT.nextXid + 1n }],
    ['nextXid', { nextXid: CHECK_POINT.nextXid - 0x1_0000_0000n }],
    ['nextMulti', { nextMulti: 9 }],
    ['nextMulti', { nextMulti: 11 }],
    ['nextMultiOffset', { nextMultiOffset: 99 }],
    ['nextMultiOffset', { nextMultiOffset: 101 }],
    ['newestCommitTsXid', { newestCommitTsXid: 999 }],
    ['newestCommitTsXid', { newestCommitTsXid: 1001 }],
    ['nextOid', { nextOid: 19_999 }],
    ['nextOid', { nextOid: 20_000 + 8193 }],
    ['oldestXid', { oldestXid: 732 }],
    ['oldestMulti', { oldestMulti: 4 }],
    ['oldestCommitTsXid', { oldestCommitTsXid: 901 }],
    ['oldestCommitTsXid', { oldestCommitTsXid: 0 }],
  ] as const)('%s is wrong as %o', (name, change) => {
    expect(before(control, change)).toEqual([name]);
  });

  test('equal counters are right, and the oldest ones may be behind, over the end of the circle, too', () => {
    expect(before(control, {})).toEqual([]);
    expect(before(control, { oldestXid: 700, oldestMulti: 1, oldestCommitTsXid: 800 })).toEqual([]);
    expect(before(control, { oldestXid: 0xffff_ff00, oldestMulti: 0xffff_ff00 })).toEqual([]);
  });

  test('a commit timestamp on one side only is wrong', () => {
    const none = { ...control, checkPointCopy: { ...CHECK_POINT, oldestCommitTsXid: 0, newestCommitTsXid: 0 } };
    expect(before(none, {})).toEqual(['oldestCommitTsXid', 'newestCommitTsXid']);
    expect(before(none, { oldestCommitTsXid: 0, newestCommitTsXid: 0 })).toEqual([]);
  });

  test('what a checkpoint alone says does not count', () => {
    expect(before(control, { redo: lsn(1), time: 1, fullPageWrites: true, oldestActiveXid: 3 })).toEqual([]);
  });
});

test('oids that were logged ahead are right before a shutdown, over the end of the circle, too, and not before an online checkpoint', () => {
  expect(before(SHUTDOWN, { nextOid: 20_000 + 8192 })).toEqual([]);
  const last = { ...SHUTDOWN, checkPointCopy: { ...CHECK_POINT, nextOid: 0xffff_fff0 } };
  expect(before(last, { nextOid: 100 })).toEqual([]);
  expect(before(ONLINE, { nextOid: 20_001 })).toEqual(['nextOid']);
});

test('after a shutdown each field must be equal', () => {
  expect(after(SHUTDOWN, {})).toEqual([]);
  for (const field of Object.keys(CHECK_POINT) as (keyof CheckPoint)[]) {
    const value = CHECK_POINT[field];
    const other = typeof value === 'bigint' ? value + 1n : typeof value === 'boolean' ? !value : value + 1;
    expect(after(SHUTDOWN, { [field]: other })).toEqual([field]);
  }
});

test('after an online checkpoint only the databases of the oldest xid and multixact may differ', () => {
  expect(after(ONLINE, { oldestXidDb: 4, oldestMultiDb: 4 })).toEqual([]);
  for (const field of Object.keys(CHECK_POINT) as (keyof CheckPoint)[]) {
    if (field === 'oldestXidDb' || field === 'oldestMultiDb') continue;
    const value = CHECK_POINT[field];
    const other = typeof value === 'bigint' ? value + 1n : typeof value === 'boolean' ? !value : value - 1;
    expect(after(ONLINE, { [field]: other })).toEqual([field]);
  }
});

test('a line says what both have', () => {
  expect(compareCountersAfter({ ...CHECK_POINT, nextMulti: 9 }, SHUTDOWN)).toEqual([
    'nextMulti: PostgreSQL has 10, the timeline 9',
  ]);
});

test('of the control file all that is not a state of the server must be equal', () => {
  const found = (change: Partial<ControlFile>): string[] =>
    compareParameters({ ...CONTROL_FILE, ...change }, CONTROL_FILE).map((line) => line.split(':')[0] as string);
  expect(found({})).toEqual([]);
  expect(found({ state: DbState.inProduction, time: 6, checkPoint: lsn(1), unloggedLsn: lsn(2000) })).toEqual([]);
  expect(found({ maxPreparedXacts: 10, trackCommitTimestamp: false })).toEqual([
    'maxPreparedXacts',
    'trackCommitTimestamp',
  ]);
  expect(found({ mockAuthenticationNonce: new Uint8Array(32) })).toEqual(['mockAuthenticationNonce']);
});
