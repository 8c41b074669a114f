import { formNote, onSubmit, provingIn, releaseButton, showProblem } from "./form.js";
import { $, showBad, showNote } from "./ui.js";
import { clock, say, translate } from "./words.js";
import { client, page } from "./client.js";
import { pending } from "./pending.js";
import { countTo, secondsTill } from "./time.js";
import { developmentInbox } from "./inbox.js";

// Of a login or a recovery the states tell nothing, because they would tell who has an account.
const CONCEALED = new Set(["login", "password_reset"]);
const STATES = new Set(["queued", "sent", "delivered", "undelivered", "failed", "expired", "verified"]);

// A long unused account is not opened by its number alone, because numbers are given to new people.
const OWN_WORDS = { too_many_attempts: "code.spent", reauthentication_required: "code.dormant" };

/** How many characters one change has put in. */
function addedBetween(before, after) {
  let start = 0;
  while (start < after.length && before[start] === after[start]) start++;
  let end = 0;
  while (end < Math.min(before.length, after.length) - start && before.at(-1 - end) === after.at(-1 - end)) end++;
  return after.length - start - end;
}

/**
 * The step that takes a code, for whatever it is.
 * `verify(verification, values)` and `resend(verification, options)` are the calls, `done(answer, verification, values)` follows
 * the right code, `back(verification)` is the address of the step before.
 */
