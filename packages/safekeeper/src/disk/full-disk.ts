/** What the system says when a disk, or what a user may have of it, is used up. */
const CODES: readonly unknown[] = ['ENOSPC', 'EDQUOT'];

/** True when an error, or what caused it, is that the disk has no room: unlike other failures of a disk this one passes. */
export function isDiskFull(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) if ('code' in at && CODES.includes(at.code)) return true;
  return false;
}
