import { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

/**
 * Node's own way of reading into memory that is kept: the option `onread` of its sockets. Without it every read, be it of 60 bytes, is put into 64 KiB made for it, and what is done with: making, page faults and the collecting of garbage
 * took more of a safekeeper's time than the bytes did.
 */
export interface ReadInto {
  /** Where the next read goes. */
  buffer(): Uint8Array;
  /** So many bytes were read there. @returns true: go on reading */
  callback(count: number): boolean;
}

/** Read from one connection at a stretch. Unit: bytes. */
const TURN_LENGTH = 512 * 1024;

/**
 * `into`, for stretches of half a megabyte. libuv reads a connection that has more up to 32 times in a row, which with buffers of half a megabyte is sixteen of them: 25 ms in which nothing else is looked at, neither other connections nor what the
 * disk has done, so that a safekeeper that took in bulk synced when all of it had come and not meanwhile.
 * @param socket that is read so; asked for at the end of a stretch only
 */
export function inTurns(into: ReadInto, socket: () => Socket): ReadInto {
  let length = 0;
  const goOn = (): void => {
    const reader = socket();
    if (!reader.destroyed && !reader.isPaused()) reader.resume();
  };
  return {
    buffer: () => into.buffer(),
    callback(count) {
      if (!into.callback(count)) return false;
      length += count;
      if (length < TURN_LENGTH) return true;
      length = 0;
      setImmediate(goOn);
      return false;
    },
  };
}

/**
 * A socket that a server has just accepted, made to read as `into` says. Node has the option for clients only, so the connection is handed over to a socket made with it, by the field that holds it, which is not part of Node's documented interface.
 * The accepted one counts as open, and closes, together with the one returned.
 * @returns undefined where that cannot be done: for TLS, and should Node keep connections otherwise one day. `accepted` is as it was then
 */
export function adopt(accepted: Socket, into: ReadInto): Socket | undefined {
  const holder = accepted as Socket & { _handle?: unknown };
  const handle = holder._handle;
  if (accepted instanceof TLSSocket || typeof handle !== 'object' || handle === null || !('readStop' in handle))
    return undefined;
  holder._handle = null;
  const options: { readonly handle: object; readonly onread: ReadInto } = { handle, onread: into };
  const socket = new Socket(options as object);
  socket.once('close', () => accepted.destroy());
  accepted.once('close', () => socket.destroy());
  return socket;
}
