export { inspectCluster, type Cluster } from './import/cluster.ts';
export { importCluster, type ImportProgress, type ImportSink } from './import/import-cluster.ts';
export { PageserverError, type PageserverErrorCode } from './errors.ts';
export { parseOptions, readOptions, type PageserverOptions, type SafekeeperAddress } from './options.ts';
export { bootstrap, type BootstrapOptions, type BootstrapResult } from './process/bootstrap.ts';
export { Pageserver, type PageserverAddresses, type PageserverSetup } from './process/pageserver.ts';
export { StorageError, type StorageErrorCode } from './timeline/errors.ts';
export { TimelineStore, type NewTimeline, type StoreOptions } from './timeline/timeline-store.ts';
export { type Timeline } from './timeline/timeline.ts';
export { ingestLocalWal } from './verify/local-wal.ts';
export { LayerWorkerPool } from './workers/layer-worker-pool.ts';
export {
  compareWithDataDirectory,
  type Comparison,
  type ComparisonOptions,
  type Difference,
  type EarlierCheckpoint,
  type MissingBlocks,
} from './verify/compare.ts';
