import { writeSync } from 'node:fs';

/** Most lines kept while they cannot be written. Unit: bytes. */
const WAITING_BYTES_MAX = 1024 * 1024;

/**
 * Where a service writes its log, as a destination of pino's. A line that cannot be written, because the disk is full, waits for the next one, up to a bound; what is beyond it is counted, and the service goes on.
 * pino's own destination would end the process instead, and while that exits try again for ever.
 */
export class LogOutput {
  readonly #write: (bytes: Uint8Array, offset: number) => number;
  readonly #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  /** Written of the first of them. Unit: bytes. */
  #written = 0;
  #lostLines = 0;

  /** @param write writes `bytes` from `offset` on, and says how many of them; a default but for tests: standard output */
  constructor(write = (bytes: Uint8Array, offset: number): number => writeSync(1, bytes, offset)) {
    this.#write = write;
  }

  /** Writes a line, and those that wait before it. Never throws. */
  write(line: string): void {
    if (this.#lostLines > 0 && this.#drain()) {
      this.#push(`${JSON.stringify({ level: 40, lines: this.#lostLines, msg: 'lines of this log are lost' })}\n`);
      this.#lostLines = 0;
    }
    if (this.#waitingBytes > WAITING_BYTES_MAX) this.#lostLines++;
    else this.#push(line);
    this.#drain();
  }

  #push(line: string): void {
    const bytes = new TextEncoder().encode(line);
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
  }

  /** True when nothing waits any more. */
  #drain(): boolean {
    for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0]) {
      try {
        this.#written += this.#write(first, this.#written);
      } catch {
        return false; // there is nowhere to say it: the log is what cannot be written
      }
      if (this.#written < first.length) continue;
      this.#waiting.shift();
      this.#waitingBytes -= first.length;
      this.#written = 0;
    }
    return true;
  }
}
