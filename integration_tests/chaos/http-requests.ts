/** Longest head of a request. Unit: bytes. */
const HEAD_BYTES_MAX = 64 * 1024;

/** A request of HTTP/1.1, as far as its head says. */
export interface HttpRequest {
  readonly method: string;
  /** With the query. */
  readonly path: string;
  /** Unit: bytes. */
  readonly bodyBytes: number;
}

/** What comes of a piece of a connection's bytes. */
interface RequestPiece {
  readonly request: HttpRequest;
  /** Where the piece ends that was given. Unit: bytes. */
  readonly end: number;
  /** How much of the body is there with it. Unit: bytes. */
  readonly bodySeen: number;
}

/** Follows the requests on one connection, one after the other; bodies have a length (no chunked encoding). */
export class HttpRequests {
  #head = '';
  #request: HttpRequest | undefined;
  #bodySeen = 0;

  /** Splits what comes next: a piece ends with the head of a request, with its body, or with the bytes. @throws Error when it is no HTTP */
  *pieces(bytes: Uint8Array): Generator<RequestPiece> {
    for (let at = 0; at < bytes.length;) {
      if (this.#request === undefined) {
        const before = this.#head.length;
        const text =
          this.#head + Buffer.from(bytes.buffer, bytes.byteOffset + at, bytes.length - at).toString('latin1');
        const end = text.indexOf('\r\n\r\n');
        if (end < 0) {
          if (text.length > HEAD_BYTES_MAX) throw new Error('the head of a request does not end');
          this.#head = text;
          return;
        }
        at += end + 4 - before;
        this.#head = '';
        this.#request = requestOf(text.slice(0, end));
        this.#bodySeen = 0;
      } else {
        const length = Math.min(this.#request.bodyBytes - this.#bodySeen, bytes.length - at);
        this.#bodySeen += length;
        at += length;
      }
      const request = this.#request;
      yield { request, end: at, bodySeen: this.#bodySeen };
      if (this.#bodySeen === request.bodyBytes) this.#request = undefined;
    }
  }
}

function requestOf(head: string): HttpRequest {
  const [, method, path] = /^([A-Z]+) (\S+) HTTP\/1\.1\r\n/.exec(head) ?? [];
  if (method === undefined || path === undefined) throw new Error(`this is no request: ${head.slice(0, 80)}`);
  if (/^transfer-encoding:/im.test(head)) throw new Error(`${method} ${path} has a body without a length`);
  return { method, path, bodyBytes: Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0) };
}
