export { FaultyStorage, type StorageFault, type StorageOperation } from './faulty-storage.ts';
export { freePort, freePorts } from './free-port.ts';
export { chownTree, unprivilegedUser, type OsUser } from './os-user.ts';
export { StockPostgres, stockInstallation, type StockPostgresOptions } from './stock-postgres.ts';
export { EVERY_MAJOR, SAMPLED_MAJORS } from './tested-majors.ts';
export { temporaryDirectory } from './temporary-directory.ts';
