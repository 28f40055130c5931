export { exportBranch, type BranchExport, type ExportedBranch } from './export/export-branch.ts';
export {
  deleteBranch,
  protectBranch,
  renameBranch,
  resetBranch,
  restoreBranch,
  type Removal,
} from './branches/change-branch.ts';
export { finishTimelines } from './branches/new-timeline.ts';
export { checkName, NAME_LENGTH_MAX } from './branches/branch-name.ts';
export { drawBranchTree, type BranchNode } from './branches/branch-tree.ts';
export { commitPoint } from './branches/commit-point.ts';
export { createBranch, listBranches, MAIN_BRANCH, type Branch } from './branches/create-branch.ts';
export {
  formatHistoryBytes,
  formatHistoryTime,
  parseHistoryBytes,
  parseHistoryTime,
  type HistoryPolicy,
} from './history/history-policy.ts';
export { collectHistory, keepHistory } from './history/keep-history.ts';
export { listLeases, releaseLease, takeLease, type BranchLease, type WantedLease } from './history/leases.ts';
export { findLsn, type LsnAtTime } from './history/find-lsn.ts';
export { formatPointInTime, isoPointInTime, parsePointInTime, type PointInTime } from './history/point-in-time.ts';
export { alignLsn, parsePosition, parseStartPoint, type Position, type StartPoint } from './branches/start-point.ts';
export { listCertificates, renewCertificate, type CertificateStatus } from './credentials/certificates.ts';
export {
  issueToken,
  listKeys,
  revokeKey,
  rotateKeys,
  type IssuedToken,
  type KeyStatus,
} from './credentials/key-ring.ts';
export { ROLES, type Role } from '@zenith/auth';
export { ServiceRefusal } from './clients/http-json.ts';
export { PageserverClient, type PageAddress } from './clients/pageserver-client.ts';
export { SafekeeperClient } from './clients/safekeeper-client.ts';
export { SupervisorClient } from './clients/supervisor-client.ts';
export type {
  PageHistoryAnswer,
  PageserverTimeline,
  SafekeeperTimeline,
  SupervisorStatus,
  TimelineLayers,
  TimelineSizes,
} from './clients/answers.ts';
export {
  endpointProcess,
  endpointStatus,
  supervisorClient,
  type EndpointState,
  type EndpointStatus,
} from './endpoints/endpoint-process.ts';
export { createEndpoint, listEndpoints, type ListedEndpoint, type NewEndpoint } from './endpoints/endpoints.ts';
export { parseSettings } from './endpoints/settings.ts';
export {
  startEndpoint,
  stopEndpoint,
  type StartedEndpoint,
  type StartEndpointOptions,
  type StopEndpointOptions,
  type StopOutcome,
} from './endpoints/start-stop.ts';
export { ControlPlaneError, oneLine, type ControlPlaneErrorCode } from './errors.ts';
export { Catalog } from './metadata/catalog.ts';
export { EmbeddedMetadataStore } from './metadata/embedded-store.ts';
export {
  METADATA_BYTES_MAX,
  type JsonValue,
  type MetadataEntry,
  type MetadataStore,
  type MetadataTransaction,
} from './metadata/metadata-store.ts';
export type {
  BranchRecord,
  EndpointRecord,
  SafekeeperRecord,
  SafekeepersRecord,
  TimelineRecord,
} from './metadata/records.ts';
export {
  nodeProcess,
  pageserverNode,
  safekeeperNode,
  safekeeperNodes,
  storageNodes,
  type StorageNode,
} from './nodes/node.ts';
export {
  restartNodes,
  startNodes,
  stopNodes,
  type NodeEvent,
  type NodeOptions,
  type StopOptions,
} from './nodes/start-stop.ts';
export { scrubRemoteStorage, type ScrubReport, type ScrubRequest } from './nodes/scrub.ts';
export { nodeId, type NodeId } from '@zenith/consensus';
export { PG_MAJORS, type PgMajor } from '@zenith/pg-format';
export { isAlive, type ProcessIdentity } from '@zenith/service';
export {
  COMPUTE_PORT_FIRST,
  formatConfig,
  PAGESERVER_PORTS,
  parseConfig,
  safekeeperPorts,
  SAFEKEEPERS_MAX,
  type RepositoryConfig,
} from './repository/config.ts';
export { initRepository, type InitOptions } from './repository/init.ts';
export { REPOSITORY_FOLDER, repositoryLayout, type RepositoryLayout, type ServiceLayout } from './repository/layout.ts';
export { findRepository, openRepository, openRepositoryAt, type Repository } from './repository/repository.ts';
export {
  abortMemberChange,
  changeMembers,
  type ChangedMembers,
  type ChangeOptions,
} from './safekeepers/change-members.ts';
export { describeRestored, restoreSafekeepers, type RestoredBranch } from './safekeepers/restore.ts';
export type { MemberChange } from './safekeepers/member-change.ts';
export { safekeepersOf } from './safekeepers/safekeepers.ts';
export {
  clusterStatus,
  nodeStatus,
  type BranchStatus,
  type ClusterStatus,
  type NodeState,
  type NodeStatus,
} from './status/cluster-status.ts';
