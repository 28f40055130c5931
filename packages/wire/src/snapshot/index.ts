export { decodeSnapshot, encodeSnapshotHeader, type SnapshotPart } from './codec.ts';
export {
  SNAPSHOT_FILE_BYTES_MAX,
  type SnapshotCheckpoint,
  type SnapshotFile,
  type SnapshotManifest,
  type SnapshotRelation,
} from './manifest.ts';
