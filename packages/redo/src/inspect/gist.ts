import { formatLsn, type Lsn } from '@zenith/base';
import type { Page } from '@zenith/pg-format';
import {
  DELETE_XID,
  F_DELETED,
  F_FOLLOW_RIGHT,
  F_HAS_GARBAGE,
  F_LEAF,
  F_TUPLES_DELETED,
  gistFlags,
  gistOpaque,
} from '../gist/page.ts';
import type { DecodedPage } from './decoded-page.ts';
import { blockOf, flagsOf, part, readFields } from './fields.ts';
import { addDownLink, addHeapPointer, addKey, requireIndexTuple } from './index-tuple.ts';
import { itemParts } from './page-header.ts';

const FLAGS = {
  [F_LEAF]: 'LEAF',
  [F_DELETED]: 'DELETED',
  [F_TUPLES_DELETED]: 'TUPLES_DELETED',
  [F_FOLLOW_RIGHT]: 'FOLLOW_RIGHT',
  [F_HAS_GARBAGE]: 'HAS_GARBAGE',
};
const RIGHTLINK = 8;
const HIGH_WORD = 0x1_0000_0000;

/** A page of a GiST index. @throws CorruptionError when it cannot be one */
export function decodeGist(page: Page): DecodedPage {
  const opaque = gistOpaque(page);
  const flags = gistFlags(page, opaque);
  const special = part('special', (fields) => {
    const { view } = page;
    // Values no server writes are above what an LSN can be here: they are shown, not checked.
    fields['nsn'] = formatLsn((view.getUint32(opaque, true) * HIGH_WORD + view.getUint32(opaque + 4, true)) as Lsn);
    fields['rightlink'] = blockOf(view.getUint32(opaque + RIGHTLINK, true));
    fields['flags'] = flagsOf(flags, 4, FLAGS);
  });
  if ((flags & F_DELETED) !== 0)
    return {
      kind: 'gist deleted page',
      parts: [
        part('deleted', (fields) => Object.assign(fields, readFields(page.view, DELETE_XID, [['xid', 0, 'u64']]))),
        special,
      ],
    };
  const isLeaf = (flags & F_LEAF) !== 0;
  const items = itemParts(page, (fields, at, length) => {
    requireIndexTuple(length);
    if (isLeaf) addHeapPointer(page, fields, at);
    else addDownLink(page, fields, at);
    addKey(page, fields, at, at + length);
  });
  return { kind: isLeaf ? 'gist leaf' : 'gist inner page', parts: [...items, special] };
}
