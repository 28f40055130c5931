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
