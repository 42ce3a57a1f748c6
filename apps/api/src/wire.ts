/** A value of core's in the form of contracts: what zod infers has no readonly. */
type Writable<Value> = Value extends readonly (infer Item)[] ? Writable<Item>[] : Value extends object ? { -readonly [Key in keyof Value]: Writable<Value[Key]> } : Value;

/** A copy that its receiver may write to. */
export const toWire = <Value>(value: Value): Writable<Value> => structuredClone(value) as Writable<Value>;
