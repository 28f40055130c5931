/** What may be wrong with a safekeeper. The last four are its links to compute and pageserver; see LinkState. */
export const SAFEKEEPER_FAULTS = [
  'none',
  'killed',
  'stopped',
  'cut',
  'requests-lost',
  'answers-lost',
  'refused',
] as const;

/** What may happen to the compute: to its supervisor, which is the proposer, to the stream of WAL that this reads, to the postmaster, or to backends. A supervisor that is `replaced` is killed and started again while the other faults last. */
export const COMPUTE_FAULTS = [
  'none',
  'supervisor killed',
  'supervisor replaced',
  'supervisor stopped',
  'supervisor killed, backends stopped',
  'the stream of WAL canceled',
  'postmaster killed',
  'postmaster stopped',
  'a backend killed',
  'backends stopped',
] as const;

/** What may be wrong with the pageserver. */
export const PAGESERVER_FAULTS = [
  'none',
  'killed',
  'stopped',
  'cut from the compute',
  'cut from the safekeepers',
] as const;

/** One of {@link SAFEKEEPER_FAULTS}. */
export type SafekeeperFault = (typeof SAFEKEEPER_FAULTS)[number];
/** One of {@link COMPUTE_FAULTS}. */
export type ComputeFault = (typeof COMPUTE_FAULTS)[number];
/** One of {@link PAGESERVER_FAULTS}. */
export type PageserverFault = (typeof PAGESERVER_FAULTS)[number];

/** What is wrong at one time. */
export interface Combination {
  /** Of safekeepers 1, 2 and 3. */
  readonly safekeepers: readonly SafekeeperFault[];
  readonly compute: ComputeFault;
  readonly pageserver: PageserverFault;
}

/** True when a majority of the safekeepers is well. */
export function leavesQuorum({ safekeepers }: Combination): boolean {
  return safekeepers.filter((fault) => fault === 'none').length * 2 > safekeepers.length;
}

/** True when commits must go on, or come back by themselves, while the faults last. */
export function goesOn(combination: Combination): boolean {
  if (!leavesQuorum(combination)) return false;
  switch (combination.compute) {
    case 'none':
    case 'the stream of WAL canceled':
      // what the transfers touch is local once they have run
      return true;
    case 'supervisor replaced':
    case 'postmaster killed':
    case 'a backend killed':
      // a compute that is built anew needs the pageserver
      return combination.pageserver === 'none';
    default:
      return false;
  }
}

/** One line for people. */
export function describe({ safekeepers, compute, pageserver }: Combination): string {
  const parts = [
    ...safekeepers.map((fault, index) => (fault === 'none' ? '' : `safekeeper ${index + 1} ${fault}`)),
    compute === 'none' ? '' : compute,
    pageserver === 'none' ? '' : `pageserver ${pageserver}`,
  ].filter((part) => part !== '');
  return parts.length === 0 ? 'nothing' : parts.join(', ');
}
