/**
 * Codes of the expected failures of this package (ZenithError). `unsupported-compression`: a full-page image is compressed with lz4 or zstd;
 * `unsupported-version`: a control file is of no known PostgreSQL major. Bad bytes are a CorruptionError instead.
 */
export type PgFormatErrorCode = 'unsupported-compression' | 'unsupported-version';
