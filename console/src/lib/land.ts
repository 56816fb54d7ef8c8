// The outline of the land as one SVG path, from the TopoJSON of the package `world-atlas` (Natural
// Earth, public domain; part of the build, no request at run time). Both are drawn in Mercator's
// projection: x in degrees of longitude, y growing southwards in the same unit.

import atlas from 'world-atlas/land-110m.json';

/** Nothing is drawn beyond: the projection stretches without end towards the poles. */
const LATITUDE_MAX = 82;

export function project(longitude: number, latitude: number): { x: number; y: number } {
  const bounded = Math.max(-LATITUDE_MAX, Math.min(LATITUDE_MAX, latitude));
  const radians = (bounded * Math.PI) / 180;
  return { x: longitude, y: (-Math.log(Math.tan(Math.PI / 4 + radians / 2)) * 180) / Math.PI };
}

interface Topology {
  arcs: number[][][];
  transform: { scale: [number, number]; translate: [number, number] };
  objects: { land: { geometries: { type: string; arcs: number[][][] }[] } };
}

export function landPath(): string {
  const topology = atlas as unknown as Topology;
  const arcs = topology.arcs.map((arc) => decodeArc(arc, topology.transform));
  const rings = topology.objects.land.geometries.flatMap((shape) => shape.arcs.flat());
  return rings.map((ring) => ringPath(ring, arcs)).join('');
}

/** Arcs are stored as differences of whole numbers. */
function decodeArc(arc: number[][], { scale, translate }: Topology['transform']): [number, number][] {
  let x = 0;
  let y = 0;
  return arc.map(([dx = 0, dy = 0]) => {
    x += dx;
    y += dy;
    const point = project(x * scale[0] + translate[0], y * scale[1] + translate[1]);
    return [point.x, point.y];
  });
}

/** A ring names its arcs; a negative name (its complement) means the arc backwards. */
function ringPath(ring: number[], arcs: [number, number][][]): string {
  const points = ring.flatMap((name) => {
    const arc = arcs[name < 0 ? ~name : name] ?? [];
    return name < 0 ? [...arc].reverse() : arc;
  });
  let path = '';
  let previousX = points[0]?.[0] ?? 0;
  for (const [index, [x, y]] of points.entries()) {
    // A ring that crosses the date line is two shapes on a flat map.
    const pen = index === 0 || Math.abs(x - previousX) > 180 ? 'M' : 'L';
    path += `${pen}${x.toFixed(1)} ${y.toFixed(1)}`;
    previousX = x;
  }
  return `${path}Z`;
}
