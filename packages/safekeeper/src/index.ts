export { parseConfiguration, readConfiguration, type SafekeeperConfiguration } from './configuration/configuration.ts';
export { type Disk, type DiskFile } from './disk/disk.ts';
export { localDisk } from './disk/local-disk.ts';
export { SafekeeperError, type SafekeeperErrorCode } from './errors.ts';
export { Safekeeper, type SafekeeperAddresses, type SafekeeperOptions } from './safekeeper.ts';
