export { AssertionError, assert, unreachable } from './assert.ts';
export { crc32c, crc32cOfView } from './crc32c.ts';
export { CorruptionError, ZenithError, type CorruptionPosition } from './errors.ts';
export {
  PG_TIMELINE,
  isId,
  newTenantId,
  newTimelineId,
  parseTenantId,
  parseTimelineId,
  type SystemId,
  type TenantId,
  type TimelineId,
} from './ids.ts';
export { LogOutput } from './log-output.ts';
export {
  INVALID_LSN,
  formatLsn,
  lsn,
  parseLsn,
  readLsn,
  readLsnBigEndian,
  writeLsn,
  writeLsnBigEndian,
  type Lsn,
} from './lsn.ts';
