import { Replay } from './replay.ts';
import type { FromShard, ToShard } from './sharded-replay.ts';

// The program of a process that replays one shard, see ShardedReplay.
const say = (message: FromShard): void => void process.send?.(message);
let replay: Replay | undefined;

function obey(message: ToShard): void {
  switch (message.kind) {
    case 'replay': {
      const from = performance.now();
      replay = new Replay(message.major, message.base, message.shard);
      replay.run(message.walDirectory, message.start, message.end);
      const { records, blocks } = replay;
      say({ kind: 'replayed', records, blocks, seconds: (performance.now() - from) / 1000 });
      return;
    }
    case 'verify':
      say({ kind: 'verified', pages: replay?.verify(message.recovered, message.end) ?? 0 });
      return;
    case 'forget':
      replay?.close();
      replay = undefined;
      say({ kind: 'forgotten' });
      return;
    default:
      message satisfies never;
  }
}

process.on('message', obey);
