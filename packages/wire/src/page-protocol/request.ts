import { CorruptionError, readLsn, writeLsn, type Lsn } from '@zenith/base';
import { PAGES_PER_REQUEST_MAX, REQUEST_GET_PAGES } from './layout.ts';

const TYPE = 0,
  ID = 4,
  LSN = 8,
  SPC = 16,
  DB = 20,
  REL = 24,
  FORK = 28,
  BLOCK = 32,
  COUNT = 36,
  ZERO = 40;

/** Names one fork of one relation. PG: RelFileLocator and ForkNumber. */
export interface PageRelation {
  /** OID of the tablespace (1663 pg_default, 1664 pg_global). */
  readonly spc: number;
  /** OID of the database; 0 for a shared relation. */
  readonly db: number;
  /** relfilenode. */
  readonly rel: number;
  /** 0 main, 1 fsm, 2 vm, 3 init. */
  readonly fork: number;
}

/** A GetPages request as a caller-owned scratch: decoding fills it in place. */
export interface GetPagesRequest {
  /** Chosen by the client; comes back in the response. u32. */
  id: number;
  lsn: Lsn;
  spc: number;
  db: number;
  rel: number;
  fork: number;
  /** First block. */
  block: number;
  /** Unit: pages, 1 to {@link PAGES_PER_REQUEST_MAX}. */
  count: number;
}

/** A scratch for {@link decodeGetPagesRequest}. */
export function newGetPagesRequest(): GetPagesRequest {
  return { id: 0, lsn: 0 as Lsn, spc: 0, db: 0, rel: 0, fork: 0, block: 0, count: 0 };
}

/** Writes the 48 bytes of a request at `offset`. */
export function encodeGetPagesRequest(view: DataView, offset: number, request: Readonly<GetPagesRequest>): void {
  view.setUint32(offset + TYPE, REQUEST_GET_PAGES, true);
  view.setUint32(offset + ID, request.id, true);
  writeLsn(view, offset + LSN, request.lsn);
  view.setUint32(offset + SPC, request.spc, true);
  view.setUint32(offset + DB, request.db, true);
  view.setUint32(offset + REL, request.rel, true);
  view.setUint32(offset + FORK, request.fork, true);
  view.setUint32(offset + BLOCK, request.block, true);
  view.setUint32(offset + COUNT, request.count, true);
  view.setUint32(offset + ZERO, 0, true);
  view.setUint32(offset + ZERO + 4, 0, true);
}

/**
 * Reads the 48 bytes of a request at `offset` into `into`.
 * @throws CorruptionError when they are no GetPages request of version 1: the stream cannot be trusted any more, close it. The source of the position is
 * left for the caller to say, it knows the peer.
 */
export function decodeGetPagesRequest(view: DataView, offset: number, into: GetPagesRequest): void {
  const type = view.getUint32(offset + TYPE, true);
  if (type !== REQUEST_GET_PAGES) throw new CorruptionError(`page request type ${type}, expected ${REQUEST_GET_PAGES}`);
  if (view.getUint32(offset + ZERO, true) !== 0 || view.getUint32(offset + ZERO + 4, true) !== 0)
    throw new CorruptionError('reserved bytes of a page request are not zero');
  const lsn = readLsn(view, offset + LSN);
  if (!Number.isSafeInteger(lsn)) throw new CorruptionError('the LSN of a page request lies at or beyond 2^53');
  into.id = view.getUint32(offset + ID, true);
  into.lsn = lsn;
  into.spc = view.getUint32(offset + SPC, true);
  into.db = view.getUint32(offset + DB, true);
  into.rel = view.getUint32(offset + REL, true);
  into.fork = view.getUint32(offset + FORK, true);
  into.block = view.getUint32(offset + BLOCK, true);
  into.count = view.getUint32(offset + COUNT, true);
  if (into.count < 1 || into.count > PAGES_PER_REQUEST_MAX)
    throw new CorruptionError(`a page request for ${into.count} pages, expected 1 to ${PAGES_PER_REQUEST_MAX}`);
  if (into.fork > 3) throw new CorruptionError(`a page request for fork ${into.fork}, expected 0 to 3`);
  if (into.block + into.count > 0xffff_ffff)
    throw new CorruptionError(
      `a page request for ${into.count} pages from block ${into.block}, beyond the last block there can be`,
    );
}
