/**
 * An expected failure: something a caller or a user can act on. `code` comes from the closed, documented union of the
 * package that throws it.
 */
export class ZenithError<Code extends string = string> extends Error {
  override readonly name: string = 'ZenithError';
  /** Which failure this is; stable, for programs. */
  readonly code: Code;

  /** @param message one sentence for a person: what is wrong and what to do about it */
  constructor(code: Code, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

/** Where bad bytes were found. */
export interface CorruptionPosition {
  /** The file, record or peer the bytes came from. */
  readonly source: string;
  /** Offset of the bad bytes in it. Unit: bytes. */
  readonly offset?: number;
}

/** Bytes from disk or from the network that are not what they must be. Never an assertion, never a silent zero page. */
export class CorruptionError extends Error {
  override readonly name = 'CorruptionError';
  /** Where it was, as far as it is known where it was thrown. */
  readonly position: CorruptionPosition | undefined;

  /** @param message what was expected and what was there */
  constructor(message: string, position?: CorruptionPosition, options?: { readonly cause?: unknown }) {
    const where =
      position === undefined
        ? ''
        : ` (${position.source}${position.offset === undefined ? '' : ` at byte ${position.offset}`})`;
    super(message + where, options);
    this.position = position;
  }
}
