import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Lsn, TenantId, TimelineId } from '@zenith/base';
import { Staging, chooseOsUser, readPresenceMap } from '@zenith/compute';
import { TimelineStore, compareWithDataDirectory, type Comparison } from '@zenith/pageserver';
import type { Zenith } from '../../integration_tests/support/zenith.ts';

/** A compute's directory: its own folder, or where root's computes are staged. */
function computeDirectory(zenith: Zenith, name: string): string {
  const folder = join(zenith.repository, 'computes', name);
  return existsSync(join(folder, 'pgdata')) ? folder : new Staging(chooseOsUser()).directory(folder);
}

/**
 * Compares everything that a pageserver has of a branch at `end` with the files of the compute that wrote it: every block that is local there, of every fork but the free-space maps, SLRU pages, relation maps, two-phase
 * files, databases and tablespaces. Compute and storage must be stopped.
 */
export async function compareCluster(
  zenith: Zenith,
  endpoint: string,
  ids: { readonly tenant: TenantId; readonly timeline: TimelineId },
  end: Lsn,
): Promise<Comparison> {
  const directory = computeDirectory(zenith, endpoint);
  const presence = readPresenceMap(join(directory, 'presence.map'));
  const store = TimelineStore.open(join(zenith.repository, 'pageserver'));
  try {
    return compareWithDataDirectory(
      store.get(ids.tenant, ids.timeline),
      end,
      join(directory, 'pgdata'),
      (relation, block) => presence.isMissing(relation, block),
    );
  } finally {
    await store.close();
  }
}
