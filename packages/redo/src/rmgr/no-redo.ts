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

/** A kind of record that is known by name, but whose redo is not written yet: `unsupported-record` by {@link isUnsupported}. */
export function unsupported(name: string): RecordType {
  return { name, redo: unsupportedRedo };
}

const unsupportedRedo: RedoRoutine = () => false;

/** True when redo of that kind of record is not written yet. Its `redo` must not be called. */
export function isUnsupported(type: RecordType): boolean {
  return type.redo === unsupportedRedo;
}
