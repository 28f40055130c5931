/** Kinds of records that a compute cannot be made to write, and why. */
const REASONS: Readonly<Record<string, string>> = {
  'XLOG/NOOP': 'no code of any version writes it',
  'XLOG/FPW_CHANGE': 'written when `full_page_writes` changes, which on a compute is always off',
  'XLOG/END_OF_RECOVERY': 'written at the end of recovery, which a compute never does',
  'XLOG/OVERWRITE_CONTRECORD': 'written at the end of recovery, which a compute never does',
  'GIST/ASSIGN_LSN': 'written under `wal_level=minimal` only, which a compute refuses',
  'COMMIT_TS/SETTS': 'no code of any version writes it',
};

/** Why no workload can make a compute write that kind of record; undefined when nothing is known against it. */
export function unreachableReason(name: string): string | undefined {
  return REASONS[name];
}
