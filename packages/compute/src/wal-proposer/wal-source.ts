import type { Tokens } from '@zenith/auth';
import { lsn, type Lsn, type TenantId, type TimelineId } from '@zenith/base';
import type { NodeId, Term } from '@zenith/consensus';
import type { WalStreamReader } from '@zenith/wire';
import { ComputeError } from '../errors.ts';
import type { LocalWal } from './local-wal.ts';
import type { RecentWal } from './recent-wal.ts';
import type { SafekeeperAddress } from './safekeeper-address.ts';
import { openSafekeeperWal } from './safekeeper-wal-reader.ts';

/** Where WAL for a safekeeper comes from. */
export interface WalSources {
  readonly tenant: TenantId;
  readonly timeline: TimelineId;
  /** What safekeepers are shown. */
  readonly tokens: Tokens;
  /** The WAL of this compute that is still in memory; undefined before the election. */
  recent(): RecentWal | undefined;
  /** The WAL of this compute in files; undefined while it has no PostgreSQL. */
  local(): LocalWal | undefined;
  /** The address of a donor. */
  address(node: NodeId): SafekeeperAddress | undefined;
  /** A safekeeper, not `except`, that has acknowledged WAL beyond `position` in this term; undefined when there is none. */
  holder(position: Lsn, except: NodeId): NodeId | undefined;
}

/** Largest piece read from `pg_wal` at once. Unit: bytes. */
const LOCAL_READ_BYTES = 128 * 1024;

/**
 * Gets the bytes of one safekeeper's appends: from memory without waiting for a safekeeper that keeps up, from `pg_wal` for one that lags, from another safekeeper for WAL older than this
 * compute. One for each safekeeper, since a donor's connection is kept from one append to the next.
 */
export class AppendBytes {
  readonly #sources: WalSources;
  readonly #node: NodeId;
  #donorReader:
    | { readonly reader: WalStreamReader; readonly donor: NodeId; position: Lsn; rest: Uint8Array }
    | undefined;

  /** @param node the safekeeper that needs the WAL */
  constructor(sources: WalSources, node: NodeId) {
    this.#sources = sources;
    this.#node = node;
  }

  /** The WAL `[begin, end)` in pieces if it is all in memory, else undefined. The bytes are shared: read only, unchanged for as long as they are held. */
  inMemory(begin: Lsn, end: Lsn): Uint8Array[] | undefined {
    const pieces: Uint8Array[] = [];
    const recent = this.#sources.recent();
    for (let at = begin; at < end;) {
      const piece = recent?.read(at, end - at);
      if (piece === undefined) return undefined;
      pieces.push(piece);
      at = lsn(at + piece.length);
    }
    return pieces;
  }

  /**
   * The WAL `[begin, end)` in pieces from wherever it is. @param donor the safekeeper to ask, null when the compute wrote it
   * @throws ComputeError `wal-unavailable`, and what connecting to the donor throws
   */
  async fetch(begin: Lsn, end: Lsn, donor: NodeId | null, term: Term): Promise<Uint8Array[]> {
    const pieces: Uint8Array[] = [];
    for (let at = begin; at < end;) {
      const piece =
        donor === null ? await this.#fromCompute(at, end - at, term) : await this.#fromDonor(at, end - at, donor, term);
      pieces.push(piece);
      at = lsn(at + piece.length);
    }
    return pieces;
  }

  /** Closes the donor's connection if there is one. */
  close(): void {
    this.#donorReader?.reader.close();
    this.#donorReader = undefined;
  }

  /** Memory, then files; WAL that PostgreSQL has removed is committed, so a quorum has it: the one that needs it is not in it. */
  async #fromCompute(at: Lsn, length: number, term: Term): Promise<Uint8Array> {
    const recent = this.#sources.recent()?.read(at, length);
    if (recent !== undefined) return recent;
    try {
      const local = this.#sources.local();
      if (local === undefined) throw new ComputeError('wal-unavailable', 'this compute has no WAL files yet');
      return await local.read(at, Math.min(length, LOCAL_READ_BYTES));
    } catch (error) {
      const holder = this.#sources.holder(at, this.#node);
      if (holder === undefined) throw error;
      return this.#fromDonor(at, length, holder, term);
    }
  }

  async #fromDonor(at: Lsn, length: number, donor: NodeId, term: Term): Promise<Uint8Array> {
    let open = this.#donorReader;
    if (open === undefined || open.donor !== donor || open.position !== at) {
      this.close();
      const address = this.#sources.address(donor);
      if (address === undefined) throw new ComputeError('wal-unavailable', `safekeeper ${donor} is not known here`);
      const { tenant, timeline, tokens } = this.#sources;
      open = {
        reader: await openSafekeeperWal({ address, tenant, timeline, tokens, term }, at),
        donor,
        position: at,
        rest: new Uint8Array(0),
      };
      this.#donorReader = open;
    }
    const chunk = open.rest.length > 0 ? open.rest : await open.reader.next();
    const piece = chunk.subarray(0, length);
    open.rest = chunk.subarray(piece.length);
    open.position = lsn(at + piece.length);
    return piece;
  }
}
