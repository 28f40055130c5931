/** The token of an `authorization` header; undefined when there is none. */
export function bearerToken(header: string | undefined): string | undefined {
  return header === undefined || !/^bearer /i.test(header) ? undefined : header.slice('bearer '.length).trim();
}

/** The headers that show a token; none without one. */
export function bearerHeaders(token: string | undefined): Readonly<Record<string, string>> {
  return token === undefined ? {} : { authorization: `Bearer ${token}` };
}
