// Bundles the two programs that a start of PostgreSQL waits for, the command and the supervisor: `packages/<name>/dist/bundle/main.js` holds what `dist/main.js` would load file by file. See
// docs/decisions/2026-11-25-bundled-programs.md.
import { build } from 'esbuild';
import { readdirSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';

/** What stays a module of its own: native code, and what only few runs load. */
const external = ['@node-rs/crc32', '@peculiar/x509', 'pg', 'prom-client', 'reflect-metadata'];

for (const name of ['cli', 'compute']) {
  const outdir = `packages/${name}/dist/bundle`;
  const { metafile } = await build({
    entryPoints: [`packages/${name}/dist/main.js`],
    outdir,
    bundle: true,
    splitting: true, // what is loaded late in the sources is loaded late here too
    platform: 'node',
    target: 'node20.19',
    format: 'esm',
    sourcemap: 'linked', // for --enable-source-maps; Node does not read it otherwise
    external,
    // Modules of the older kind ask for Node's own by require, which a module of the newer kind has not.
    banner: {
      js: "import { createRequire as requireOf } from 'node:module'; const require = requireOf(import.meta.url);",
    },
    logLevel: 'warning',
    metafile: true,
  });
  // Chunks carry a hash in their name: old ones would stay for ever. They go last, since a command may be running.
  const made = new Set(Object.keys(metafile.outputs).map((file) => basename(file)));
  for (const file of readdirSync(outdir)) if (!made.has(file)) rmSync(join(outdir, file));
}
