// Does something every so often while the page is looked at: a hidden one asks nothing of the server.

/** What a document is of interest for here. */
export interface Visibility extends EventTarget {
  readonly hidden: boolean;
}

/**
 * At once, and again so long after each time that it is done. Hidden: no more until it is shown, and
 * then at once. What fails has to be dealt with by `act`.
 */
export function beat(act: () => Promise<void>, every_ms: number, page: Visibility): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let busy = false;
  let over = false;

  async function once(): Promise<void> {
    clearTimeout(timer);
    if (busy || over || page.hidden) return;
    busy = true;
    try {
      await act();
    } finally {
      busy = false;
      if (!over) timer = setTimeout(() => void once(), every_ms);
    }
  }

  const look = () => void once();
  page.addEventListener("visibilitychange", look);
  void once();
  return () => {
    over = true;
    clearTimeout(timer);
    page.removeEventListener("visibilitychange", look);
  };
}
