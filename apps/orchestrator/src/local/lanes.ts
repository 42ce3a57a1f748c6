/** Bounds how many items are worked on at once, lane by lane; what finds its lane full waits there and holds up nobody but its own lane. */
export interface Lanes<Lane extends string, Item, Owner> {
  /**
   * Works on `item` when its lane has a free place, then on what has waited in that lane meanwhile: first what belongs to the owner with the fewest places,
   * in order, so that the many items of one owner never keep another's few from being begun. Resolves when nothing waits any more.
   * Resolves at once when the lane is full: the item waits (once, however often it is brought) and is worked on by a call that is under way.
   * After `stop` aborts what waits is left alone. `work` must not reject.
   */
  enter(lane: Lane, item: Item, owner: Owner, work: (item: Item) => Promise<void>, stop: AbortSignal): Promise<void>;
}

/** `widths`: places of each lane. */
export function createLanes<Lane extends string, Item, Owner>(widths: Readonly<Record<Lane, number>>): Lanes<Lane, Item, Owner> {
  const lanes = new Map<Lane, { busy: readonly Owner[]; waiting: Map<Item, Owner> }>();
  const laneOf = (name: Lane) => {
    const lane = lanes.get(name) ?? { busy: [], waiting: new Map<Item, Owner>() };
    lanes.set(name, lane);
    return lane;
  };
  return {
    async enter(name, item, owner, work, stop) {
      const lane = laneOf(name);
      lane.waiting.set(item, owner);
      while (lane.busy.length < widths[name] && !stop.aborted) {
        const next = firstOfFewest(lane.waiting, lane.busy);
        if (next === null) return;
        const [taken, by] = next;
        lane.waiting.delete(taken);
        lane.waiting = toTheEnd(lane.waiting, by);
        lane.busy = [...lane.busy, by];
        try {
          await work(taken);
        } finally {
          const place = lane.busy.indexOf(by);
          lane.busy = lane.busy.filter((_, index) => index !== place);
        }
      }
    },
  };
}

/** The first item that waits of the owner who is busy in the fewest places. */
function firstOfFewest<Item, Owner>(waiting: ReadonlyMap<Item, Owner>, busy: readonly Owner[]): readonly [Item, Owner] | null {
  let found: { readonly entry: readonly [Item, Owner]; readonly places: number } | null = null;
  for (const entry of waiting) {
    const places = busy.filter((owner) => owner === entry[1]).length;
    if (found === null || places < found.places) found = { entry, places };
  }
  return found?.entry ?? null;
}

/** What the owner has left waits behind the others: each has its turn. */
const toTheEnd = <Item, Owner>(waiting: ReadonlyMap<Item, Owner>, owner: Owner): Map<Item, Owner> =>
  new Map([...[...waiting].filter(([, other]) => other !== owner), ...[...waiting].filter(([, other]) => other === owner)]);
