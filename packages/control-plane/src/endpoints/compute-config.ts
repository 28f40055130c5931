import { formatLsn, type TimelineId } from '@zenith/base';
import { ControlPlaneError } from '../errors.ts';
import type { EndpointRecord, SafekeepersRecord, TimelineRecord } from '../metadata/records.ts';
import type { Repository } from '../repository/repository.ts';

/** Longest chain of branches; the compute refuses a longer one. */
const ANCESTORS_MAX = 10_000;

/**
 * The timelines that a timeline descends from, nearest first.
 * @throws ControlPlaneError `no-such-timeline` when the metadata lack one; `repository-invalid` when the chain does not end
 */
export async function ancestorsOf({ catalog }: Repository, timeline: TimelineRecord): Promise<TimelineRecord[]> {
  if (timeline.ancestor === undefined) return [];
  const all = new Map((await catalog.timelines()).map((one) => [one.id, one]));
  const chain: TimelineRecord[] = [];
  for (let id: TimelineId | undefined = timeline.ancestor; id !== undefined;) {
    const ancestor = all.get(id);
    if (ancestor === undefined)
      throw new ControlPlaneError(
        'no-such-timeline',
        `timeline ${id}, an ancestor of ${timeline.id}, is missing from the metadata`,
      );
    if (chain.length === ANCESTORS_MAX)
      throw new ControlPlaneError(
        'repository-invalid',
        `timeline ${timeline.id} has more than ${ANCESTORS_MAX} ancestors`,
      );
    chain.push(ancestor);
    id = ancestor.ancestor;
  }
  return chain;
}

/** What a compute is told about itself and its surroundings, in the form of its own compute.json. @param ancestors as {@link ancestorsOf} gives them */
export function computeConfig(
  { config }: Repository,
  endpoint: EndpointRecord,
  timeline: TimelineRecord,
  ancestors: readonly TimelineRecord[],
  { nodes, configuration }: SafekeepersRecord,
): Record<string, unknown> {
  const { host, pageserver } = config;
  return {
    endpoint: endpoint.name,
    branch: endpoint.branch,
    tenant: config.tenant,
    timeline: timeline.id,
    systemId: timeline.systemId,
    startLsn: formatLsn(timeline.startLsn),
    ancestors: ancestors.map(({ id, startLsn }) => ({ timeline: id, startLsn: formatLsn(startLsn) })),
    safekeepers: nodes.map(({ id, port }) => ({ id, host, port })),
    configuration,
    pageserver: { host, port: pageserver.port, httpPort: pageserver.httpPort },
    http: { host, port: endpoint.httpPort },
    postgres: {
      major: timeline.pgMajor,
      host,
      port: endpoint.port,
      user: config.superuser,
      settings: endpoint.settings,
      ...(config.pgBinDir === null ? {} : { binDir: config.pgBinDir }),
      ...(config.osUser === null ? {} : { osUser: config.osUser }),
    },
  };
}
