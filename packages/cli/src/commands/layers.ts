import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { formatLsn } from '@zenith/base';
import { PageserverClient, type TimelineLayers } from '@zenith/control-plane';
import { repositoryOf, shownPath, type CommandContext, type CommandResult } from '../command-context.ts';
import { describeKey } from '../layer-map/layout.ts';
import { drawSvgMap } from '../layer-map/svg-map.ts';
import { drawTextMap } from '../layer-map/text-map.ts';
import { formatBytes, formatTable } from '../output/table.ts';

/** How `zenith layers` is to answer. */
export interface LayersOptions {
  /** A file for the drawing. */
  readonly svg?: string;
}

function listLines({ memory, layers }: TimelineLayers): string[] {
  const rows = [
    ...memory.map(({ frozen, lsnStart, lsnEnd, memoryBytes }) => [
      frozen ? 'frozen' : 'open',
      `${formatLsn(lsnStart)}..${formatLsn(lsnEnd)}`,
      'all keys',
      formatBytes(memoryBytes),
      'memory',
    ]),
    ...layers.map((layer) => [
      layer.kind === 'image' ? 'image' : layer.level === 0 ? 'L0' : 'delta',
      layer.kind === 'image' ? formatLsn(layer.lsnStart) : `${formatLsn(layer.lsnStart)}..${formatLsn(layer.lsnEnd)}`,
      `${describeKey(layer.keyStart)} .. ${describeKey(layer.keyEnd)}`,
      formatBytes(layer.fileBytes),
      [...(layer.resident ? ['disk'] : []), ...(layer.remote ? ['remote'] : [])].join(', ') || 'nowhere',
    ]),
  ];
  return formatTable([['LAYER', 'LSN', 'KEYS', 'SIZE', 'WHERE'], ...rows]);
}

function layersJson(branch: string, { timeline, memory, layers }: TimelineLayers): Awaited<CommandResult> {
  return {
    branch,
    timeline,
    memory: memory.map((one) => ({ ...one, lsnStart: formatLsn(one.lsnStart), lsnEnd: formatLsn(one.lsnEnd) })),
    layers: layers.map((one) => ({ ...one, lsnStart: formatLsn(one.lsnStart), lsnEnd: formatLsn(one.lsnEnd) })),
  };
}

/** `zenith layers BRANCH`: lists and draws where a branch's values are. */
export async function layers(context: CommandContext, branch: string, options: LayersOptions): CommandResult {
  const repository = repositoryOf(context);
  const { timeline } = await repository.catalog.branch(branch);
  const found = await new PageserverClient(repository).layers(timeline);
  for (const line of listLines(found)) context.output.line(line);
  const drawing = drawTextMap(found.layers);
  for (const line of drawing.length === 0 ? [] : ['', ...drawing]) context.output.line(line);
  const { ancestorTimeline, ancestorLsn } = found;
  if (ancestorTimeline !== null && ancestorTimeline !== undefined)
    context.output.line(
      `What is not in these layers is read from timeline ${ancestorTimeline}${ancestorLsn === null || ancestorLsn === undefined ? '' : ` at ${formatLsn(ancestorLsn)}`}`,
    );
  if (options.svg !== undefined) {
    const path = resolve(context.currentFolder, options.svg);
    writeFileSync(path, drawSvgMap(`Branch ${branch}, timeline ${timeline}`, found.layers));
    context.output.line(`Drawn in ${shownPath(context, path)}`);
  }
  return layersJson(branch, found);
}
