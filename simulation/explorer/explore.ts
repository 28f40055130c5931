import { Fingerprints } from './fingerprints.ts';
import { Violation } from './violation.ts';
import { World, type Action, type ActionType, type Bounds } from './world.ts';

/** What an exploration found. */
export interface Exploration {
  readonly bounds: Bounds;
  /** Different states, after symmetry. */
  readonly states: number;
  /** Steps tried from them. */
  readonly transitions: number;
  /** Longest shortest way to a state. */
  readonly depth: number;
  /** Steps that the production code took; the others were the same ones again. */
  readonly stepsTaken: number;
  /** How often each kind of step led somewhere. */
  readonly actions: Readonly<Record<ActionType, number>>;
  /** Most entries acknowledged in any state. */
  readonly committedMax: number;
  /** Most terms elected in any state. */
  readonly electedMax: number;
  /** True when nothing within the bounds is left. */
  readonly complete: boolean;
  /** The invariant that broke, and how to get there. */
  readonly violation: { readonly message: string; readonly path: readonly string[] } | null;
}

/** What a caller may ask for. */
export interface ExploreOptions {
  /** Stop after so many states. */
  readonly statesMax?: number;
  /** Stop after so many milliseconds. @param nowMs given with it */
  readonly deadline?: { readonly atMs: number; nowMs(): number };
  /** Called after each level. */
  readonly onLevel?: (depth: number, states: number, frontier: number) => void;
}

/** States are kept in blocks of this many numbers. */
const BLOCK_LENGTH = 1 << 20;

/** One level of the search: states in a row. */
class Level {
  readonly #width: number;
  readonly #perBlock: number;
  readonly #blocks: Int32Array[] = [];
  count = 0;

  constructor(width: number) {
    this.#width = width;
    this.#perBlock = Math.floor(BLOCK_LENGTH / width);
  }

  push(state: Int32Array): void {
    const at = this.count % this.#perBlock;
    if (at === 0) this.#blocks.push(new Int32Array(this.#perBlock * this.#width));
    (this.#blocks.at(-1) as Int32Array).set(state, at * this.#width);
    this.count++;
  }

  get(index: number, into: Int32Array): void {
    const block = this.#blocks[Math.floor(index / this.#perBlock)] as Int32Array;
    const at = (index % this.#perBlock) * this.#width;
    into.set(block.subarray(at, at + this.#width));
  }
}

/** Visits every state within the bounds, nearest first, and checks every step on the way. Stops at the first violation, whose path is a shortest one. */
export function explore(bounds: Bounds, options: ExploreOptions = {}): Exploration {
  const world = new World(bounds);
  const visited = new Fingerprints();
  const parents: number[] = [-1];
  const steps: (Action | null)[] = [null];
  const actions = { campaign: 0, connect: 0, deliver: 0, vote: 0, cut: 0, copy: 0, election: 0, write: 0, restart: 0 };
  let level = new Level(world.length);
  let levelStart = 0;
  let transitions = 0;
  let depth = 0;
  let committedMax = 0;
  let electedMax = 0;
  let complete = true;
  let violation: Exploration['violation'] = null;

  const first = world.canonical(world.initial());
  visited.add(first);
  level.push(first);
  const state = new Int32Array(world.length);

  search: while (level.count > 0) {
    const next = new Level(world.length);
    for (let i = 0; i < level.count; i++) {
      if (visited.size >= (options.statesMax ?? Infinity) || isLate(options, i)) {
        complete = false;
        break search;
      }
      level.get(i, state);
      const parent = levelStart + i;
      let attempted: Action | null = null;
      try {
        world.successors(state, (action, successor) => {
          attempted = action;
          transitions++;
          actions[action.type]++;
          const canonical = world.canonical(successor);
          if (!visited.add(canonical)) return;
          next.push(canonical);
          parents.push(parent);
          steps.push(action);
          const { committed, elected } = world.historyOf(canonical);
          committedMax = Math.max(committedMax, committed.length);
          electedMax = Math.max(electedMax, elected.length);
        });
      } catch (error) {
        if (!(error instanceof Violation)) throw error;
        const path: string[] = [];
        for (let at = parent; at > 0; at = parents[at] as number) path.push(tell(steps[at] as Action | null));
        violation = { message: error.message, path: [...path.toReversed(), `the step after ${tell(attempted)}`] };
        complete = false;
        break search;
      }
    }
    if (next.count > 0) depth++;
    levelStart += level.count;
    level = next;
    options.onLevel?.(depth, visited.size, level.count);
  }
  return {
    bounds,
    states: visited.size,
    transitions,
    depth: violation === null ? depth : depth + 1,
    stepsTaken: world.stepsTaken,
    actions,
    committedMax,
    electedMax,
    complete,
    violation,
  };
}

/** Names are those of the state before the step: after it, nodes may be called otherwise. */
function tell(action: Action | null): string {
  return action === null ? 'the start' : `${action.type} p${action.proposer + 1} a${action.acceptor + 1}`;
}

function isLate({ deadline }: ExploreOptions, index: number): boolean {
  return deadline !== undefined && index % 1024 === 0 && deadline.nowMs() > deadline.atMs;
}
