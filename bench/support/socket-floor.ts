import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';

const SINK = fileURLToPath(new URL('./sink.ts', import.meta.url));

/** What one Node process can send to another that throws it away: no service that takes bytes over a socket takes more. */
export class SocketFloor {
  readonly #child: ChildProcess;
  readonly #socket: Socket;
  readonly #roundBytes: number;

  private constructor(child: ChildProcess, socket: Socket, roundBytes: number) {
    this.#child = child;
    this.#socket = socket;
    this.#roundBytes = roundBytes;
  }

  /** @param roundBytes what {@link measure} sends each time. Unit: bytes */
  static async open(roundBytes: number): Promise<SocketFloor> {
    const child = spawn(process.execPath, [...process.execArgv, SINK, String(roundBytes)], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    const [port] = (await once(child, 'message')) as [number];
    const socket = connect({ host: '127.0.0.1', port, noDelay: true });
    await once(socket, 'connect');
    return new SocketFloor(child, socket, roundBytes);
  }

  /** Sends the round in pieces of `pieceBytes`. @returns MB/s */
  async measure(pieceBytes: number): Promise<number> {
    const piece = Buffer.alloc(pieceBytes, 1);
    const answered = once(this.#socket, 'data');
    const began = performance.now();
    for (let sent = 0; sent < this.#roundBytes; sent += pieceBytes)
      if (!this.#socket.write(piece)) await once(this.#socket, 'drain');
    await answered;
    return this.#roundBytes / 1e6 / ((performance.now() - began) / 1000);
  }

  /** Ends both sides. */
  async close(): Promise<void> {
    const exited = once(this.#child, 'exit');
    this.#socket.destroy();
    await exited;
  }
}
