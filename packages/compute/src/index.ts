export { checkSettings, quoteSetting } from './data-directory/configuration.ts';
export { exportCluster, type Exported, type ExportOptions } from './export/export-cluster.ts';
export { ComputeError, type ComputeErrorCode } from './errors.ts';
export {
  findInstallation,
  installationAt,
  resolveInstallation,
  type Installation,
} from './installation/installation.ts';
export { initdb, type InitdbOptions, type InitializedDirectory } from './installation/initdb.ts';
export { chooseOsUser, type OsUser } from './os-user/os-user.ts';
export { Staging, STAGING_ROOT } from './os-user/staging.ts';
export { PresenceMap, readPresenceMap, type PresenceCounters, type PresenceSegment } from './presence-map/reader.ts';
export {
  parseComputeConfig,
  readComputeConfig,
  type ComputeConfig,
  type ComputeConfigInput,
} from './supervisor/config.ts';
export { type SupervisorState } from './supervisor/status.ts';
export { type SafekeeperAddress } from './wal-proposer/safekeeper-address.ts';
export { syncSafekeepers } from './wal-proposer/sync-safekeepers.ts';
export {
  WalProposer,
  type ElectionResult,
  type ProposerEnd,
  type ProposerLog,
  type WalProposerOptions,
} from './wal-proposer/wal-proposer.ts';
