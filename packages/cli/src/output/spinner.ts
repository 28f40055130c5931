/** A line that moves while something takes time, and is gone when it ends. */
export interface Spinner {
  /** Changes the text. */
  message(text: string): void;
  /** Takes the line away. */
  clear(): void;
}

const FRAMES = ['◒', '◐', '◓', '◑'] as const;
const FRAME_MS = 90;
/** Width of a terminal that does not tell its own. */
const COLUMNS_DEFAULT = 80;
const HIDE_CURSOR = '\u001B[?25l';
const SHOW_CURSOR = '\u001B[?25h';
const CLEAR_LINE = '\r\u001B[2K';

/**
 * Starts a spinner on a terminal. It touches nothing but that line: no raw mode and no signal handlers, so that Ctrl-C reaches the command, which cleans up.
 * @param stream a terminal
 */
export function startSpinner(stream: NodeJS.WriteStream, first: string): Spinner {
  let text = first;
  let frame = 0;
  const draw = (): void => {
    const line = `${FRAMES[frame++ % FRAMES.length]} ${text}`;
    stream.write(`${CLEAR_LINE}${line.slice(0, (stream.columns || COLUMNS_DEFAULT) - 1)}`);
  };
  stream.write(HIDE_CURSOR);
  draw();
  const timer = setInterval(draw, FRAME_MS);
  const showCursor = (): void => void stream.write(SHOW_CURSOR);
  process.once('exit', showCursor);
  return {
    message: (next) => {
      text = next;
    },
    clear: () => {
      clearInterval(timer);
      process.off('exit', showCursor);
      stream.write(CLEAR_LINE + SHOW_CURSOR);
    },
  };
}
