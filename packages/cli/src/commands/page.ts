import { formatLsn, parseLsn, type Lsn } from '@zenith/base';
import {
  PageserverClient,
  ServiceRefusal,
  ControlPlaneError,
  alignLsn,
  commitPoint,
  isoPointInTime,
  type JsonValue,
  type PageAddress,
  type Repository,
} from '@zenith/control-plane';
import { MAIN_FORKNUM, RELSEG_SIZE, type Page, type PgMajor } from '@zenith/pg-format';
import { comparePages, decodePage, type DecodedPage, type PartChange } from '@zenith/redo';
import { repositoryOf, type CommandContext, type CommandResult } from '../command-context.ts';
import { changeLines, eventLines, pageLines } from '../page/page-lines.ts';
import { forkName, parseFork, parseRelation, type RelationLocator } from '../page/relation.ts';
import { replayHistory, type PageEvent } from '../page/replay-history.ts';
import { resolveRelation } from '../page/resolve-relation.ts';

/** What `zenith page` may be given beside the page. */
export interface PageOptions {
  readonly lsn?: string;
  readonly fork?: string;
  readonly history?: boolean;
  /** Most records that `history` shows. */
  readonly limit: number;
  readonly diff?: readonly string[];
}

/** Everything about the page that does not depend on an LSN. */
interface Target extends Omit<PageAddress, 'lsn'> {
  readonly major: PgMajor;
  readonly client: PageserverClient;
  /** The end of what is committed on the branch. */
  readonly end: Lsn;
}

/** Why there may be no page right before a record of its history. */
const NO_PAGE: ReadonlySet<string | undefined> = new Set(['no-such-block', 'lsn-not-available']);

function readLsn(text: string, end: Lsn): Lsn {
  const at = alignLsn(parseLsn(text));
  if (at > end)
    throw new ControlPlaneError(
      'lsn-in-future',
      `${formatLsn(at)} lies in the future of the branch, which ends at ${formatLsn(end)}`,
    );
  return at;
}

async function targetOf(
  context: CommandContext,
  repository: Repository,
  branch: string,
  relation: string,
  block: number,
  fork: string | undefined,
): Promise<Target> {
  const { timeline: id } = await repository.catalog.branch(branch);
  const timeline = await repository.catalog.timeline(id);
  const given = parseRelation(relation, timeline.pgMajor);
  const isPlace = 'locator' in given;
  const locator: RelationLocator = isPlace
    ? given.locator
    : await resolveRelation(context, branch, given.database, given.name);
  return {
    ...locator,
    timeline: id,
    fork: fork === undefined ? ((isPlace ? given.fork : undefined) ?? MAIN_FORKNUM) : parseFork(fork),
    block: isPlace ? given.segment * RELSEG_SIZE + block : block,
    major: timeline.pgMajor,
    client: new PageserverClient(repository),
    end: await commitPoint(repository, timeline),
  };
}

async function readPage(target: Target, lsn: Lsn): Promise<{ readonly blocks: number; readonly page: Page }> {
  const { blocks, page: bytes } = await target.client.page({ ...target, lsn });
  return { blocks, page: { bytes, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength) } };
}

async function decodedPage(target: Target, lsn: Lsn): Promise<DecodedPage> {
  const { page } = await readPage(target, lsn);
  return decodePage(page, target.fork, target.block);
}

/** The page as it was right before `lsn`; undefined when there was none, or it is not kept. */
async function pageBefore(target: Target, lsn: Lsn): Promise<Page | undefined> {
  try {
    return (await readPage(target, (lsn - 1) as Lsn)).page;
  } catch (error) {
    // What it says is about a page that nobody asked for.
    if (error instanceof ServiceRefusal && NO_PAGE.has(error.serviceCode)) return undefined;
    throw error;
  }
}

async function readHistory(
  target: Target,
  lsn: Lsn,
  limit: number,
): Promise<{ readonly complete: boolean; readonly events: readonly PageEvent[] }> {
  const { complete, values } = await target.client.pageHistory({ ...target, lsn }, limit);
  const oldestFirst = values.toReversed();
  const [oldest] = oldestFirst;
  const before = complete || oldest === undefined ? undefined : await pageBefore(target, oldest.lsn);
  return { complete, events: replayHistory(target, oldestFirst, before) };
}

function pageJson({ kind, parts }: DecodedPage): JsonValue {
  return { kind, parts: parts.map(({ name, fields }) => ({ name, fields: { ...fields } })) };
}

function changesJson(changes: readonly PartChange[]): JsonValue {
  return changes.map(({ part, change, fields }) => ({ part, change, fields: fields.map((field) => ({ ...field })) }));
}

function eventJson({ lsn, xid, transaction, commitTime, description, changes, failure }: PageEvent): JsonValue {
  return {
    lsn: formatLsn(lsn),
    xid,
    transaction: transaction ?? null,
    commitTime: commitTime === undefined ? null : isoPointInTime(commitTime),
    description,
    changes: changes === undefined ? null : changesJson(changes),
    failure: failure ?? null,
  };
}

/** `zenith page BRANCH REL BLOCK` */
export async function page(
  context: CommandContext,
  branch: string,
  relation: string,
  block: number,
  options: PageOptions,
): CommandResult {
  const target = await targetOf(context, repositoryOf(context), branch, relation, block, options.fork);
  const { spc, db, rel, fork } = target;
  const named = `${spc}/${db}/${rel} ${forkName(fork)} fork, block ${target.block}`;
  const place = { branch, timeline: target.timeline, spc, db, rel, fork: forkName(fork), block: target.block };
  const { output } = context;
  if (options.diff !== undefined) {
    const [from, to] = options.diff.map((text) => readLsn(text, target.end)) as [Lsn, Lsn];
    const changes = comparePages(await decodedPage(target, from), await decodedPage(target, to));
    output.line(`${named}, from ${formatLsn(from)} to ${formatLsn(to)}`);
    for (const line of changes.length === 0 ? ['the same'] : changeLines(changes)) output.line(line);
    return { ...place, from: formatLsn(from), to: formatLsn(to), changes: changesJson(changes) };
  }
  const lsn = options.lsn === undefined ? target.end : readLsn(options.lsn, target.end);
  const { blocks, page: bytes } = await readPage(target, lsn);
  const decoded = decodePage(bytes, fork, target.block);
  output.line(`${named} of ${blocks}, at ${formatLsn(lsn)}: ${decoded.kind}`);
  for (const line of pageLines(decoded)) output.line(line);
  const shown = { ...place, lsn: formatLsn(lsn), blocks, page: pageJson(decoded) };
  if (options.history !== true) return shown;
  const { complete, events } = await readHistory(target, lsn, options.limit);
  output.line('');
  output.line(
    complete
      ? `Its whole history, the oldest change first (${events.length}):`
      : `The newest ${events.length} of the changes of its history, the oldest first (--limit for more):`,
  );
  for (const event of events) for (const line of eventLines(event)) output.line(line);
  return { ...shown, history: { complete, changes: events.map(eventJson) } };
}
