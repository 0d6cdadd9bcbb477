// Pictures that the api keeps, as addresses that an <img> can show.

import { api } from "./api";

const KEPT = 60;
const addresses = new Map<string, Promise<string>>();

export function addressOf(blob: string): Promise<string> {
  const known = addresses.get(blob);
  if (known !== undefined) return known;
  const address = api.blob(blob).then((bytes) => URL.createObjectURL(bytes));
  addresses.set(blob, address);
  address.catch(() => addresses.delete(blob));
  if (addresses.size > KEPT) forgetTheOldest();
  return address;
}

function forgetTheOldest(): void {
  const oldest = addresses.keys().next().value;
  if (oldest === undefined) return;
  void addresses.get(oldest)?.then((address) => URL.revokeObjectURL(address));
  addresses.delete(oldest);
}
