/** Thrown by {@link assert}: a programmer error. The process that sees it must die; nothing may catch it to go on. */
export class AssertionError extends Error {
  override readonly name = 'AssertionError';
}

/**
 * Holds an invariant, in production too.
 * @param condition what must be true
 * @param text constant text that names the invariant
 * @throws AssertionError when it does not hold
 */
export function assert(condition: boolean, text: string): asserts condition {
  if (!condition) throw new AssertionError(text);
}

/**
 * Ends a closed union: a call that type-checks only when every case was handled.
 * @throws AssertionError when it is reached all the same
 */
export function unreachable(value: never): never {
  throw new AssertionError(`unreachable case: ${String(value)}`);
}
