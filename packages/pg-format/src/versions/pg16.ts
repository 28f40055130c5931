import type { VersionFormat } from './version-format.ts';

/** PostgreSQL 16. Not verified against a server: taken from the release's headers as far as they are known; the milestone runs 17 and 18. */
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
  tablespaceDirectory: 'PG_16_202307071',
};
