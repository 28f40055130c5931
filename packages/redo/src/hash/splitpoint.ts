// Buckets are allocated in groups that double their number; from the tenth on a group is allocated in four phases. A splitpoint is one allocation.
// PG 15-18: hash.h, hashutil.c
const GROUPS_WITH_ONE_PHASE = 10;
const PHASE_BITS = 2;
const PHASE_MASK = (1 << PHASE_BITS) - 1;

/** The splitpoint with which there are `buckets` buckets, 1 to 2^30. PG: _hash_spareindex(). */
export function splitpointOf(buckets: number): number {
  const group = 32 - Math.clz32(buckets - 1);
  if (group < GROUPS_WITH_ONE_PHASE) return group;
  const before = GROUPS_WITH_ONE_PHASE + ((group - GROUPS_WITH_ONE_PHASE) << PHASE_BITS);
  return before + (((buckets - 1) >>> (group - (PHASE_BITS + 1))) & PHASE_MASK);
}

/** How many buckets there are with a splitpoint. PG: _hash_get_totalbuckets(). */
export function bucketsUpTo(splitpoint: number): number {
  if (splitpoint < GROUPS_WITH_ONE_PHASE) return 1 << splitpoint;
  const group = GROUPS_WITH_ONE_PHASE + ((splitpoint - GROUPS_WITH_ONE_PHASE) >> PHASE_BITS);
  const phases = ((splitpoint - GROUPS_WITH_ONE_PHASE) & PHASE_MASK) + 1;
  const half = 1 << (group - 1);
  return half + (half >> PHASE_BITS) * phases;
}
