import * as v from 'valibot';
import { PageserverError } from '../errors.ts';

/** Reads the body of a request. @throws PageserverError `bad-request` when it does not fit the schema */
export function parseBody<Schema extends v.GenericSchema>(schema: Schema, body: unknown): v.InferOutput<Schema> {
  const result = v.safeParse(schema, body ?? {});
  if (result.success) return result.output;
  const [issue] = result.issues;
  throw new PageserverError('bad-request', `${v.getDotPath(issue) ?? 'body'}: ${issue.message}`);
}
