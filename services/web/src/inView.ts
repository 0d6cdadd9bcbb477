// Which of many rows can be seen: told together, once scrolling has come to rest.

const REST_MS = 120;
const MARGIN = "120px";

export class InView {
  #observer: IntersectionObserver;
  #ids = new WeakMap<Element, string>();
  #came = new Set<string>();
  #left = new Set<string>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #tell: (came: string[], left: string[]) => void;

  constructor(tell: (came: string[], left: string[]) => void) {
    this.#tell = tell;
    this.#observer = new IntersectionObserver((entries) => this.#changed(entries), {
      rootMargin: MARGIN,
    });
  }

  /** For `{@attach}`. */
  row(id: string): (element: Element) => () => void {
    return (element) => {
      this.#ids.set(element, id);
      this.#observer.observe(element);
      return () => {
        this.#observer.unobserve(element);
        this.#note(id, false);
      };
    };
  }

  close(): void {
    this.#observer.disconnect();
    clearTimeout(this.#timer);
  }

  #changed(entries: IntersectionObserverEntry[]): void {
    for (const { target, isIntersecting } of entries) {
      const id = this.#ids.get(target);
      if (id !== undefined) this.#note(id, isIntersecting);
    }
  }

  #note(id: string, seen: boolean): void {
    (seen ? this.#came : this.#left).add(id);
    (seen ? this.#left : this.#came).delete(id);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#rest(), REST_MS);
  }

  #rest(): void {
    const [came, left] = [[...this.#came], [...this.#left]];
    this.#came.clear();
    this.#left.clear();
    this.#tell(came, left);
  }
}
