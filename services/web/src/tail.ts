// Stay at the end of a box while it grows, unless its reader has scrolled back.

const NEAR_PX = 24;

export function keepAtTheEnd(box: HTMLElement): () => void {
  let atEnd = true;
  const scrolled = () => (atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < NEAR_PX);
  const grown = () => {
    if (atEnd) box.scrollTop = box.scrollHeight;
  };
  const observer = new MutationObserver(grown);
  observer.observe(box, { childList: true, characterData: true, subtree: true });
  box.addEventListener("scroll", scrolled, { passive: true });
  grown();
  return () => {
    observer.disconnect();
    box.removeEventListener("scroll", scrolled);
  };
}
