/** The safekeepers, by their ids. */
const SAFEKEEPERS = [1, 2, 3] as const;

/** The computes: one on the first timeline, one on a branch. */
export const COMPUTES = ['main', 'branch'] as const;

/** What may be wrong with a safekeeper. The last four are the links that lead to it; see LinkState. */
const SAFEKEEPER_FAULTS = ['none', 'killed', 'stopped', 'cut', 'requests-lost', 'answers-lost', 'refused'] as const;

/**
 * What may happen to a compute: to its supervisor, which is the proposer, to the stream of WAL that this reads, to the postmaster, to backends, or to its links. A supervisor that is `replaced` is killed and started again while the other
 * faults last.
 */
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
  'cut from the pageserver',
  'cut from the safekeepers',
] as const;

/** What may be wrong with the pageserver. */
const PAGESERVER_FAULTS = ['none', 'killed', 'stopped', 'cut from the safekeepers'] as const;

/** Who can have a fault, and which faults that are. */
export const POSSIBLE_FAULTS: readonly { readonly who: string; readonly faults: readonly string[] }[] = [
  ...SAFEKEEPERS.map((id) => ({ who: `safekeeper ${id}`, faults: SAFEKEEPER_FAULTS })),
  ...COMPUTES.map((name) => ({ who: `compute of ${name}`, faults: COMPUTE_FAULTS })),
  { who: 'pageserver', faults: PAGESERVER_FAULTS },
];

/** Names a compute. */
export type ComputeName = (typeof COMPUTES)[number];
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
  readonly computes: Readonly<Record<ComputeName, ComputeFault>>;
  readonly pageserver: PageserverFault;
}

/** Nothing is wrong. */
export const ALL_WELL: Combination = {
  safekeepers: SAFEKEEPERS.map(() => 'none'),
  computes: { main: 'none', branch: 'none' },
  pageserver: 'none',
};

/** What may be wrong with storage, whatever happens to the computes meanwhile. */
export type StorageFaults = Pick<Combination, 'safekeepers' | 'pageserver'>;

/** Everything that may be wrong with storage, nothing too. */
export function allStorageFaults(): StorageFaults[] {
  const all: StorageFaults[] = [];
  for (const first of SAFEKEEPER_FAULTS)
    for (const second of SAFEKEEPER_FAULTS)
      for (const third of SAFEKEEPER_FAULTS)
        for (const pageserver of PAGESERVER_FAULTS) all.push({ safekeepers: [first, second, third], pageserver });
  return all;
}

/** True when a majority of the safekeepers is well. */
export function leavesQuorum({ safekeepers }: StorageFaults): boolean {
  return safekeepers.filter((fault) => fault === 'none').length * 2 > safekeepers.length;
}

/** True when commits of a compute must go on, or come back by themselves, while the faults last. */
export function goesOn(combination: Combination, name: ComputeName): boolean {
  if (!leavesQuorum(combination)) return false;
  switch (combination.computes[name]) {
    case 'none':
    case 'the stream of WAL canceled':
    case 'cut from the pageserver':
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

/** How everybody in {@link POSSIBLE_FAULTS} is, in that order, in words. */
export function partsOf({ safekeepers, computes, pageserver }: Combination): string[] {
  const faults = [...safekeepers, ...COMPUTES.map((name) => computes[name]), pageserver];
  return POSSIBLE_FAULTS.map(({ who }, index) => `${who} ${faults[index]}`);
}

/** What is wrong, as {@link partsOf}. */
export function faultsOf(combination: Combination): string[] {
  return partsOf(combination).filter((part) => !part.endsWith(' none'));
}
