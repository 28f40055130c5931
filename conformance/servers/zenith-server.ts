import { formatLsn, type Lsn } from '@zenith/base';
import type { Comparison } from '@zenith/pageserver';
import type { PgMajor } from '@zenith/pg-format';
import type { Client } from 'pg';
import { Zenith } from '../../integration_tests/support/zenith.ts';
import { compareCluster } from '../oracle/compare-cluster.ts';
import { checkRedo, type OracleReport } from '../oracle/redo-oracle.ts';
import type { SuiteServer } from './suite-server.ts';

const BRANCH = 'main';

/** Longest wait for the pageserver to take in what the compute wrote last. Unit: milliseconds. */
const INGEST_TIMEOUT_MS = 300_000;

/** Resolves when the pageserver has taken in all committed WAL of a branch. */
async function waitForIngest(branch: Awaited<ReturnType<Zenith['branch']>>): Promise<void> {
  const url = `http://127.0.0.1:${branch.pageserverHttpPort}/v1/tenant/${branch.tenant}/timeline/${branch.timeline}/wait`;
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ lsn: formatLsn(branch.commitLsn), timeoutMs: INGEST_TIMEOUT_MS }),
  });
  if (!response.ok)
    throw new Error(`the pageserver does not get to ${formatLsn(branch.commitLsn)}: ${await response.text()}`);
}

/**
 * A Zenith compute under `wal_consistency_checking=all`, with pageserver and safekeeper of its own. Each time it is stopped, everything the pageserver has is compared with the compute's files; its next
 * start has nothing local and fetches every page.
 */
export class ZenithServer implements SuiteServer {
  readonly label = 'zenith';
  readonly #zenith: Zenith;
  readonly #major: PgMajor;
  readonly #settings: readonly string[];
  readonly #comparisons: Comparison[] = [];
  #start: Lsn;

  private constructor(zenith: Zenith, major: PgMajor, settings: readonly string[], start: Lsn) {
    this.#zenith = zenith;
    this.#major = major;
    this.#settings = settings;
    this.#start = start;
  }

  /** Makes a repository, starts its storage and a compute. */
  static async start(major: PgMajor, settings: Readonly<Record<string, string>>): Promise<ZenithServer> {
    const zenith = await Zenith.init('--pg-version', String(major));
    try {
      await zenith.run('start');
      const { startLsn } = await zenith.branch(BRANCH);
      const all = Object.entries({ wal_consistency_checking: 'all', ...settings });
      const args = all.flatMap(([name, value]) => ['--set', `${name}=${value}`]);
      await zenith.startPostgres(BRANCH, ...args);
      return new ZenithServer(zenith, major, args, startLsn);
    } catch (error) {
      await zenith.destroy();
      throw error;
    }
  }

  get port(): number {
    return this.#zenith.port(BRANCH);
  }

  get superuser(): string {
    return this.#zenith.user;
  }

  /** What the comparisons of everything found, one at each stop so far. */
  get comparisons(): readonly Comparison[] {
    return this.#comparisons;
  }

  /** A connected client; the caller ends it. */
  connect(database?: string): Promise<Client> {
    return this.#zenith.connect(BRANCH, database);
  }

  /** Rows of the last statement. */
  query(sql: string, database = 'postgres'): Promise<Record<string, unknown>[]> {
    return this.#zenith.query(BRANCH, sql, database);
  }

  async restart(): Promise<void> {
    await this.stopAndCompare();
    await this.#zenith.startPostgres(BRANCH, ...this.#settings);
  }

  /** Stops the compute, compares, and leaves storage running without a compute. */
  async stopAndCompare(): Promise<void> {
    // Without a checkpoint before: that of the shutdown writes everything, and what the pageserver has before it is by the records alone.
    await this.#zenith.run('pg', 'stop', BRANCH);
    const branch = await this.#zenith.branch(BRANCH);
    await waitForIngest(branch);
    await this.#zenith.run('stop');
    this.#comparisons.push(await compareCluster(this.#zenith, BRANCH, branch, branch.commitLsn));
    await this.#zenith.run('start');
  }

  /** Redoes all WAL of the branch so far and compares each block with PostgreSQL's image of it. No compute must run. */
  async checkRedo(onProgress: (done: number) => void): Promise<OracleReport & { readonly walBytes: number }> {
    const branch = await this.#zenith.branch(BRANCH);
    const end = branch.commitLsn;
    const walBytes = end - this.#start;
    const report = await checkRedo({ major: this.#major, ...branch }, this.#start, end, (position) =>
      onProgress((position - this.#start) / walBytes),
    );
    return { ...report, walBytes };
  }

  async remove(): Promise<void> {
    await this.#zenith.destroy();
  }
}
