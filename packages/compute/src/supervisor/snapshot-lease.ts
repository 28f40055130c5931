import { randomUUID } from 'node:crypto';
import type { Lsn } from '@zenith/base';
import type { Logger } from 'pino';
import type { SnapshotClient } from '../data-directory/snapshot-client.ts';

/** How long the pageserver keeps what a compute that is not heard of any more may read. Unit: milliseconds. */
const LEASE_MS = 60 * 60 * 1000;

/** How often a lease is prolonged. Unit: milliseconds. */
const RENEWAL_MS = 5 * 60 * 1000;

/** Longest wait for an answer. Unit: milliseconds. */
const TIMEOUT_MS = 10_000;

/** Nobody waits longer than this for a lease to be given back. Unit: milliseconds. */
const RELEASE_TIMEOUT_MS = 1_000;

/** Keeps the snapshot that a compute reads its missing blocks from readable as long as the compute lives, however old it gets. */
export class SnapshotLease {
  readonly #client: SnapshotClient;
  readonly #lsn: Lsn;
  readonly #log: Logger;
  readonly #holder = `compute-${randomUUID()}`;
  #timer: NodeJS.Timeout | undefined;

  /** @param client is this lease's own; closed with it */
  constructor(client: SnapshotClient, lsn: Lsn, log: Logger) {
    this.#client = client;
    this.#lsn = lsn;
    this.#log = log;
  }

  /** Takes the lease and prolongs it from then on. @throws ComputeError `pageserver-unavailable` */
  async begin(): Promise<void> {
    this.#timer = setInterval(() => void this.#renew(), RENEWAL_MS).unref();
    await this.#take();
  }

  /** Gives the lease back; when that cannot be said, it ends by itself. Never rejects. */
  async end(): Promise<void> {
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    await this.#client.releaseLease(this.#holder, RELEASE_TIMEOUT_MS).catch((error: unknown) => {
      this.#log.info({ err: error }, 'the lease could not be given back; it ends by itself');
    });
    this.#client.close();
  }

  #take(): Promise<void> {
    return this.#client.lease(this.#holder, this.#lsn, LEASE_MS, TIMEOUT_MS);
  }

  async #renew(): Promise<void> {
    try {
      await this.#take();
    } catch (error) {
      this.#log.warn({ err: error }, 'the lease could not be prolonged; it is tried again');
    }
  }
}
