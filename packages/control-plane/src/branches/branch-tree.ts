import { formatLsn, type Lsn, type TimelineId } from '@zenith/base';

/** What the drawing needs to know of a branch. */
export interface BranchNode {
  readonly name: string;
  readonly timeline: TimelineId;
  /** The timeline it was made from; undefined for a first one. */
  readonly ancestor: TimelineId | undefined;
  /** Where it leaves its ancestor. */
  readonly startLsn: Lsn;
}

function byPosition(a: BranchNode, b: BranchNode): number {
  if (a.startLsn !== b.startLsn) return a.startLsn - b.startLsn;
  return a.name < b.name ? -1 : 1;
}

/**
 * Draws branches as a tree, one line a branch, children under their parent by the LSN they leave it at:
 *
 *      main
 *      ┣━ @0/1609610: first
 *      ┃  ┗━ @0/1700000: of_first
 *      ┗━ @0/1800000: second
 *
 * A branch whose ancestor has no name here is drawn at the top level, with its LSN.
 * @returns lines without ends
 */
export function drawBranchTree(branches: readonly BranchNode[]): string[] {
  const named = new Set(branches.map((branch) => branch.timeline));
  const children = new Map<TimelineId | undefined, BranchNode[]>();
  for (const branch of branches) {
    const parent = branch.ancestor !== undefined && named.has(branch.ancestor) ? branch.ancestor : undefined;
    const siblings = children.get(parent);
    if (siblings === undefined) children.set(parent, [branch]);
    else siblings.push(branch);
  }
  const lines: string[] = [];
  // A stack of its own: a chain of branches may be deeper than the call stack.
  const stack: { branch: BranchNode; indent: string; symbol: string }[] = [];
  const push = (list: readonly BranchNode[] | undefined, indent: string, top: boolean): void => {
    const sorted = [...(list ?? [])].sort(byPosition);
    for (const [index, branch] of [...sorted.entries()].reverse()) {
      const symbol = top ? '' : index === sorted.length - 1 ? '┗━ ' : '┣━ ';
      stack.push({ branch, indent, symbol });
    }
  };
  push(children.get(undefined), ' ', true);
  for (let item = stack.pop(); item !== undefined; item = stack.pop()) {
    const { branch, indent, symbol } = item;
    const position = branch.ancestor === undefined ? '' : `@${formatLsn(branch.startLsn)}: `;
    lines.push(`${indent}${symbol}${position}${branch.name}`);
    push(children.get(branch.timeline), indent + (symbol === '' ? '' : symbol === '┗━ ' ? '   ' : '┃  '), false);
  }
  return lines;
}
