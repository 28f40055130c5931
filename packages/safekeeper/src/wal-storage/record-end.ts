import { assert, CorruptionError, type Lsn } from '@zenith/base';
import type { TimelineIdentity } from '@zenith/consensus';
import { PG_MAJORS, WalRecord, WalStreamDecoder, type PgMajor, type WalEnd } from '@zenith/pg-format';

/** The version of a timeline's WAL. @throws AssertionError for any other: a timeline of it is never created */
export function pgMajorOf(identity: TimelineIdentity): PgMajor {
  const major = PG_MAJORS.find((known) => known === identity.pgMajor);
  assert(major !== undefined, 'a timeline has a known PostgreSQL version');
  return major;
}

/** Finds, in WAL handed in byte by byte, where the last whole record ends. The same decoder runs when WAL is received and when its end is looked for after a start. */
export class RecordEnd {
  readonly #identity: TimelineIdentity;
  readonly #record = new WalRecord();
  #decoder: WalStreamDecoder;

  /** @param startLsn a record boundary */
  constructor(identity: TimelineIdentity, startLsn: Lsn) {
    this.#identity = identity;
    this.#decoder = this.#newDecoder(startLsn);
  }

  /** End of the last whole record handed in. */
  get lsn(): Lsn {
    return this.#decoder.position;
  }

  /** Why nothing can follow {@link lsn}, once that is so. */
  get end(): WalEnd | undefined {
    return this.#decoder.end;
  }

  /** Takes the next bytes, only borrowed, as far as they are valid WAL. */
  scan(bytes: Uint8Array): void {
    this.#decoder.push(bytes);
    while (this.#decoder.next(this.#record));
  }

  /** Takes the next bytes, which must be valid WAL. @returns {@link lsn}. @throws CorruptionError when they are not; {@link restart} is needed then */
  push(bytes: Uint8Array): Lsn {
    this.scan(bytes);
    const { end } = this.#decoder;
    if (end !== undefined)
      throw new CorruptionError(`the WAL is not valid: ${end.message}`, { source: 'WAL stream', offset: end.lsn });
    return this.#decoder.position;
  }

  /** Begins anew at `lsn`, a record boundary. */
  restart(lsn: Lsn): void {
    this.#decoder = this.#newDecoder(lsn);
  }

  #newDecoder(lsn: Lsn): WalStreamDecoder {
    return new WalStreamDecoder(pgMajorOf(this.#identity), lsn, {
      systemId: this.#identity.systemId,
      segmentSize: this.#identity.segmentSize,
    });
  }
}
