import type { TimelineId } from '@zenith/base';
import type { SupervisorStatus } from '../clients/answers.ts';
import { SupervisorClient } from '../clients/supervisor-client.ts';
import { oneLine } from '../errors.ts';
import type { EndpointRecord } from '../metadata/records.ts';
import type { ProcessIdentity } from '@zenith/service';
import { findServiceProcess, wasKilled } from '../process/service-process.ts';
import type { Repository } from '../repository/repository.ts';

/**
 * How an endpoint is. `running` takes connections; `starting`, `restarting` (PostgreSQL crashed and is being built anew), `stopping`, `fenced` (a later compute of the branch took over) and `failed` are its supervisor's own words; `unresponsive`: the
 * supervisor lives but does not answer; `crashed`: it was killed, so that its PostgreSQL ended with it; `stopped`: it ended by itself or never ran.
 */
export type EndpointState = SupervisorStatus['state'] | 'unresponsive' | 'crashed';

/** An endpoint's state now. */
export interface EndpointStatus {
  readonly state: EndpointState;
  /** The supervisor's process; undefined unless it lives. */
  readonly process: ProcessIdentity | undefined;
  /** What its supervisor said; undefined when it does not live or does not answer. */
  readonly supervisor: SupervisorStatus | undefined;
  /** More about a state that is neither running nor stopped. */
  readonly message: string | undefined;
}

/** The supervisor's live process; undefined when there is none. */
export function endpointProcess({ layout }: Repository, name: string): ProcessIdentity | undefined {
  return findServiceProcess(layout.compute(name).pidFile);
}

/** The interface of an endpoint's supervisor, running or not. */
export function supervisorClient(repository: Repository, endpoint: EndpointRecord): SupervisorClient {
  return new SupervisorClient(repository, endpoint.name, endpoint.httpPort);
}

/** Finds out how an endpoint is. Never throws for an endpoint that is down or does not answer. */
export async function endpointStatus(repository: Repository, endpoint: EndpointRecord): Promise<EndpointStatus> {
  const process = endpointProcess(repository, endpoint.name);
  if (process === undefined) {
    const crashed = wasKilled(repository.layout.compute(endpoint.name).pidFile);
    return {
      state: crashed ? 'crashed' : 'stopped',
      process,
      supervisor: undefined,
      message: crashed ? 'it was killed; start it again' : undefined,
    };
  }
  try {
    const supervisor = await supervisorClient(repository, endpoint).status();
    return { state: supervisor.state, process, supervisor, message: supervisor.message ?? undefined };
  } catch (error) {
    return { state: 'unresponsive', process, supervisor: undefined, message: oneLine(error) };
  }
}

/** The endpoints whose branch names the timeline. */
export async function endpointsOf({ catalog }: Repository, timeline: TimelineId): Promise<EndpointRecord[]> {
  const names = new Set(
    (await catalog.branches()).filter((branch) => branch.timeline === timeline).map((branch) => branch.name),
  );
  return (await catalog.endpoints()).filter((endpoint) => names.has(endpoint.branch));
}

/** The supervisor of the compute that lives on a timeline; undefined when there is none. */
export async function runningSupervisor(
  repository: Repository,
  timeline: TimelineId,
): Promise<SupervisorClient | undefined> {
  const endpoint = (await endpointsOf(repository, timeline)).find(
    ({ name }) => endpointProcess(repository, name) !== undefined,
  );
  return endpoint === undefined ? undefined : supervisorClient(repository, endpoint);
}
