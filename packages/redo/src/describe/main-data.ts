import type { WalRecord } from '@zenith/pg-format';
import { mainData } from '../rmgr/record-data.ts';

/** Fields of main data that are worth a word in an error. */
export interface DetailField {
  readonly label: string;
  /** Where it begins in the main data. */
  readonly at: number;
  readonly size: 1 | 2 | 4;
  readonly hex?: boolean;
}

/** Makes a {@link RecordType.detail} out of a list of fields: `off 3 flags 0x08`. It throws CorruptionError for main data that are too short. */
export function fieldsDetail(...fields: readonly DetailField[]): (record: WalRecord) => string {
  const length = Math.max(...fields.map((field) => field.at + field.size));
  return (record) => {
    const offset = mainData(record, length);
    return fields
      .map((field) => `${field.label} ${show(read(record.view, offset + field.at, field.size), field)}`)
      .join(' ');
  };
}

function read(view: DataView, offset: number, size: 1 | 2 | 4): number {
  if (size === 1) return view.getUint8(offset);
  return size === 2 ? view.getUint16(offset, true) : view.getUint32(offset, true);
}

function show(value: number, field: DetailField): string {
  return field.hex === true ? `0x${value.toString(16).padStart(field.size * 2, '0')}` : String(value);
}
