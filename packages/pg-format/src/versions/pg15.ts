import type { VersionFormat } from './version-format.ts';

/** PostgreSQL 15. Verified against a cluster of 15. */
export const PG15: VersionFormat = {
  major: 15,
  walPageMagic: 0xd110,
  walRecordLengthMax: 0x3fffffff,
  pgControlVersion: 1300,
  catalogVersion: 202209061,
  controlFileNonceOffset: 256,
  controlFileCrcOffset: 288,
  controlFileHasCharSignedness: false,
  checkPointHasWalLevel: false,
  hasCheckpointRedoRecord: false,
  relationMapEntriesMax: 62,
  relationMapLength: 512,
  twoPhaseNameLength: 8,
  xactStatsItemLength: 12,
  slruPageNumberLength: 4,
  hasWalSummaries: false,
  dataChecksumsByDefault: false,
  tablespaceDirectory: 'PG_15_202209061',
};
