import type { Socket } from 'node:net';
import { PostgresProtocolError } from './errors.ts';
import type { MessageFramer } from './message-framer.ts';
import { MessageType, encodeMessage } from './messages.ts';

/** Takes the payload of one CopyData message; `bytes` and `view` are only borrowed, until the call returns. */
export type CopyDataHandler = (bytes: Uint8Array, view: DataView, offset: number, length: number) => void;

/** Up to so much a message is put together and written at once: a copy costs less than a write of several parts does, and so much Node gives from its pool. What a few commits wrote fits. Unit: bytes. */
const IN_ONE_LENGTH_MAX = 4_000;

/** What the two ends of a connection in CopyBoth mode can do. */
export class CopyBothStream {
  readonly #socket: Socket;
  readonly #framer: MessageFramer;
  #onDrain: (() => void) | undefined;
  #paused = false;

  /** Made by the client and server classes of this folder. */
  constructor(socket: Socket, framer: MessageFramer) {
    this.#socket = socket;
    this.#framer = framer;
    socket.on('drain', () => this.#onDrain?.());
  }

  /**
   * Sends one CopyData message made of `parts`. The parts are handed over: nobody may change their bytes before they are sent.
   * @returns false when the socket's buffer is full: send no more until {@link onDrain}'s callback. And when the connection is over, where nothing is sent: what is written then would take it away before its last words have left
   */
  send(...parts: readonly Uint8Array[]): boolean {
    if (!this.#socket.writable) return false;
    let length = 4;
    for (const part of parts) length += part.length;
    const inOne = length <= IN_ONE_LENGTH_MAX;
    const header = Buffer.allocUnsafe(inOne ? 1 + length : 5);
    header[0] = MessageType.copyData;
    header.writeInt32BE(length, 1);
    if (inOne) {
      let offset = 5;
      for (const part of parts) {
        header.set(part, offset);
        offset += part.length;
      }
      return this.#socket.write(header);
    }
    this.#socket.cork();
    let more = this.#socket.write(header);
    for (const part of parts) more = this.#socket.write(part);
    this.#socket.uncork();
    return more;
  }

  /** Sets what is called each time the socket's buffer has emptied after {@link send} said false. */
  onDrain(callback: () => void): void {
    this.#onDrain = callback;
  }

  /** Bytes sent that the operating system has not taken yet. */
  get unsentBytes(): number {
    return this.#socket.writableLength;
  }

  /** Stops the handler from being called, and lets the peer's sending stall; {@link resume} goes on. */
  pause(): void {
    this.#paused = true;
    this.#framer.pause();
    this.#socket.pause();
  }

  /** Goes on after {@link pause}. */
  resume(): void {
    this.#paused = false;
    this.#handOver();
    // What was handed over may have brought another pause().
    if (!this.#paused && !this.#socket.destroyed) this.#socket.resume();
  }

  /**
   * Hands over what came together with the answer that began the copy, unless {@link pause} was called since. For the client class: whoever asked for the copy must hold the stream before its handler is called.
   */
  begin(): void {
    if (!this.#paused) this.#handOver();
  }

  #handOver(): void {
    try {
      this.#framer.resume();
    } catch (error) {
      this.#socket.destroy(
        error instanceof Error ? error : new PostgresProtocolError('protocol-violation', String(error)),
      );
    }
  }

  /** Tells the peer that this side sends no more (CopyDone). */
  end(): void {
    this.#socket.write(encodeMessage(MessageType.copyDone));
  }
}
