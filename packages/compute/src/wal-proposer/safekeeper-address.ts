import type { NodeId } from '@zenith/consensus';

/** Where a safekeeper listens. */
export interface SafekeeperAddress {
  readonly id: NodeId;
  readonly host: string;
  /** Its PostgreSQL protocol port. */
  readonly port: number;
}

/** Bound on connecting to a safekeeper and starting up. Unit: milliseconds. */
export const SAFEKEEPER_CONNECT_TIMEOUT_MS = 5_000;

/** Startup parameters of a connection to a safekeeper about one timeline. @param term reads up to the flush LSN, only while this term is the highest */
export function safekeeperParameters(tenant: string, timeline: string, term?: number): Record<string, string> {
  return {
    user: 'zenith',
    replication: 'true',
    application_name: 'zenith_wal_proposer',
    options: `-c zenith.tenant=${tenant} -c zenith.timeline=${timeline}${term === undefined ? '' : ` -c zenith.term=${term}`}`,
  };
}
