import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { parseComputeConfig, type ComputeConfig, type ComputeConfigInput } from './config.ts';
import { ServiceProcess } from './service-process.test-support.ts';

/** A compute as a process of its own; it need not run. */
export class ComputeProcess extends ServiceProcess {
  readonly config: ComputeConfig;
  /** What is in compute.json. */
  readonly input: ComputeConfigInput;

  constructor(dataDir: string, input: ComputeConfigInput) {
    super('compute', dataDir, 'compute.json', input);
    this.config = parseComputeConfig(input, 'test');
    this.input = input;
  }

  /** The data directory of its PostgreSQL. */
  get pgdata(): string {
    return join(this.dataDir, 'pgdata');
  }

  /** The postmaster, by its own pid file. */
  get postgresPid(): number {
    return Number(readFileSync(join(this.pgdata, 'postmaster.pid'), 'utf8').split('\n')[0]);
  }

  /** A client that is connected to it; the caller ends it. */
  async connect(timeoutMs = 30_000): Promise<pg.Client> {
    const client = new pg.Client({
      host: '127.0.0.1',
      port: this.config.postgres.port,
      user: 'postgres',
      database: 'postgres',
      query_timeout: timeoutMs,
      connectionTimeoutMillis: timeoutMs,
    });
    client.on('error', () => undefined); // crash tests end the server under it; queries in flight reject by themselves
    await client.connect();
    return client;
  }

  /** Runs SQL over a connection of its own. */
  async query(sql: string, timeoutMs = 30_000): Promise<Record<string, unknown>[]> {
    const client = await this.connect(timeoutMs);
    try {
      return (await client.query<Record<string, unknown>>(sql)).rows;
    } finally {
      void client.end();
    }
  }

  /** The supervisor's status. */
  async status(): Promise<Record<string, unknown>> {
    const response = await fetch(`http://127.0.0.1:${this.config.http.port}/v1/status`);
    return (await response.json()) as Record<string, unknown>;
  }
}
