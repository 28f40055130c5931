import { assert, type Lsn } from '@zenith/base';
import { ObjectKind } from '../key-space/object.ts';
import { ValueKind } from '../key-space/value.ts';
import type { TimelineState } from '../timeline/timeline-state.ts';
import { encodeBatch } from './commit-batch.ts';
import type { CommitTail } from './commit-tail.ts';

/** Stores the newest commits, the last of which is at or before `lsn`; no value is above it. The tail begins anew. */
export function putCommits(state: TimelineState, tail: CommitTail, lsn: Lsn): void {
  assert((tail.lsns[tail.count - 1] as Lsn) <= lsn, 'a batch of commits is stored at or after the last of them');
  const bytes = encodeBatch(tail);
  const object = state.objects.intern(ObjectKind.commitTimes, 0, 0, 0, 0);
  state.openLayer().put(object, 0, lsn, ValueKind.image, bytes, 0, bytes.length);
  tail.restart();
}
