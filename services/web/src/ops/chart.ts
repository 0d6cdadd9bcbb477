// Numbers over time as shapes: pure geometry, in the units of the box that they are drawn into.

export interface Box {
  wide: number;
  high: number;
}

/** A round number at or above, for the top of a scale: 1, 2, 2.5, 5, 10 times a power of ten. */
export function roundTop(most: number, whole = false): number {
  if (!(most > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(most));
  const steps = whole && power <= 1 ? [1, 2, 3, 4, 5, 6, 8, 10] : [1, 2, 2.5, 5, 10];
  const found = steps.map((step) => step * power).find((step) => step >= most * (1 - 1e-9)) ?? most;
  return whole ? Math.max(1, Math.ceil(found)) : Number(found.toPrecision(6));
}

/** Bars that stand on each other, bottom first: for each bucket the lower and upper end of each. */
export function stacked(columns: readonly (readonly number[])[]): [number, number][][] {
  return columns.map((column) => {
    let below = 0;
    return column.map((value) => [below, (below += value)]);
  });
}

/** A line that breaks where nothing is known. A point between two gaps is a short dash. */
export function line(values: readonly (number | null)[], top: number, { wide, high }: Box): string {
  const step = wide / Math.max(1, values.length);
  let path = "";
  let drawing = false;
  values.forEach((value, index) => {
    if (value === null) {
      drawing = false;
      return;
    }
    const [x, y] = [(index + 0.5) * step, high - (Math.min(value, top) / top) * high];
    const alone = !drawing && (values[index + 1] ?? null) === null;
    if (alone)
      path += `M${(x - step / 3).toFixed(1)} ${y.toFixed(1)}h${((step * 2) / 3).toFixed(1)}`;
    else path += `${drawing ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
    drawing = true;
  });
  return path;
}

/** Which bucket is under a place of the box. */
export function bucketAt(x: number, wide: number, buckets: number): number {
  return Math.max(0, Math.min(buckets - 1, Math.floor((x / wide) * buckets)));
}

/** Buckets to mark below: a few, spread evenly, the last always. */
export function marks(buckets: number, most: number): number[] {
  if (buckets === 0) return [];
  const stride = Math.max(1, Math.ceil((buckets - 1) / Math.max(1, most - 1)));
  const found: number[] = [];
  for (let at = buckets - 1; at >= 0; at -= stride) found.unshift(at);
  return found;
}

export function clock(time: string, withSeconds: boolean): string {
  const form = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" } as const;
  return new Date(time).toLocaleTimeString(
    undefined,
    withSeconds ? { ...form, second: "2-digit" } : form,
  );
}
