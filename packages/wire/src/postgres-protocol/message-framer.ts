import { PostgresProtocolError } from './errors.ts';

/**
 * Takes one message of the protocol: its type byte and where its payload lies. `bytes` and `view` cover the same buffer and are only borrowed: they are
 * valid until the call returns.
 */
export type MessageHandler = (type: number, bytes: Uint8Array, view: DataView, offset: number, length: number) => void;

/** Type byte u8 and length i32, the length counting itself. PG: protocol.sgml, "Message Formats". */
const HEADER = 5;

/**
 * Cuts a byte stream into the messages of PostgreSQL's protocol version 3. A message that lies whole in a chunk is handed over in place; one that spans chunks is
 * assembled in a buffer that is reused and grows no faster than bytes arrive.
 */
export class MessageFramer {
  readonly #lengthMax: number;
  readonly #onMessage: MessageHandler;
  readonly #waiting: Uint8Array[] = [];
  #paused = false;
  #draining = false;
  #assembly = new Uint8Array(16 * 1024);
  #assemblyView = new DataView(this.#assembly.buffer);
  #assembled = 0;

  /** @param lengthMax bound on the payload of one message; a longer one is a protocol violation. Unit: bytes */
  constructor(lengthMax: number, onMessage: MessageHandler) {
    this.#lengthMax = lengthMax;
    this.#onMessage = onMessage;
  }

  /** Bytes that arrived and were not handed over yet. */
  get bufferedBytes(): number {
    let sum = this.#assembled;
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

  #drain(): void {
    if (this.#draining) return; // the handler paused and resumed within one call: the loop below goes on by itself
    this.#draining = true;
    try {
      while (!this.#paused) {
        const chunk = this.#waiting[0];
        if (chunk === undefined) return;
        const used = this.#assembled > 0 ? this.#continueAssembly(chunk) : this.#handOver(chunk);
        if (used === chunk.length) this.#waiting.shift();
        else this.#waiting[0] = chunk.subarray(used);
      }
    } finally {
      this.#draining = false;
    }
  }

  #payloadLength(length: number): number {
    if (length < 4 || length - 4 > this.#lengthMax)
      throw new PostgresProtocolError(
        'protocol-violation',
        `a message of ${length} bytes was announced, at most ${this.#lengthMax} are allowed`,
      );
    return length - 4;
  }

  /** Messages that lie whole in `chunk`; what is left begins the next assembly. Returns the bytes used. */
  #handOver(chunk: Uint8Array): number {
    const view = new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    let offset = 0;
    while (!this.#paused && offset < chunk.length) {
      const available = chunk.length - offset;
      const whole =
        available >= HEADER ? HEADER + this.#payloadLength(view.getInt32(offset + 1, false)) : Number.POSITIVE_INFINITY;
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
  #continueAssembly(chunk: Uint8Array): number {
    let used = 0;
    if (this.#assembled < HEADER) {
      used = Math.min(HEADER - this.#assembled, chunk.length);
      this.#append(chunk, 0, used);
      if (this.#assembled < HEADER) return used;
    }
    const whole = HEADER + this.#payloadLength(this.#assemblyView.getInt32(1, false));
    const more = Math.min(whole - this.#assembled, chunk.length - used);
    this.#append(chunk, used, more);
    used += more;
    if (this.#assembled === whole) {
      this.#assembled = 0;
      this.#onMessage(this.#assemblyView.getUint8(0), this.#assembly, this.#assemblyView, HEADER, whole - HEADER);
    }
    return used;
  }

  #append(chunk: Uint8Array, offset: number, length: number): void {
    const needed = this.#assembled + length;
    if (needed > this.#assembly.length) {
      const larger = new Uint8Array(Math.max(needed, Math.min(this.#assembly.length * 2, this.#lengthMax + HEADER)));
      larger.set(this.#assembly.subarray(0, this.#assembled));
      this.#assembly = larger;
      this.#assemblyView = new DataView(larger.buffer);
    }
    this.#assembly.set(
      offset === 0 && length === chunk.length ? chunk : chunk.subarray(offset, offset + length),
      this.#assembled,
    );
    this.#assembled = needed;
  }
}
