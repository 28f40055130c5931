/** What must never happen, happened. */
export class SafetyViolation extends Error {
  override readonly name = 'SafetyViolation';
}

/** All faults ended, and work did not go on. */
export class NoProgress extends Error {
  override readonly name = 'NoProgress';
}
