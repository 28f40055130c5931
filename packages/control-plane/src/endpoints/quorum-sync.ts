import { ZenithError, type Lsn } from '@zenith/base';
import { nodeId } from '@zenith/consensus';
import { ControlPlaneError, oneLine } from '../errors.ts';
import type { TimelineRecord } from '../metadata/records.ts';
import type { Repository } from '../repository/repository.ts';

/** Size of a WAL segment of the clusters that `zenith init` makes. Unit: bytes. */
const WAL_SEGMENT_BYTES = 16 * 1024 * 1024;

/** The control plane's configuration of safekeepers never changes, so it has one generation. */
const CONFIGURATION_GENERATION = 1;

/** Longest wait for a quorum. Unit: milliseconds. */
const SYNC_TIMEOUT_MS = 10_000;

/** A proposer has more to say than a command wants to show. */
const SILENT = { info: (): void => undefined, warn: (): void => undefined };

/**
 * Has the safekeepers elect, which settles what of the WAL at the end is committed. Fences a compute of the timeline: the caller holds the timeline's compute lock and has
 * seen that there is none.
 * @returns the commit point
 * @throws ControlPlaneError `not-running` when no quorum agrees in time
 */
export async function syncQuorum({ config }: Repository, timeline: TimelineRecord): Promise<Lsn> {
  const { syncSafekeepers } = await import('@zenith/compute');
  const identity = {
    tenant: config.tenant,
    timeline: timeline.id,
    pgMajor: timeline.pgMajor,
    systemId: timeline.systemId,
    segmentSize: WAL_SEGMENT_BYTES,
    timelineStartLsn: timeline.startLsn,
  };
  const safekeepers = config.safekeepers.map(({ id, port }) => ({ id: nodeId(id), host: config.host, port }));
  try {
    const { startLsn } = await syncSafekeepers(
      { identity, safekeepers, generation: CONFIGURATION_GENERATION, log: SILENT },
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