export function codeStep(root, inboxRoot, { heading = "h1", verify, resend, done, back }) {
  root.innerHTML = `
    <${heading} id="code-title" data-t="code.title"></${heading}>
    <p class="lead" id="code-lead"></p>
    <form id="code-form">
      <div class="field">
        <div class="label-row"><label for="code" data-t="code.label"></label><span class="times" id="code-times"></span></div>
        <div class="code-box">
          <input id="code" name="otp" inputmode="numeric" autocomplete="one-time-code" pattern="[0-9 \\-]*" required
            spellcheck="false" data-fields="otp" aria-describedby="code-note"
            data-problems="invalid_code unknown_verification too_many_attempts reauthentication_required">
        </div>
        <p class="note" id="code-note" aria-live="polite"></p>
      </div>
      <div class="field" id="reset-field" hidden>
        <label for="reset-password" data-t="code.new_password"></label>
        <input id="reset-password" name="new_password" type="password" autocomplete="new-password" required minlength="${page.minPassword}"
          data-fields="new_password" aria-describedby="reset-password-note">
        <p class="note" id="reset-password-note" aria-live="polite" data-t="password.hint"></p>
      </div>
      <p class="state" id="code-state" role="status"></p>
      <button class="primary"></button>
      <button class="secondary" name="new_account" value="true" id="new-account" data-t="code.new_account" hidden></button>
      <button class="secondary" type="button" id="resend"></button>
      <div class="said">
        <p class="note form-note" role="alert"></p>
        <p class="note proving" aria-live="polite"></p>
      </div>
    </form>
    ${back ? `<p class="other"><a id="code-back" data-t="code.change"></a></p>` : ""}`;
  translate(root);

  const form = $("form", root);
  const input = $("#code", root);
  const password = $("#reset-password", root);
  const confirm = $("button.primary", root);
  const again = $("#resend", root);
  const newAccount = $("#new-account", root);
  const inbox = developmentInbox(inboxRoot, fill);
  let open, refused, isSpent, watching, waitingForSms, stopCount;
  let had = "";

  onSubmit(form, async (values, by) => {
    waitingForSms.abort();
    if (by === "true") values.new_account = true;
    // A second click on the same wrong code would only spend a try.
    if (refused?.otp === values.otp && !values.new_account) throw refused;
    const answer = await verify(open, values).catch((error) => explain(error, values));
    close();
    pending.clear();
    await done(answer, open, values);
  });

  input.addEventListener("input", takeDigits);
  again.addEventListener("click", sendAgain);

  /** Typing never submits: one who mistyped must be able to see it. What comes at once came from a message. */
  function takeDigits() {
    const digits = input.value.replace(/\D/g, "").slice(0, open.code_length);
    const came = addedBetween(had, digits);
    had = digits;
    if (input.value !== digits) input.value = digits;
    if (digits.length === open.code_length && came > 1) goOn();
  }

  function goOn() {
    if (password.closest("[hidden]") || password.value) form.requestSubmit();
    else password.focus();
  }

  function fill(code) {
    had = "";
    input.value = code;
    input.dispatchEvent(new Event("input", { bubbles: true }));
  }

  /** "invalid_code" is one answer for wrong, used and expired; who holds the id may ask which. */
  async function explain(error, { otp }) {
    error.key = OWN_WORDS[error.code];
    if (error.code === "too_many_attempts") {
      delete error.retryAfter; // waiting does not help this code
      endTries();
    }
    newAccount.hidden = error.code !== "reauthentication_required" || open.purpose !== "login";
    if (error.code !== "invalid_code") throw error;
    const { state, attempts_left: left } = await client.verification(open.verification_id).catch(() => ({}));
    refused = Object.assign(error, { otp }, missWords(state, left));
    throw refused;
  }

  function missWords(state, left) {
    if (state === "verified") return { key: "code.used" };
    if (state === "expired" || !secondsTill(open.expires_at)) return { key: "code.expired" };
    if (left === 0) {
      endTries();
      return { key: "code.spent" };
    }
    return left ? { key: "code.wrong", values: { left } } : {};
  }

  /** Only a new code helps now. */
  function endTries() {
    isSpent = input.readOnly = true;
    confirm.ariaDisabled = "true";
    inbox.expectNew();
    showTimes();
  }

  async function sendAgain() {
    if (again.ariaDisabled === "true") return;
    again.ariaDisabled = "true";
    try {
      const { verification } = await provingIn(form, (options) => resend(open, options));
      start(pending.set({ ...open, ...verification }));
      fill(""); // the old code is dead
      inbox.expectNew();
      showNote(formNote(form), "code.resent");
      input.focus();
    } catch (error) {
      again.ariaDisabled = "false";
      showProblem(form, again, error);
    }
  }

  function start(verification) {
    close();
    refused = undefined;
    isSpent = input.readOnly = false;
    newAccount.hidden = true;
    open = verification;
    const { verification_id, purpose, channel, destination, code_length } = open;
    say($("#code-lead", root), `code.lead_${channel}`, { digits: code_length, destination: destination.replaceAll("*", "•") });
    input.dataset.digits = code_length;
    input.style.setProperty("--digits", code_length);
    $("#reset-field", root).hidden = purpose !== "password_reset";
    releaseButton(confirm);
    confirm.ariaDisabled = "false";
    say(confirm, purpose === "password_reset" ? "code.submit_reset" : "code.submit");
    if (back) $("#code-back", root).href = back(open);
    stopCount = countTo(Math.max(open.resend_at, open.expires_at), showTimes);
    [watching, waitingForSms] = [new AbortController(), new AbortController()];
    follow(verification_id, watching.signal);
    if (channel === "sms") takeFromSms(waitingForSms.signal);
    inbox.open(open);
  }

  function showTimes() {
    const [life, rest] = [secondsTill(open.expires_at), secondsTill(open.resend_at)];
    const words = isSpent ? "code.used_up" : life ? "code.good_for" : "code.ended";
    say($("#code-times", root), words, { clock: clock(life) });
    say(again, rest ? "code.resend_in" : "code.resend", { clock: clock(rest) });
    again.ariaDisabled = String(rest > 0);
  }

  async function follow(id, signal) {
    showState("queued");
    try {
      for await (const { state } of client.watch(id, { signal })) {
        if (signal.aborted) return;
        showState(state);
      }
    } catch {
      // The step works without it.
    }
  }

  function showState(state) {
    const note = $("#code-state", root);
    const known = STATES.has(state) ? state : "sent";
    note.dataset.state = known;
    if (known === "undelivered" || known === "failed") showBad(note, `state.${known}`);
    else showNote(note, stateWords(known));
  }

  function stateWords(state) {
    if (CONCEALED.has(open.purpose) && !open.makes_account && (state === "sent" || state === "queued")) return "state.sent_if";
    return state === "sent" && open.channel === "email" ? "state.sent_email" : `state.${state}`;
  }

  async function takeFromSms(signal) {
    if (!("OTPCredential" in window)) return;
    const message = await navigator.credentials.get({ otp: { transport: ["sms"] }, signal }).catch(() => null);
    if (message) fill(message.code);
  }

  function close() {
    watching?.abort();
    waitingForSms?.abort();
    stopCount?.();
    inbox.close();
  }

  return {
    open(verification) {
      form.reset();
      had = "";
      showNote(formNote(form), "");
      start(verification);
      input.focus();
    },
    close,
  };
}
