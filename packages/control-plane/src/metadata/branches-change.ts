import { formatLsn, type TimelineId } from '@zenith/base';
import type { MetadataTransaction } from './metadata-store.ts';
import type { BranchRecord, EndpointRecord, TimelineRecord, UnfinishedTimeline } from './records.ts';

/** All that a change of branches looks at, as it was at one moment. */
export interface BranchesView {
  readonly branches: ReadonlyMap<string, BranchRecord>;
  readonly timelines: ReadonlyMap<TimelineId, TimelineRecord>;
  readonly endpoints: ReadonlyMap<string, EndpointRecord>;
  readonly unfinished: ReadonlyMap<TimelineId, UnfinishedTimeline>;
}

/** A change that happens as a whole, or not at all. */
export interface BranchesChange {
  readonly putBranches?: readonly BranchRecord[];
  readonly removeBranches?: readonly string[];
  readonly putTimelines?: readonly TimelineRecord[];
  /** They are unfinished from then on: storage is to remove them. */
  readonly removeTimelines?: readonly TimelineId[];
  readonly putEndpoints?: readonly EndpointRecord[];
  readonly removeEndpoints?: readonly string[];
  /** Storage has these as they are named, or has nothing of them any more. */
  readonly finished?: readonly TimelineId[];
}

type Writes = Required<Pick<MetadataTransaction, 'put' | 'remove'>>;

/** The entries that a change writes and removes. */
export function changeWrites(change: BranchesChange): Writes {
  const removed = change.removeTimelines ?? [];
  return {
    put: [
      ...(change.putTimelines ?? []).map(timelineEntry),
      ...(change.putBranches ?? []).map(branchEntry),
      ...(change.putEndpoints ?? []).map(endpointEntry),
      ...removed.map((id) => ({ key: `unfinished/${id}`, value: { maker: null } })),
    ],
    remove: [
      ...(change.removeBranches ?? []).map((name) => `branch/${name}`),
      ...removed.map((id) => `timeline/${id}`),
      ...(change.removeEndpoints ?? []).map((name) => `endpoint/${name}`),
      ...(change.finished ?? []).map((id) => `unfinished/${id}`),
    ],
  };
}

function timelineEntry(timeline: TimelineRecord): Writes['put'][number] {
  const { id, ancestor, startLsn, pgMajor, systemId, createdAt } = timeline;
  const value = { pgMajor, systemId, ancestor: ancestor ?? null, startLsn: formatLsn(startLsn), createdAt };
  return { key: `timeline/${id}`, value };
}

function branchEntry({ name, timeline, createdAt, isProtected }: BranchRecord): Writes['put'][number] {
  return { key: `branch/${name}`, value: { timeline, createdAt, ...(isProtected ? { isProtected } : {}) } };
}

/** An endpoint as it is stored. */
export function endpointEntry(endpoint: EndpointRecord): Writes['put'][number] {
  const { name, branch, port, httpPort, settings, createdAt } = endpoint;
  return { key: `endpoint/${name}`, value: { branch, port, httpPort, settings, createdAt } };
}
