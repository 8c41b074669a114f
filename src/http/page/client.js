import { createClient, webStorage } from "./enroll-client.js";

export const page = document.documentElement.dataset;

export const client = createClient({
  baseUrl: location.origin,
  prefix: page.api,
  storage: webStorage(localStorage, "enroll"),
});

/** The one field takes either; what is neither is a login id, which signs in but can't register. */
export function identifierOf(typed) {
  const address = typed.trim();
  if (address.includes("@")) return { email: address };
  if (/^[+(\d][\d\s().-]*$/.test(address)) return { mobile: address };
  return { login_id: address };
}
