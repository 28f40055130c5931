import { AssertionError, type Lsn } from '@zenith/base';
import { WalRecord, WalStreamDecoder } from '@zenith/pg-format';
import { PageserverError } from '../errors.ts';
import type { Pacer } from './pacer.ts';
import type { IngestTarget, WalOptions } from './target.ts';
import type { WalIngest } from './wal-ingest.ts';

/** The clock is asked once in so many records, which take about 10 µs. */
const RECORDS_PER_PAUSE_CHECK = 8;

/** Applies one stream of WAL to a timeline: bytes in, values out, in slices. A new stream, after a lost connection, takes a new applier. */
export class WalApplier {
  readonly #target: IngestTarget;
  readonly #ingest: WalIngest;
  readonly #pacer: Pacer;
  readonly #decoder: WalStreamDecoder;
  readonly #record = new WalRecord();

  /** The stream begins at the timeline's last record. */
  constructor(target: IngestTarget, ingest: WalIngest, pacer: Pacer, options: WalOptions = {}) {
    this.#target = target;
    this.#ingest = ingest;
    this.#pacer = pacer;
    this.#decoder = new WalStreamDecoder(target.pgMajor, target.lastRecordLsn, options);
  }

  /** LSN of the byte that the next {@link apply} must begin with. */
  get nextByteLsn(): Lsn {
    return this.#decoder.nextByteLsn;
  }

  /**
   * Decodes `bytes` and ingests every record that is whole; they are borrowed until the promise settles, and only one call may be under way. When it throws, the target is at the end of the last record before what is wrong, and nothing else may be applied.
   * @throws PageserverError `wal-source-failed` when the bytes are not valid WAL: nothing of what is invalid was ingested, another source may do better
   * @throws CorruptionError when a valid record cannot be understood: the timeline cannot be followed any further
   */
  async apply(bytes: Uint8Array): Promise<void> {
    const decoder = this.#decoder;
    const record = this.#record;
    let untilCheck = RECORDS_PER_PAUSE_CHECK;
    decoder.push(bytes);
    while (decoder.next(record)) {
      let work: Promise<void> | undefined;
      try {
        work = this.#ingest.ingest(record);
        if (work !== undefined) await work;
      } catch (error) {
        if (!(error instanceof AssertionError)) this.#ingest.abandon();
        throw error;
      }
      if (--untilCheck > 0 && work === undefined) continue;
      untilCheck = RECORDS_PER_PAUSE_CHECK;
      const pause = this.#pacer.pause();
      if (pause === undefined) continue;
      this.#target.advance(decoder.position);
      await pause;
    }
    if (decoder.position > this.#target.lastRecordLsn) this.#target.advance(decoder.position);
    if (decoder.end !== undefined)
      throw new PageserverError('wal-source-failed', `invalid WAL: ${decoder.end.message}`);
  }
}
