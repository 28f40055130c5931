import { PostgresProtocolError } from './errors.ts';

/**
 * Takes one message of the protocol: its type byte and where its payload lies. `bytes` and `view` cover the same buffer and are only borrowed: they are
 * valid until the call returns.
 */
export type MessageHandler = (type: number, bytes: Uint8Array, view: DataView, offset: number, length: number) => void;

/** Type byte u8 and length i32, the length counting itself. PG: protocol.sgml, "Message Formats". */
const HEADER = 5;

/** First size of the buffer. Unit: bytes. */
const BUFFER_INITIAL = 16 * 1024;

/** Up to this size the buffer grows rather than have more than a quarter of it moved to its front; beyond, only for a message that does not fit. Unit: bytes. */
const BUFFER_GENEROUS_MAX = 512 * 1024;

/**
 * Cuts a byte stream into the messages of PostgreSQL's protocol version 3. Bytes come in either way: read by the socket itself into {@link space}, where whole messages are handed over in place, or as chunks
 * ({@link push}), of which a message that lies whole in one is handed over there. The buffer is reused, and grows no faster than bytes arrive.
 *
 *   buffer:  | handed over | arrived | space |
 *            0           begin      end
 */
export class MessageFramer {
  readonly #lengthMax: number;
  readonly #onMessage: MessageHandler;
  #buffer = new Uint8Array(BUFFER_INITIAL);
  #view = new DataView(this.#buffer.buffer);
  #begin = 0;
  #end = 0;
  #space = this.#buffer.subarray();
  /** Chunks that wait for {@link resume}. */
  readonly #waiting: Uint8Array[] = [];
  #paused = false;
  #draining = false;

  /** @param lengthMax bound on the payload of one message; a longer one is a protocol violation. Unit: bytes */
  constructor(lengthMax: number, onMessage: MessageHandler) {
    this.#lengthMax = lengthMax;
    this.#onMessage = onMessage;
  }

  /** Bytes that arrived and were not handed over yet. */
  get bufferedBytes(): number {
    let sum = this.#end - this.#begin;
    for (const chunk of this.#waiting) sum += chunk.length;
    return sum;
  }

  /** Hands over nothing more until {@link resume}, not even what has arrived already. */
  pause(): void {
    this.#paused = true;
  }

  /** Goes on handing over. @throws PostgresProtocolError as {@link push} does */
  resume(): void {
    this.#paused = false;
    this.#drain();
  }

  /**
   * Takes the next bytes of the stream and hands over every message that is whole. Owns `chunk` from now on.
   * @throws PostgresProtocolError `protocol-violation` when a length is impossible, and whatever the handler throws
   */
  push(chunk: Uint8Array): void {
    this.#waiting.push(chunk);
    this.#drain();
  }

  /** Where the next bytes of the stream may be read to, at least an eighth of the buffer; the same object while the place is the same. It stays the place until {@link received}, whatever {@link pause} and {@link resume} do meanwhile. */
  get space(): Uint8Array {
    // Chunks that wait come before what is read there, and must not be put there later.
    if (this.#waiting.length > 0) for (const chunk of this.#waiting.splice(0)) this.#append(chunk, 0, chunk.length);
    if (this.#begin === this.#end) this.#begin = this.#end = 0;
    this.#makeSpace(this.#buffer.length >> 3);
    if (this.#space.buffer !== this.#buffer.buffer || this.#space.byteOffset !== this.#end)
      this.#space = this.#buffer.subarray(this.#end);
    return this.#space;
  }

  /** The first `count` bytes of {@link space} have been read: hands over every message that is whole. @throws as {@link push} */
  received(count: number): void {
    this.#end += count;
    this.#drain();
  }

  #drain(): void {
    if (this.#draining) return; // the handler paused and resumed within one call: the loop below goes on by itself
    this.#draining = true;
    try {
      this.#handOverBuffer();
      while (!this.#paused) {
        const chunk = this.#waiting[0];
        if (chunk === undefined) return;
        const used = this.#begin < this.#end ? this.#continueMessage(chunk) : this.#handOver(chunk);
        if (used === chunk.length) this.#waiting.shift();
        else this.#waiting[0] = chunk.subarray(used);
      }
    } finally {
      this.#draining = false;
    }
  }

  /** Length of a message, its header included. @throws PostgresProtocolError */
  #wholeLength(view: DataView, offset: number): number {
    const length = view.getInt32(offset + 1, false);
    if (length < 4 || length - 4 > this.#lengthMax)
      throw new PostgresProtocolError(
        'protocol-violation',
        `a message of ${length} bytes was announced, at most ${this.#lengthMax} are allowed`,
      );
    return 1 + length;
  }

  /** Messages that lie whole in the buffer. */
  #handOverBuffer(): void {
    while (!this.#paused) {
      const begin = this.#begin;
      const available = this.#end - begin;
      if (available < HEADER) break;
      const whole = this.#wholeLength(this.#view, begin);
      if (available < whole) break;
      this.#begin += whole;
      this.#onMessage(this.#buffer[begin] as number, this.#buffer, this.#view, begin + HEADER, whole - HEADER);
    }
  }

  /** Messages that lie whole in `chunk`; what is left goes to the buffer. Returns the bytes used. */
  #handOver(chunk: Uint8Array): number {
    const view = new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    let offset = 0;
    while (!this.#paused && offset < chunk.length) {
      const available = chunk.length - offset;
      const whole = available >= HEADER ? this.#wholeLength(view, offset) : Number.POSITIVE_INFINITY;
      if (available < whole) {
        this.#append(chunk, offset, available);
        return chunk.length;
      }
      const begin = offset;
      offset += whole;
      this.#onMessage(view.getUint8(begin), chunk, view, begin + HEADER, whole - HEADER);
    }
    return offset;
  }

  /** Completes the message that earlier chunks began, as far as `chunk` reaches. Returns the bytes used. */
  #continueMessage(chunk: Uint8Array): number {
    let used = 0;
    if (this.#end - this.#begin < HEADER) {
      used = Math.min(HEADER - (this.#end - this.#begin), chunk.length);
      this.#append(chunk, 0, used);
      if (this.#end - this.#begin < HEADER) return used;
    }
    const missing = this.#wholeLength(this.#view, this.#begin) - (this.#end - this.#begin);
    const more = Math.min(missing, chunk.length - used);
    this.#append(chunk, used, more);
    this.#handOverBuffer();
    return used + more;
  }

  #append(chunk: Uint8Array, offset: number, length: number): void {
    if (this.#begin === this.#end) this.#begin = this.#end = 0;
    this.#makeSpace(length);
    this.#buffer.set(
      offset === 0 && length === chunk.length ? chunk : chunk.subarray(offset, offset + length),
      this.#end,
    );
    this.#end += length;
  }

  /** Makes room for `length` bytes behind what has arrived. */
  #makeSpace(length: number): void {
    const size = this.#buffer.length;
    if (size - this.#end >= length) return;
    const arrived = this.#end - this.#begin;
    if (arrived + length > size || (arrived * 4 > size && size < BUFFER_GENEROUS_MAX)) {
      const larger = new Uint8Array(Math.max(arrived + length, 2 * size));
      larger.set(this.#buffer.subarray(this.#begin, this.#end));
      this.#buffer = larger;
      this.#view = new DataView(larger.buffer);
    } else this.#buffer.copyWithin(0, this.#begin, this.#end);
    this.#begin = 0;
    this.#end = arrived;
  }
}
