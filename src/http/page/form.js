import { $, element, labelled, showBad, showNote } from "./ui.js";
import { clock, hasWords, say } from "./words.js";
import { countTo, timeIn } from "./time.js";

/**
 * Every form of the page goes this way: what is missing is said, a second click does nothing, a lost connection waits
 * for the next one with all that was typed, and a problem is said where its cause is.
 */
export function onSubmit(form, action) {
  form.noValidate = true;
  for (const input of form.querySelectorAll("input[type=password]")) addReveal(input);
  form.addEventListener("input", ({ target }) => clearNote(target));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = event.submitter ?? $("button:not([type=button])", form);
    if (form.ariaBusy === "true" || button.ariaDisabled === "true") return;
    clearNotes(form);
    const needed = button.value === "code" ? ["identifier"] : null;
    if (findMissing(form, needed)) return;
    form.ariaBusy = "true";
    button.classList.add("working");
    try {
      await whenOnline(form, () => action(valuesOf(form), button.value));
    } catch (error) {
      showProblem(form, button, error);
    } finally {
      form.ariaBusy = "false";
      button.classList.remove("working");
    }
  });
}

const valuesOf = (form) => Object.fromEntries(new FormData(form));
export const isShown = (input) => !input.closest("[hidden]");

/** Tells the first field that can't be right, without asking the server. */
function findMissing(form, names) {
  for (const input of form.querySelectorAll("input[required]")) {
    if (!isShown(input) || (names && !names.includes(input.name))) continue;
    const length = [...input.value].length;
    const code = length === 0 ? "required" : length < input.minLength ? "too_short" : null;
    if (code) return showFieldProblem(input, code);
  }
  return false;
}

/** Runs it now, or when the connection is back; not any more if the person has gone to another step meanwhile. */
async function whenOnline(form, action) {
  for (;;) {
    if (!navigator.onLine) await new Promise((back) => window.addEventListener("online", back, { once: true }));
    if (!isShown(form)) return;
    try {
      return await action();
    } catch (error) {
      if (navigator.onLine || error.code !== "network") throw error;
    }
  }
}

/** Makes a call that sends a code, and says so while it must be proven first that no robot asks. */
export async function provingIn(form, call) {
  const note = $(".proving", form);
  try {
    return await call({ onChallenge: () => say(note, "challenge.working") });
  } finally {
    say(note, "");
  }
}

function addReveal(input) {
  const button = labelled(element("button", { type: "button", className: "reveal", ariaPressed: "false" }), "password.show");
  button.setAttribute("aria-controls", input.id);
  button.addEventListener("click", () => {
    const shows = input.type === "password";
    input.type = shows ? "text" : "password";
    button.ariaPressed = String(shows);
    say(button, shows ? "password.hide" : "password.show");
    input.focus();
  });
  const box = element("div", { className: "with-reveal" });
  input.replaceWith(box);
  box.append(input, button);
}

// Notes and problems

const noteOf = (input) => document.getElementById(input.getAttribute("aria-describedby"));
export const formNote = (form) => $(".form-note", form);

/** An error takes the place of the field's hint, so that nothing moves. */
function showOnInput(input, key, values) {
  const note = noteOf(input);
  if (input.ariaInvalid !== "true") note.dataset.hint = note.dataset.t ?? "";
  input.ariaInvalid = "true";
  input.closest(".field").hidden = false;
  showBad(note, key, values);
  input.focus();
  if (input.name === "otp") input.select();
}

function clearNote(input) {
  if (input.ariaInvalid !== "true") return;
  input.ariaInvalid = "false";
  showNote(noteOf(input), noteOf(input).dataset.hint);
}

function clearNotes(form) {
  form.querySelectorAll("[aria-invalid=true]").forEach(clearNote);
  if (formNote(form)) showNote(formNote(form), "");
}

/** The words for this input come before those for all; returns true. */
function showFieldProblem(input, code) {
  const name = input.type === "password" ? "password" : input.name;
  const key = [`field.${name}.${code}`, `field.${code}`].find(hasWords) ?? "field.invalid";
  showOnInput(input, key, { digits: input.dataset.digits });
  return true;
}

const BUSY = new Set(["unavailable", "overloaded", "request_timeout", "request_in_progress"]);
const SIGN_IN_HELPS = new Set(["problem.account_exists", "code.used", "code.dormant"]);

export function wordsFor({ code, status }) {
  const own = `problem.${code}`;
  if (hasWords(own)) return own;
  if (BUSY.has(code) || status >= 502) return "problem.busy";
  return status === 404 || status === 405 ? "problem.unsupported" : "problem.other";
}

/**
 * `data-fields` names the API's fields that an input stands for, `data-problems` the codes that are said at it. A form
 * that knows better words sets them as the error's `key` and `values`.
 */
export function showProblem(form, button, error) {
  if (error.name === "AbortError") return;
  if (!error.code) throw error;
  const inputs = [...form.querySelectorAll("[data-fields], [data-problems]")];
  const at = (list, name) => inputs.find((input) => input.dataset[list]?.split(" ").includes(name));

  for (const { field, code } of error.fields ?? []) {
    const input = at("fields", field);
    if (input && error.code === "invalid_fields") return showFieldProblem(input, code);
  }
  const [key, values] = error.key ? [error.key, error.values] : [wordsFor(error), { id: error.requestId }];
  const input = at("problems", error.code);
  if (input) showOnInput(input, key, values);
  else showBad(formNote(form), key, values);
  if (SIGN_IN_HELPS.has(key) && $("#sign-in-form")) addLink(noteOf(input), "#sign-in", "sign_in.link");
  if (error.retryAfter) holdButton(button, error.retryAfter);
}

function addLink(note, href, key) {
  note.append(" ", labelled(element("a", { href }), key));
}

const holds = new WeakMap();

/** The wait is counted in the button, which no screen reader reads out by itself. */
function holdButton(button, seconds) {
  const key = button.dataset.t;
  button.ariaDisabled = "true";
  const stop = countTo(timeIn(seconds), (left) => {
    if (left) say(button, "wait.again", { clock: clock(left) });
    else releaseButton(button);
  });
  holds.set(button, { key, stop });
}

export function releaseButton(button) {
  const held = holds.get(button);
  if (!held) return;
  held.stop();
  holds.delete(button);
  button.ariaDisabled = "false";
  say(button, held.key);
}
