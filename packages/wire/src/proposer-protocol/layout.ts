// Every message travels in one CopyData message. Little-endian.
//
//   any:           version u8 @0 | kind u8 @1 | …
//   greeting:      0 u16 @2 | pgMajor u32 @4 | segmentSize u32 @8 | 0 u32 @12 | systemId u64 @16 | timelineStartLsn u64 @24 | tenant 16 B @32 | timeline 16 B @48 | configuration @64
//   greetingReply: 0 u16 @2 | 0 u32 @4 | node u64 @8 | term u64 @16 | configuration @24
//   voteRequest:   0 u16 @2 | 0 u32 @4 | generation u64 @8 | term u64 @16                                                                              (24 B)
//   voteReply:     granted u8 @2 | 0 u8 @3 | 0 u32 @4 | generation u64 @8 | term u64 @16 | flushLsn @24 | commitLsn @32 | peerHorizonLsn @40 | history @48
//   elected:       0 u16 @2 | 0 u32 @4 | generation u64 @8 | term u64 @16 | startLsn @24 | history @32
//   appendRequest: flags u8 @2 (1 = probe) | 0 u8 @3 | WAL length u32 @4 | generation u64 @8 | term u64 @16 | beginLsn @24 | commitLsn @32 | peerHorizonLsn @40 | WAL @48
//   appendReply:   0 u16 @2 | 0 u32 @4 | generation u64 @8 | term u64 @16 | writeLsn @24 | flushLsn @32 | commitLsn @40 | remoteConsistentLsn @48        (56 B)
//
//   configuration: generation u64 | member count u32 | new member count u32 (0 = none) | members u64 … | new members u64 …
//   history:       entry count u32 | 0 u32 | (term u64 | startLsn u64) …

/** Version of the protocol, the first byte of every message. Another one is refused by name. */
export const PROPOSER_PROTOCOL_VERSION = 1;

/** Second byte of every message. */
export const MessageKind = {
  greeting: 1,
  greetingReply: 2,
  voteRequest: 3,
  voteReply: 4,
  elected: 5,
  appendRequest: 6,
  appendReply: 7,
} as const;

/** What precedes the WAL in an AppendRequest. Unit: bytes. */
export const APPEND_HEADER_LENGTH = 48;

/** Most WAL in one AppendRequest. Unit: bytes. */
export const APPEND_WAL_LENGTH_MAX = 4 * 1024 * 1024;

/** Longest message of the protocol: an Elected with the longest history, or the largest append. For the framing below. Unit: bytes. */
export const PROPOSER_MESSAGE_LENGTH_MAX = APPEND_HEADER_LENGTH + APPEND_WAL_LENGTH_MAX;
