type Defined<Values> = { [Key in keyof Values]?: Exclude<Values[Key], undefined> }

/** The object without the properties that are `undefined`, as the library's options want it. */
export function withoutUndefined<Values extends object>(values: Values): Defined<Values>
export function withoutUndefined(values: object): object {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined))
}
