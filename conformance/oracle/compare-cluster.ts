import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Lsn, TenantId, TimelineId } from '@zenith/base';
import { Staging, chooseOsUser, readPresenceMap } from '@zenith/compute';
import { TimelineStore, compareWithDataDirectory, type Comparison, type EarlierCheckpoint } from '@zenith/pageserver';
import { decodeControlFile, type ControlFile } from '@zenith/pg-format';
import type { Zenith } from '../../integration_tests/support/zenith.ts';

/** A compute's directory: its own folder, or where root's computes are staged. */
function computeDirectory(zenith: Zenith, name: string): string {
  const folder = join(zenith.repository, 'computes', name);
  return existsSync(join(folder, 'pgdata')) ? folder : new Staging(chooseOsUser()).directory(folder);
}

/** The control file that a compute has now. */
export function readControlFile(zenith: Zenith, endpoint: string): ControlFile {
  return decodeControlFile(readFileSync(join(computeDirectory(zenith, endpoint), 'pgdata/global/pg_control')));
}

/**
 * Compares everything that a pageserver has of a branch at `end` with the files of the compute that wrote it: every block that is local there, of every fork but the free-space maps, SLRU pages, relation maps, two-phase
 * files, databases and tablespaces, and the control file. Compute and storage must be stopped. Blocks that the compute never fetched are counted; after `fetchEverything()` there are none.
 * @param earlier checkpoints of the compute before its last one
 */
export async function compareCluster(
  zenith: Zenith,
  endpoint: string,
  ids: { readonly tenant: TenantId; readonly timeline: TimelineId },
  end: Lsn,
  earlier: readonly EarlierCheckpoint[] = [],
): Promise<Comparison> {
  const directory = computeDirectory(zenith, endpoint);
  const presence = readPresenceMap(join(directory, 'presence.map'));
  const store = TimelineStore.open(join(zenith.repository, 'pageserver'));
  try {
    return compareWithDataDirectory(store.get(ids.tenant, ids.timeline), end, join(directory, 'pgdata'), {
      isMissing: (relation, block) => presence.isMissing(relation, block),
      earlier,
    });
  } finally {
    await store.close();
  }
}
