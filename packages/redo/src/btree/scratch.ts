import { allocatePage, type Page } from '@zenith/pg-format';

// Scratch of one synchronous call each: whoever uses one fills it first, and nothing in it is read after the call that filled it.

/** The page as it was, while it is rebuilt in place. */
export const originalPage: Page = allocatePage();

/** One index tuple that is changed before it goes to its page. */
export const tupleScratch: Page = allocatePage();
