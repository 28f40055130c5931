/** A PostgreSQL major version whose formats are known. */
export type PgMajor = 15 | 16 | 17 | 18;

/** Every {@link PgMajor}, the oldest first. */
export const PG_MAJORS = [15, 16, 17, 18] as const satisfies readonly PgMajor[];
