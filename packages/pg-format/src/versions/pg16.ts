import type { VersionFormat } from './version-format.ts';

/** PostgreSQL 16. Verified against a cluster of 16. */
export const PG16: VersionFormat = {
  major: 16,
  walPageMagic: 0xd113,
  walRecordLengthMax: 1020 * 1024 * 1024,
  pgControlVersion: 1300,
  catalogVersion: 202307071,
  controlFileNonceOffset: 256,
  controlFileCrcOffset: 288,
  controlFileHasCharSignedness: false,
  checkPointHasWalLevel: false,
  hasCheckpointRedoRecord: false,
  relationMapEntriesMax: 64,
  relationMapLength: 524,
  twoPhaseNameLength: 8,
  xactStatsItemLength: 12,
  slruPageNumberLength: 4,
  hasWalSummaries: false,
  dataChecksumsByDefault: false,
  tablespaceDirectory: 'PG_16_202307071',
};
