/** What the system says when a disk, or what a user may have of it, is used up, and when it is mounted read-only, which Linux does by itself after an error. */
const CODES: readonly unknown[] = ['ENOSPC', 'EDQUOT', 'EROFS'];

/** True when an error, or what caused it, is that the disk takes no writes for now: unlike other failures of a disk this one passes, and nothing that was written is in doubt. */
export function writesAreRefused(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) if ('code' in at && CODES.includes(at.code)) return true;
  return false;
}
