import type { VersionFormat } from './version-format.ts';

/** PostgreSQL 18. Verified against a cluster of 18. */
export const PG18: VersionFormat = {
  major: 18,
  walPageMagic: 0xd118,
  walRecordLengthMax: 1020 * 1024 * 1024,
  pgControlVersion: 1800,
  catalogVersion: 202506291,
  controlFileNonceOffset: 257,
  controlFileCrcOffset: 292,
  controlFileHasCharSignedness: true,
  checkPointHasWalLevel: true,
  hasCheckpointRedoRecord: true,
  relationMapEntriesMax: 64,
  relationMapLength: 524,
  twoPhaseNameLength: 16,
  xactStatsItemLength: 16,
  slruPageNumberLength: 8,
  hasWalSummaries: true,
  dataChecksumsByDefault: true,
  tablespaceDirectory: 'PG_18_202506291',
};
