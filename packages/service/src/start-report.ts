/** How the start of a service went, as it is told to the process that started it. */
export type StartReport =
  | ({ readonly ready: true } & Readonly<Record<string, unknown>>)
  | { readonly ready: false; readonly error: string };

/** Tells whoever started this process with an IPC channel how the start went; resolves when that is handed over, or when there is nobody. */
export function reportStart(report: StartReport): Promise<void> {
  return new Promise((resolve) => {
    if (process.send === undefined) resolve();
    else process.send(report, () => resolve()); // the parent may be gone: that is no reason to stop
  });
}
