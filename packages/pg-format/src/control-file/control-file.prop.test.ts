import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CorruptionError, type Lsn, type SystemId } from '@zenith/base';
import type { PgMajor } from '../version.ts';
import { formatOf } from '../versions/formats.ts';
import { SIZE_OF_CHECK_POINT, decodeCheckPoint, encodeCheckPoint, type CheckPoint } from './check-point.ts';
import {
  FLOATFORMAT_VALUE,
  MOCK_AUTH_NONCE_LEN,
  PG_CONTROL_FILE_SIZE,
  decodeControlFile,
  encodeControlFile,
  type ControlFile,
} from './control-file.ts';

const u32 = fc.nat(0xffffffff);
const i32 = fc.nat(0x7fffffff);
const lsn = fc.nat(Number.MAX_SAFE_INTEGER).map((value) => value as Lsn);
const time = fc.integer({ min: 0, max: 2 ** 40 });
const major = fc.constantFrom<PgMajor>(15, 16, 17, 18);

const checkPoint = (version: PgMajor): fc.Arbitrary<CheckPoint> =>
  fc.record({
    redo: lsn,
    pgTimeline: u32,
    previousPgTimeline: u32,
    fullPageWrites: fc.boolean(),
    walLevel: formatOf(version).checkPointHasWalLevel ? fc.nat(2) : fc.constant(0),
    nextXid: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    nextOid: u32,
    nextMulti: u32,
    nextMultiOffset: u32,
    oldestXid: u32,
    oldestXidDb: u32,
    oldestMulti: u32,
    oldestMultiDb: u32,
    time,
    oldestCommitTsXid: u32,
    newestCommitTsXid: u32,
    oldestActiveXid: u32,
  });

const controlFile: fc.Arbitrary<ControlFile> = major.chain((version) =>
  fc.record({
    major: fc.constant(version),
    systemId: fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }).map((id) => id.toString() as SystemId),
    catalogVersion: fc.constant(formatOf(version).catalogVersion),
    state: fc.nat(6),
    time,
    checkPoint: lsn,
    checkPointCopy: checkPoint(version),
    unloggedLsn: lsn,
    minRecoveryPoint: lsn,
    minRecoveryPointTimeline: u32,
    backupStartPoint: lsn,
    backupEndPoint: lsn,
    backupEndRequired: fc.boolean(),
    walLevel: fc.nat(2),
    walLogHints: fc.boolean(),
    maxConnections: i32,
    maxWorkerProcesses: i32,
    maxWalSenders: i32,
    maxPreparedXacts: i32,
    maxLocksPerXact: i32,
    trackCommitTimestamp: fc.boolean(),
    maxAlign: u32,
    floatFormat: fc.constant(FLOATFORMAT_VALUE),
    blockSize: u32,
    relationSegmentSize: u32,
    walBlockSize: u32,
    walSegmentSize: u32,
    nameDataLength: u32,
    indexMaxKeys: u32,
    toastMaxChunkSize: u32,
    largeObjectBlockSize: u32,
    float8ByVal: fc.boolean(),
    dataChecksumVersion: u32,
    defaultCharSignedness: formatOf(version).controlFileHasCharSignedness ? fc.boolean() : fc.constant(true),
    mockAuthenticationNonce: fc.uint8Array({ minLength: MOCK_AUTH_NONCE_LEN, maxLength: MOCK_AUTH_NONCE_LEN }),
  }),
);

describe('the control file', () => {
  test('of every version is read as it was written', () => {
    fc.assert(
      fc.property(controlFile, (file) => {
        const bytes = encodeControlFile(file);
        expect(bytes.length).toBe(PG_CONTROL_FILE_SIZE);
        expect(decodeControlFile(bytes)).toEqual(file);
      }),
    );
  });

  test('with any byte before its checksum changed is refused', () => {
    fc.assert(
      fc.property(controlFile, fc.nat(287), fc.integer({ min: 1, max: 255 }), (file, at, change) => {
        const bytes = encodeControlFile(file);
        bytes[at] = (bytes[at] as number) ^ change;
        expect(() => decodeControlFile(bytes)).toThrow(at >= 8 && at < 16 ? /version|checksum/ : CorruptionError);
      }),
    );
  });

  test('that is cut short is refused', () => {
    expect(() => decodeControlFile(new Uint8Array(296))).toThrow(CorruptionError);
  });
});

describe('a checkpoint', () => {
  test('is read as it was written, anywhere in a buffer', () => {
    fc.assert(
      fc.property(
        major.chain((version) => fc.tuple(fc.constant(version), checkPoint(version))),
        fc.nat(20),
        ([version, value], offset) => {
          const view = new DataView(new ArrayBuffer(offset + SIZE_OF_CHECK_POINT));
          encodeCheckPoint(version, value, view, offset);
          expect(decodeCheckPoint(version, view, offset)).toEqual(value);
        },
      ),
    );
  });

  test('that is cut short is refused', () => {
    expect(() => decodeCheckPoint(18, new DataView(new ArrayBuffer(100)), 13)).toThrow(CorruptionError);
  });
});
