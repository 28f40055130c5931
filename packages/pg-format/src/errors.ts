/**
 * Codes of the expected failures of this package (ZenithError). `unsupported-version`: a control file is of no known PostgreSQL major. Bad bytes are a
 * CorruptionError instead.
 */
export type PgFormatErrorCode = 'unsupported-version';
