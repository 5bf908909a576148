/** A process that dies in the middle of something. */

/** What answers at once, from memory, is no call. */
const synchronous: readonly (string | symbol)[] = ["requests", "selection"];

/** Dead for good after so many calls to the parts named: nothing that is tried later has an effect. */
export const mortal = <T extends object>(needs: T, calls: number, parts: readonly (keyof T)[]): T => {
  let left = calls;
  const dying = (part: T[keyof T]): T[keyof T] =>
    new Proxy(part as object, {
      get: (target, name) => {
        const member: unknown = Reflect.get(target, name);
        if (typeof member !== "function" || synchronous.includes(name)) return member;
        return async (...args: unknown[]) => {
          if (left-- <= 0) throw new Error("killed");
          return Reflect.apply(member, target, args);
        };
      },
    }) as T[keyof T];
  const dead = { ...needs };
  for (const part of parts) dead[part] = dying(needs[part]);
  return dead;
};
