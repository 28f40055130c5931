import {
  CorruptionError,
  crc32c,
  formatLsn,
  isId,
  parseLsn,
  type Lsn,
  type SystemId,
  type TenantId,
  type TimelineId,
} from '@zenith/base';
import { isConfiguration, isTermHistory, type AcceptorControl, type NodeId } from '@zenith/consensus';
import * as v from 'valibot';

// safekeeper.control, little-endian:
//   magic u32 = "ZSKC" @0 | version u32 = 1 @4 | length of the body u32 @8 | CRC-32C of the body u32 @12 | body @16: JSON, LSNs as text
const MAGIC = 0x434b535a;
const VERSION = 1;
const HEADER_LENGTH = 16;

const lsnText = v.pipe(
  v.string(),
  v.regex(/^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/),
  v.transform((text): Lsn => parseLsn(text)),
);
const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const node = v.pipe(
  count,
  v.transform((value) => value as NodeId),
);
const tenant = v.pipe(
  v.string(),
  v.check(isId, 'not an id'),
  v.transform((text) => text as TenantId),
);
const timeline = v.pipe(
  v.string(),
  v.check(isId, 'not an id'),
  v.transform((text) => text as TimelineId),
);
const systemId = v.pipe(
  v.string(),
  v.regex(/^\d{1,20}$/),
  v.transform((text) => text as SystemId),
);

const schema = v.strictObject({
  identity: v.strictObject({
    tenant,
    timeline,
    pgMajor: count,
    systemId,
    segmentSize: count,
    timelineStartLsn: lsnText,
  }),
  configuration: v.strictObject({ generation: count, members: v.array(node), newMembers: v.nullable(v.array(node)) }),
  term: count,
  history: v.array(v.strictObject({ term: count, startLsn: lsnText })),
  localStartLsn: lsnText,
  commitLsn: lsnText,
  peerHorizonLsn: lsnText,
  backupLsn: lsnText,
  remoteConsistentLsn: lsnText,
  pendingTruncationLsn: v.nullable(lsnText),
});

/** The bytes of a control file. A new buffer. */
export function encodeControlFile(control: AcceptorControl): Uint8Array {
  const text = JSON.stringify(
    control,
    (key, value: unknown) => (typeof value === 'number' && key.endsWith('Lsn') ? formatLsn(value as Lsn) : value),
    1,
  );
  const body = Buffer.from(`${text}\n`, 'utf8');
  const file = Buffer.alloc(HEADER_LENGTH + body.length);
  file.writeUInt32LE(MAGIC, 0);
  file.writeUInt32LE(VERSION, 4);
  file.writeUInt32LE(body.length, 8);
  file.writeUInt32LE(crc32c(body), 12);
  body.copy(file, HEADER_LENGTH);
  return file;
}

/** Reads a control file's bytes. @param source the file's path, for errors. @throws CorruptionError */
export function decodeControlFile(bytes: Uint8Array, source: string): AcceptorControl {
  if (bytes.length < HEADER_LENGTH)
    throw new CorruptionError(`a control file has at least ${HEADER_LENGTH} bytes, this one ${bytes.length}`, {
      source,
    });
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, true) !== MAGIC)
    throw new CorruptionError('this is no control file of a safekeeper', { source, offset: 0 });
  const version = view.getUint32(4, true);
  if (version !== VERSION)
    throw new CorruptionError(`version ${version} of the control file is not supported: expected ${VERSION}`, {
      source,
      offset: 4,
    });
  const length = view.getUint32(8, true);
  if (length !== bytes.length - HEADER_LENGTH)
    throw new CorruptionError(`the body should have ${length} bytes and has ${bytes.length - HEADER_LENGTH}`, {
      source,
      offset: 8,
    });
  const crc = view.getUint32(12, true);
  const actual = crc32c(bytes, HEADER_LENGTH);
  if (crc !== actual)
    throw new CorruptionError(`the checksum should be ${crc.toString(16)} and is ${actual.toString(16)}`, {
      source,
      offset: 12,
    });
  try {
    const control = v.parse(
      schema,
      JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset + HEADER_LENGTH, length).toString('utf8')),
    );
    if (!isConfiguration(control.configuration)) throw new Error('the configuration is empty, or names a member twice');
    if (!isTermHistory(control.history)) throw new Error('the term history is empty or out of order');
    return control;
  } catch (error) {
    throw new CorruptionError(
      `the body is not what a control file holds: ${(error as Error).message}`,
      { source, offset: HEADER_LENGTH },
      { cause: error },
    );
  }
}
