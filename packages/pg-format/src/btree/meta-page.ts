import { SIZE_OF_PAGE_HEADER } from '../page/header.ts';

// BTMetaPageData, at byte 24 of block 0: btm_magic u32 @0, btm_version u32 @4, btm_root u32 @8, btm_level u32 @12, btm_fastroot u32 @16,
// btm_fastlevel u32 @20, btm_last_cleanup_num_delpages u32 @24, padding @28, btm_last_cleanup_num_heap_tuples f64 @32, btm_allequalimage u8 @40,
// padding to 48.  PG 15-18: nbtree.h

/** Where BTMetaPageData begins on the meta page. PG: BTPageGetMeta(). */
export const BT_META = SIZE_OF_PAGE_HEADER;
/** Offset in BTMetaPageData. */
export const BTM_MAGIC = 0;
/** Offset in BTMetaPageData. */
export const BTM_VERSION = 4;
/** Offset in BTMetaPageData. */
export const BTM_ROOT = 8;
/** Offset in BTMetaPageData. */
export const BTM_LEVEL = 12;
/** Offset in BTMetaPageData. */
export const BTM_FASTROOT = 16;
/** Offset in BTMetaPageData. */
export const BTM_FASTLEVEL = 20;
/** Offset in BTMetaPageData. */
export const BTM_LAST_CLEANUP_NUM_DELPAGES = 24;
/** Offset in BTMetaPageData. */
export const BTM_LAST_CLEANUP_NUM_HEAP_TUPLES = 32;
/** Offset in BTMetaPageData. */
export const BTM_ALLEQUALIMAGE = 40;
/** Length of BTMetaPageData with its padding; pd_lower of a meta page is BT_META plus this. */
export const SIZE_OF_BT_META_PAGE = 48;

/** btm_magic. PG: nbtree.h. */
export const BTREE_MAGIC = 0x053162;
/** Block number of the meta page. PG: nbtree.h. */
export const BTREE_METAPAGE = 0;
/** Current btm_version. PG: nbtree.h. */
export const BTREE_VERSION = 4;
/** First btm_version with all meta fields. PG: nbtree.h. */
export const BTREE_NOVAC_VERSION = 3;
