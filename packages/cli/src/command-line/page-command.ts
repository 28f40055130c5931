import { InvalidArgumentError, type Command } from 'commander';
import { blockArgument, limitArgument } from './arguments.ts';
import { describeCommand, runWork, type Surroundings } from './runner.ts';

/** What the command line gives for `page`. */
interface ParsedPageOptions {
  readonly lsn?: string;
  readonly fork?: string;
  readonly history?: boolean;
  readonly limit: number;
  readonly diff?: readonly string[];
}

/** `zenith page` */
export function pageCommand(around: Surroundings): Command {
  return describeCommand('page', 'show a page in words, what changed it, or how it differs between two LSNs', [
    'zenith page main public.t 0',
    'zenith page main 1663/5/16384 0 --lsn 0/16B3D98 --history',
    'zenith page main mydb.public.t 0 --fork vm',
    'zenith page main public.t_pkey 1 --diff 0/16B3D98 0/16C0000',
  ])
    .argument('<branch>', 'the branch')
    .argument('<relation>', 'NAME, SCHEMA.NAME, DATABASE.SCHEMA.NAME, TABLESPACE/DATABASE/RELFILENODE or a file path')
    .argument('<block>', 'the block, from 0', blockArgument)
    .option('--lsn <lsn>', 'as it was then (default: the end of the branch)')
    .option('--fork <name>', 'main, vm or init (default: main)')
    .option('--history', 'the records that changed it too, and what each changed')
    .option('--limit <count>', 'most records that --history shows, the newest', limitArgument, 20)
    .option('--diff <lsn...>', 'two LSNs: only what differs between them')
    .action(async (branch: string, relation: string, block: number, options: ParsedPageOptions, command: Command) => {
      if (options.diff !== undefined && options.diff.length !== 2)
        throw new InvalidArgumentError('--diff takes two LSNs');
      const work = await import('../commands/page.ts');
      await runWork(around, command, (context) => work.page(context, branch, relation, block, options));
    });
}
