import { CorruptionError } from '@zenith/base';
import type { RecordType, RedoRoutine } from './resource-manager.ts';

const refuseBlock: RedoRoutine = () => {
  throw new CorruptionError('this kind of record never refers to a page');
};

/** A kind of record that changes no page: its effects, if any, are for ingest. */
export function withoutPages(name: string, detail?: RecordType['detail']): RecordType {
  return detail === undefined ? { name, redo: refuseBlock } : { name, redo: refuseBlock, detail };
}

/** {@link withoutPages} for several kinds of records, given by info code. */
export function allWithoutPages(names: Readonly<Record<number, string>>): Record<number, RecordType> {
  return Object.fromEntries(Object.entries(names).map(([info, name]) => [Number(info), withoutPages(name)]));
}
