import type { VersionFormat } from './version-format.ts';

/** PostgreSQL 17. Verified against a cluster of 17. */
export const PG17: VersionFormat = {
  major: 17,
  walPageMagic: 0xd116,
  walRecordLengthMax: 1020 * 1024 * 1024,
  pgControlVersion: 1700,
  catalogVersion: 202406281,
  controlFileNonceOffset: 256,
  controlFileCrcOffset: 288,
  controlFileHasCharSignedness: false,
  checkPointHasWalLevel: true,
  hasCheckpointRedoRecord: true,
  relationMapEntriesMax: 64,
  relationMapLength: 524,
  twoPhaseNameLength: 16,
  xactStatsItemLength: 12,
  slruPageNumberLength: 8,
  hasWalSummaries: true,
  dataChecksumsByDefault: false,
  tablespaceDirectory: 'PG_17_202406281',
};
