/** A PostgreSQL major version whose formats are known. */
export type PgMajor = 15 | 16 | 17 | 18;
