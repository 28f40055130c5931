import { ZenithError, type Lsn } from '@zenith/base';
import type { TimelineIdentity } from '@zenith/consensus';
import { ControlPlaneError, oneLine } from '../errors.ts';
import type { TimelineRecord } from '../metadata/records.ts';
import type { Repository } from '../repository/repository.ts';
import { safekeepersOf } from '../safekeepers/safekeepers.ts';

/** Size of a WAL segment of the clusters that `zenith init` makes. Unit: bytes. */
const WAL_SEGMENT_BYTES = 16 * 1024 * 1024;

/** Longest wait for a quorum. Unit: milliseconds. */
const SYNC_TIMEOUT_MS = 10_000;

/** A proposer has more to say than a command wants to show. */
const SILENT = { info: (): void => undefined, warn: (): void => undefined };

/** What safekeepers know a timeline by. */
export function timelineIdentity({ config }: Repository, timeline: TimelineRecord): TimelineIdentity {
  return {
    tenant: config.tenant,
    timeline: timeline.id,
    pgMajor: timeline.pgMajor,
    systemId: timeline.systemId,
    segmentSize: WAL_SEGMENT_BYTES,
    timelineStartLsn: timeline.startLsn,
  };
}

/**
 * Has the safekeepers elect, which settles what of the WAL at the end is committed. Fences a compute of the timeline: the caller holds the timeline's compute lock and has
 * seen that there is none.
 * @returns the commit point
 * @throws ControlPlaneError `not-running` when no quorum agrees in time
 */
export async function syncQuorum(repository: Repository, timeline: TimelineRecord): Promise<Lsn> {
  const { config } = repository;
  const { syncSafekeepers } = await import('@zenith/compute');
  const { tenant } = config;
  const token = await repository.operator.token({ role: 'compute', tenant, timeline: timeline.id });
  const tokens = { trust: repository.operator.trust, token: () => token };
  const identity = timelineIdentity(repository, timeline);
  const { nodes, configuration } = await safekeepersOf(repository);
  const safekeepers = nodes.map(({ id, port }) => ({ id, host: config.host, port }));
  try {
    const { startLsn } = await syncSafekeepers(
      { identity, safekeepers, configuration, tokens, log: SILENT },
      SYNC_TIMEOUT_MS,
    );
    return startLsn;
  } catch (error) {
    if (!(error instanceof ZenithError)) throw error;
    throw new ControlPlaneError(
      'not-running',
      `the end of the branch cannot be found: ${oneLine(error)}; see 'zenith status'`,
      { cause: error },
    );
  }
}
