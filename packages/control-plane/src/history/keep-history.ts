import { PageserverClient, type Collected } from '../clients/pageserver-client.ts';
import { nodeProcess, pageserverNode } from '../nodes/node.ts';
import type { Repository } from '../repository/repository.ts';
import type { HistoryPolicy } from './history-policy.ts';

/**
 * Sets how much history is kept, from now on and at every later start of the pageserver. History that is dropped already does not come back.
 * @returns how much is kept now
 * @throws ControlPlaneError `conflict`; `not-running`, `service-refused` when the pageserver lives and could not be told: it learns it at its next start
 */
export async function keepHistory(repository: Repository, change: Partial<HistoryPolicy>): Promise<HistoryPolicy> {
  const policy = await repository.catalog.setHistory(change);
  if (nodeProcess(pageserverNode(repository)) !== undefined) await new PageserverClient(repository).setHistory(policy);
  return policy;
}

/** Drops what is not kept of branches' history, now. @param name one branch; all without @throws ControlPlaneError `no-such-branch`, `not-running`, `service-refused` */
export async function collectHistory(
  repository: Repository,
  name?: string,
): Promise<readonly (Collected & { readonly branch: string })[]> {
  const { catalog } = repository;
  const branches = name === undefined ? await catalog.branches() : [await catalog.branch(name)];
  const client = new PageserverClient(repository);
  const results: (Collected & { readonly branch: string })[] = [];
  for (const branch of branches) results.push({ branch: branch.name, ...(await client.collect(branch.timeline)) });
  return results;
}
