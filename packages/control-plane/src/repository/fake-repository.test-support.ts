import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lsn, newTenantId, newTimelineId, type SystemId, type TimelineId } from '@zenith/base';
import { Catalog } from '../metadata/catalog.ts';
import { EmbeddedMetadataStore } from '../metadata/embedded-store.ts';
import { formatConfig } from './config.ts';
import { repositoryLayout } from './layout.ts';
import { openRepositoryAt, type Repository } from './repository.ts';

/** A repository without a cluster in it: enough for everything that needs no running node. */
export interface BareRepository {
  /** The folder that holds `.zenith`. */
  readonly folder: string;
  readonly repository: Repository;
  readonly main: TimelineId;
  remove(): void;
}

/** Makes one in a temporary folder. @param portFirst its ports follow each other from here */
export async function bareRepository(portFirst = 61_000): Promise<BareRepository> {
  const folder = mkdtempSync(join(tmpdir(), 'zenith-repository-'));
  const layout = repositoryLayout(join(folder, '.zenith'));
  mkdirSync(layout.root);
  const main = newTimelineId();
  writeFileSync(
    layout.configFile,
    formatConfig({
      format: 1,
      tenant: newTenantId(),
      pgMajor: 18,
      pgBinDir: null,
      superuser: 'me',
      osUser: null,
      remoteStorage: null,
      auth: false,
      tls: false,
      host: '127.0.0.1',
      pageserver: { port: portFirst, httpPort: portFirst + 1 },
      safekeepers: [{ id: 1, port: portFirst + 2, httpPort: portFirst + 3 }],
      computePortFirst: portFirst + 4,
    }),
  );
  EmbeddedMetadataStore.create(layout.metadataFile);
  const catalog = new Catalog(new EmbeddedMetadataStore(layout.metadataFile, layout.locks));
  const createdAt = '2026-01-02T03:04:05.678Z';
  await catalog.addBranch('main', {
    id: main,
    pgMajor: 18,
    systemId: '7300000000000000001' as SystemId,
    ancestor: undefined,
    startLsn: lsn(0x1500000),
    createdAt,
  });
  return {
    folder,
    repository: openRepositoryAt(layout.root),
    main,
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
