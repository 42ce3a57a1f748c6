/** Prompt ids by the hundred thousand in 16 bytes each. */
export interface IdSet {
  /** False when the id was there already. TypeError for what is no prompt id. */
  add(id: string): boolean;
  has(id: string): boolean;
  readonly size: number;
}

/** An empty set of ids as `promptId` makes them: 16 hex digits, evenly spread, so that they are their own hash. */
export function createIdSet(): IdSet {
  // Open addressing, at most half full; the pair 0, 0 marks a free slot, so the id of zeros stands apart.
  let high = new Uint32Array(1024);
  let low = new Uint32Array(1024);
  let size = 0;
  let hasZero = false;

  function slotOf(upper: number, lower: number): number {
    const mask = high.length - 1;
    let slot = lower & mask;
    while ((high[slot] !== 0 || low[slot] !== 0) && (high[slot] !== upper || low[slot] !== lower)) slot = (slot + 1) & mask;
    return slot;
  }
  function grow(): void {
    const [oldHigh, oldLow] = [high, low];
    high = new Uint32Array(oldHigh.length * 2);
    low = new Uint32Array(oldHigh.length * 2);
    for (const [at, upper] of oldHigh.entries()) {
      const lower = oldLow[at] ?? 0;
      if (upper === 0 && lower === 0) continue;
      const slot = slotOf(upper, lower);
      high[slot] = upper;
      low[slot] = lower;
    }
  }
  return {
    get size() { return size; },
    has(id) {
      const [upper, lower] = halves(id);
      if (upper === 0 && lower === 0) return hasZero;
      const slot = slotOf(upper, lower);
      return high[slot] === upper && low[slot] === lower;
    },
    add(id) {
      if (this.has(id)) return false;
      const [upper, lower] = halves(id);
      size += 1;
      if (upper === 0 && lower === 0) {
        hasZero = true;
        return true;
      }
      if (size * 2 > high.length) grow();
      const slot = slotOf(upper, lower);
      high[slot] = upper;
      low[slot] = lower;
      return true;
    },
  };
}

function halves(id: string): readonly [number, number] {
  if (!/^[0-9a-f]{16}$/.test(id)) throw new TypeError(`${JSON.stringify(id)} is no prompt id: 16 hex digits`);
  return [Number.parseInt(id.slice(0, 8), 16), Number.parseInt(id.slice(8), 16)];
}
