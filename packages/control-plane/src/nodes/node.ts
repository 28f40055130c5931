import { findServiceProcess } from '../process/service-process.ts';
import type { ProcessIdentity } from '@zenith/service';
import type { ServiceLayout } from '../repository/layout.ts';
import type { Repository } from '../repository/repository.ts';
import type { SafekeeperRecord } from '../metadata/records.ts';
import { safekeepersOf } from '../safekeepers/safekeepers.ts';
import { PageserverClient } from '../clients/pageserver-client.ts';
import { SafekeeperClient } from '../clients/safekeeper-client.ts';
import { PAGESERVER_HOLDER, safekeeperHolder } from '../credentials/holders.ts';
import { pageserverConfig, safekeeperConfig } from './service-config.ts';

/** A storage node of the repository: the pageserver, or one of the safekeepers. Says what it is; whether it runs is asked anew every time. */
export interface StorageNode {
  readonly service: 'pageserver' | 'safekeeper';
  /** For messages: "the pageserver", "safekeeper 2". */
  readonly what: string;
  /** The safekeeper's number; undefined for the pageserver. */
  readonly id: number | undefined;
  readonly host: string;
  /** Where it speaks its binary protocol: pages, or WAL. */
  readonly port: number;
  readonly httpPort: number;
  readonly layout: ServiceLayout;
  /** Under which name it has tokens. */
  readonly holder: string;
  /** What its configuration file is to hold. */
  readonly serviceConfig: Readonly<Record<string, unknown>>;
  /** Asks it over HTTP whether it is well: undefined, or what ails it. Throws when it does not answer. */
  checkHealth(timeoutMs: number): Promise<string | undefined>;
}

/** The repository's pageserver. */
export function pageserverNode(repository: Repository): StorageNode {
  const { config, layout } = repository;
  return {
    service: 'pageserver',
    what: 'the pageserver',
    id: undefined,
    host: config.host,
    ...config.pageserver,
    layout: layout.pageserver,
    holder: PAGESERVER_HOLDER,
    serviceConfig: pageserverConfig(config),
    checkHealth: (timeoutMs) => new PageserverClient(repository).health(timeoutMs),
  };
}

/** The repository's safekeepers: members, and those that join or have left and were not removed yet. */
export async function safekeeperNodes(repository: Repository): Promise<StorageNode[]> {
  const { nodes } = await safekeepersOf(repository);
  return nodes.map((node) => safekeeperNode(repository, node));
}

/** One of the repository's safekeepers. */
export function safekeeperNode(repository: Repository, node: SafekeeperRecord): StorageNode {
  const { config, layout } = repository;
  return {
    service: 'safekeeper',
    what: `safekeeper ${node.id}`,
    id: node.id,
    host: config.host,
    port: node.port,
    httpPort: node.httpPort,
    layout: layout.safekeeper(node.id),
    holder: safekeeperHolder(node.id),
    serviceConfig: safekeeperConfig(config, node),
    checkHealth: (timeoutMs) => new SafekeeperClient(repository, node.id, node.httpPort).health(timeoutMs),
  };
}

/** All storage nodes, the pageserver first. */
export async function storageNodes(repository: Repository): Promise<StorageNode[]> {
  return [pageserverNode(repository), ...(await safekeeperNodes(repository))];
}

/** The node's live process; undefined when it does not run. */
export function nodeProcess(node: StorageNode): ProcessIdentity | undefined {
  return findServiceProcess(node.layout.pidFile);
}
