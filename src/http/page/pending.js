import { timeIn } from "./time.js";

// What is waiting for its code. It is kept for the tab alone, so that a reload comes back to the code step.
const KEPT = "enroll.pending";
const TYPED = "enroll.identifier";

export const pending = {
  get: () => JSON.parse(sessionStorage.getItem(KEPT)),

  /** Durations become times: they go on while the page is closed. */
  set({ expires_in, resend_in, ...verification }) {
    const kept = { ...verification, expires_at: timeIn(expires_in), resend_at: timeIn(resend_in) };
    sessionStorage.setItem(KEPT, JSON.stringify(kept));
    return kept;
  },

  clear: () => sessionStorage.removeItem(KEPT),
};

/** The number or email as typed, for a reload and from one form to the next. A password is never kept. */
export const typed = {
  get: () => sessionStorage.getItem(TYPED) ?? "",
  set: (value) => sessionStorage.setItem(TYPED, value),
};
