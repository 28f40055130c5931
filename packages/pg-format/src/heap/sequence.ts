// A sequence is one heap page with one tuple; its special space is u32 SEQ_MAGIC.  PG 15-18: sequence.c

/** The word in a sequence page's special space. PG: sequence.c. */
export const SEQ_MAGIC = 0x1717;
/** Size of a sequence page's special space before alignment. Unit: bytes. PG: sizeof(sequence_magic). */
export const SIZE_OF_SEQUENCE_MAGIC = 4;
