import type { Socket } from 'node:net';
import { PAGE_LENGTH } from '@zenith/wire';

/** Size of a buffer that answers are gathered in. Unit: bytes. */
const GATHER_BYTES = 256 * 1024;

/** Size of a buffer for one long answer: the longest there is, 128 pages, and room to the next 4 KiB. Unit: bytes. */
const LONG_BYTES = 128 * PAGE_LENGTH + 4096;

/** Most buffers that are kept for later while nobody uses them: 16 MiB … */
const KEPT_MAX = 64;

/** … and of the long ones: 8 MiB. */
const KEPT_LONG_MAX = 8;

/**
 * Buffers that answers are gathered in, shared by all connections: an idle connection holds none. Long ones are kept too: a scan asks for nothing else, and a new MiB for each answer costs more in
 * page faults and collections than sending it does.
 */
export class ResponseBufferPool {
  readonly #kept: Buffer[] = [];
  readonly #keptLong: Buffer[] = [];

  /** A buffer of at least `length` bytes with an ArrayBuffer of its own; its content is undefined. The caller gives it back. */
  take(length: number): Buffer {
    if (length <= GATHER_BYTES) return this.#kept.pop() ?? Buffer.allocUnsafeSlow(GATHER_BYTES);
    if (length <= LONG_BYTES) return this.#keptLong.pop() ?? Buffer.allocUnsafeSlow(LONG_BYTES);
    return Buffer.allocUnsafeSlow(length);
  }

  /** Takes a buffer back that nobody reads or writes any more. */
  give(buffer: Buffer): void {
    if (buffer.length === GATHER_BYTES) {
      if (this.#kept.length < KEPT_MAX) this.#kept.push(buffer);
    } else if (buffer.length === LONG_BYTES && this.#keptLong.length < KEPT_LONG_MAX) {
      this.#keptLong.push(buffer);
    }
  }
}

/** Gathers answers so that several leave in one write. A buffer that was written belongs to the socket until it has left, then it goes back to the pool. */
export class ResponseBuffer {
  readonly #pool: ResponseBufferPool;
  /** The buffer being filled; undefined when nothing is gathered. */
  #buffer: Buffer | undefined;
  #view: DataView | undefined;
  #used = 0;
  /** Full buffers before it, with how much of each is used. */
  readonly #full: { readonly buffer: Buffer; readonly used: number }[] = [];
  #fullLength = 0;

  constructor(pool: ResponseBufferPool) {
    this.#pool = pool;
  }

  /** Bytes gathered and not yet written. */
  get length(): number {
    return this.#fullLength + this.#used;
  }

  /** The buffer that the last {@link reserve} was about. */
  get bytes(): Buffer {
    return this.#buffer as Buffer;
  }

  /** A view over exactly {@link bytes}. */
  get view(): DataView {
    return this.#view as DataView;
  }

  /** Makes room for `length` bytes and says where in {@link bytes} they go. They count only after {@link commit}. */
  reserve(length: number): number {
    if (this.#buffer === undefined || this.#used + length > this.#buffer.length) {
      this.#retire();
      this.#buffer = this.#pool.take(length);
      this.#view = new DataView(this.#buffer.buffer, this.#buffer.byteOffset, this.#buffer.length);
    }
    return this.#used;
  }

  /** Keeps the first `length` bytes that were reserved last. */
  commit(length: number): void {
    this.#used += length;
  }

  /** Hands everything gathered to the socket. */
  writeTo(socket: Socket): void {
    this.#retire();
    if (this.#full.length === 0) return;
    socket.cork();
    for (const { buffer, used } of this.#full) socket.write(buffer.subarray(0, used), () => this.#pool.give(buffer));
    socket.uncork();
    this.#full.length = 0;
    this.#fullLength = 0;
  }

  #retire(): void {
    if (this.#buffer === undefined) return;
    if (this.#used === 0) {
      this.#pool.give(this.#buffer);
    } else {
      this.#full.push({ buffer: this.#buffer, used: this.#used });
      this.#fullLength += this.#used;
    }
    this.#buffer = undefined;
    this.#view = undefined;
    this.#used = 0;
  }
}
