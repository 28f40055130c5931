import { isId } from '@zenith/base';
import * as v from 'valibot';
import { ROLES } from './permissions.ts';

/** Who issues tokens. */
export const ISSUER = 'zenith';

/** The one signature algorithm there is: any other, `none` among them, is refused whatever the token says. */
export const ALGORITHM = 'EdDSA';

/** Longest token that is read. Real ones have about 400 bytes. Unit: bytes. */
export const TOKEN_LENGTH_MAX = 2048;

const id = v.pipe(v.string(), v.check(isId, 'expected 32 lower-case hexadecimal digits'));

/** The claims of a token; unknown ones are refused. A timeline belongs to a tenant, so it is never named alone. */
export const claimsSchema = v.pipe(
  v.strictObject({
    iss: v.literal(ISSUER),
    iat: v.number(),
    exp: v.optional(v.number()),
    role: v.picklist(ROLES),
    tenant: v.optional(id),
    timeline: v.optional(id),
  }),
  v.check(({ tenant, timeline }) => timeline === undefined || tenant !== undefined, 'a timeline without its tenant'),
);
