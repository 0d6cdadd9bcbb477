// Numbers over time that stay few: a chart is a few hundred pixels wide, a training may last days.

const MOST = 240;

export type Point = readonly [x: number, y: number];

export interface Series {
  points: readonly Point[];
  /** Of every so many points that came, one is kept, and always the latest. */
  stride: number;
  came: number;
}

export const EMPTY: Series = { points: [], stride: 1, came: 0 };

export function add({ points, stride, came }: Series, x: number, y: number): Series {
  const settled = came === 0 || (came - 1) % stride === 0 ? points : points.slice(0, -1);
  const grown: Series = { points: [...settled, [x, y]], stride, came: came + 1 };
  return grown.points.length > MOST ? halved(grown) : grown;
}

export function latest({ points }: Series): number | undefined {
  return points.at(-1)?.[1];
}

function halved({ points, stride, came }: Series): Series {
  const last = points.length - 1;
  const kept = points.filter((_, index) => index % 2 === 0 || index === last);
  return { points: kept, stride: stride * 2, came };
}
