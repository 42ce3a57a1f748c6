/** Bounds how many items are worked on at once, lane by lane; what finds its lane full waits there and holds up nobody but its own lane. */
export interface Lanes<Lane extends string, Item> {
  /**
   * Works on `item` when its lane has a free place, then on what has waited in that lane meanwhile, in order; resolves when nothing does any more.
   * Resolves at once when the lane is full: the item waits (once, however often it is brought) and is worked on by a call that is under way.
   * After `stop` aborts what waits is left alone. `work` must not reject.
   */
  enter(lane: Lane, item: Item, work: (item: Item) => Promise<void>, stop: AbortSignal): Promise<void>;
}

/** `widths`: places of each lane. */
export function createLanes<Lane extends string, Item>(widths: Readonly<Record<Lane, number>>): Lanes<Lane, Item> {
  const lanes = new Map<Lane, { busy: number; readonly waiting: Set<Item> }>();
  const laneOf = (name: Lane) => {
    const lane = lanes.get(name) ?? { busy: 0, waiting: new Set<Item>() };
    lanes.set(name, lane);
    return lane;
  };
  return {
    async enter(name, item, work, stop) {
      const lane = laneOf(name);
      lane.waiting.add(item);
      if (lane.busy >= widths[name]) return;
      lane.busy += 1;
      try {
        for (const next of lane.waiting) {
          if (stop.aborted) return;
          lane.waiting.delete(next);
          await work(next);
        }
      } finally {
        lane.busy -= 1;
      }
    },
  };
}
