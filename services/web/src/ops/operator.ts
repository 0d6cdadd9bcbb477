// Who operates, in this tab: a key of its own, apart from a tenant's, and a name for the audit.

const KEY = "headrace.operator";
const NAME = "headrace.operator.name";

export const operator = {
  key: (): string | null => sessionStorage.getItem(KEY),
  name: (): string => sessionStorage.getItem(NAME) ?? "",

  set(key: string, name: string): void {
    sessionStorage.setItem(KEY, key);
    if (name === "") sessionStorage.removeItem(NAME);
    else sessionStorage.setItem(NAME, name);
  },

  forget(): void {
    sessionStorage.removeItem(KEY);
    sessionStorage.removeItem(NAME);
  },

  /** What each request shows. */
  credentials(): Record<string, string> {
    const [key, name] = [operator.key(), operator.name()];
    return {
      ...(key === null ? {} : { apikey: key }),
      ...(name === "" ? {} : { "x-operator": name }),
    };
  },
};
