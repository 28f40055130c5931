import type { PgMajor } from '@zenith/pg-format';
import { StockPostgres } from '@zenith/testing';
import type { SuiteServer } from './suite-server.ts';

/** A stock server beside a Zenith compute: the same binaries, the same settings, the same name of the superuser, its files its own. */
export class StockServer implements SuiteServer {
  readonly label = 'stock';
  readonly #server: StockPostgres;

  private constructor(server: StockPostgres) {
    this.#server = server;
  }

  /** Makes a cluster and starts it. */
  static async start(
    major: PgMajor,
    settings: Readonly<Record<string, string>>,
    superuser: string,
  ): Promise<StockServer> {
    const server = StockPostgres.create({
      major,
      superuser,
      settings: { full_page_writes: 'off', wal_level: 'replica', ...settings },
    });
    await server.start();
    return new StockServer(server);
  }

  get port(): number {
    return this.#server.port;
  }

  get superuser(): string {
    return this.#server.superuser;
  }

  async restart(): Promise<void> {
    await this.#server.stop();
    await this.#server.start();
  }

  async remove(): Promise<void> {
    await this.#server.remove();
  }
}
