/** A run that cannot be made here: something is missing on this machine. The message says what, and how to get it. */
export class MissingTool extends Error {
  override readonly name = 'MissingTool';
}
