import { client, identifierOf, page } from "./client.js";
import { pending, typed } from "./pending.js";
import { onSubmit, provingIn } from "./form.js";
import { $, startOfflineNote } from "./ui.js";
import { currentLanguage, say, startLanguage } from "./words.js";
import { codeStep } from "./code-step.js";

// Where a code was asked for, by its purpose: the way back from the code step.
const ORIGINS = { registration: "#sign-up", login: "#sign-in", password_reset: "#forgot" };

// Without passwords one code signs in or up; who has one may still use it.
const isByCode = page.passwords === "optional";

/** For a login id, which is nobody's new name, it is a plain login. */
const sendCode = (address, options) =>
  client.sendCode(isByCode && !address.login_id ? { ...address, register: true, locale: currentLanguage() } : address, options);

const code = codeStep($("[data-step=code]"), $("#inbox"), {
  verify: ({ purpose, verification_id, address }, { otp, new_password, new_account }) =>
    purpose === "password_reset"
      ? client.resetPassword({ ...address, verification_id, otp, new_password })
      : client.verify({ verification_id, otp, new_account }),
  resend: ({ purpose, verification_id, address }, options) => {
    if (purpose === "registration") return client.resend({ verification_id }, options);
    return purpose === "login" ? sendCode(address, options) : client.forgotPassword(address, options);
  },
  done: (_, verification, values) => (verification.purpose === "password_reset" ? signInAgain(verification, values) : enter()),
  back: ({ purpose }) => ORIGINS[purpose],
});

/** A reset ends every session and opens none; who has just chosen the password needn't type it again. */
async function signInAgain({ address }, { new_password }) {
  try {
    await client.login({ ...address, password: new_password });
    enter();
  } catch {
    location.hash = "sign-in";
  }
}

let isEntering = false;
window.addEventListener("pageshow", ({ persisted }) => persisted && (isEntering = false));

/** Both who signs in and the session that opens by it lead here; one of them is enough. */
function enter() {
  if (isEntering) return;
  isEntering = true;
  pending.clear();
  typed.set("");
  location.replace("/account");
}

function awaitCode(address, { verification }) {
  pending.set({ ...verification, address, makes_account: isByCode && !address.login_id });
  location.hash = "code";
}

const signUpForm = $("#sign-up-form");
if (isByCode) {
  $("#sign-up-password").closest(".field").hidden = true;
  say($("#sign-up-title"), "enter.title");
  say($("#sign-up-title + .lead"), "enter.lead");
  say($("#sign-up-form ~ .other span"), "enter.other");
  say($("#sign-up-form ~ .other a"), "enter.link");
}
onSubmit(signUpForm, async ({ identifier, password }) => {
  const { email, mobile, login_id } = identifierOf(identifier);
  // What is no address goes as a number, so that the server says what is wrong with it.
  const address = email ? { email } : { mobile: mobile ?? login_id };
  if (isByCode) return awaitCode(address, await provingIn(signUpForm, (options) => sendCode(address, options)));
  const body = { ...address, password, locale: currentLanguage() };
  awaitCode(address, await provingIn(signUpForm, (options) => client.register(body, options)));
});

const signInForm = $("#sign-in-form");
onSubmit(signInForm, async ({ identifier, password }, by) => {
  const address = identifierOf(identifier);
  if (by === "code") return awaitCode(address, await provingIn(signInForm, (options) => sendCode(address, options)));
  try {
    await client.login({ ...address, password });
    enter();
  } catch (error) {
    if (error.code !== "account_not_activated") throw error;
    awaitCode(address, error);
  }
});

const forgotForm = $("#forgot-form");
onSubmit(forgotForm, async ({ identifier }) => {
  const address = identifierOf(identifier);
  awaitCode(address, await provingIn(forgotForm, (options) => client.forgotPassword(address, options)));
});

const identifiers = document.querySelectorAll("[name=identifier]");

function shareIdentifier(value) {
  typed.set(value);
  for (const input of identifiers) if (input.value !== value) input.value = value;
}

for (const input of identifiers) input.addEventListener("input", () => shareIdentifier(input.value));

function showTitle() {
  document.title = `${$("[data-step]:not([hidden]) h1").textContent} – ${page.brand}`;
}

/** Each step is an address of its own, so that back, forward and reload work as everywhere. */
function showStep() {
  let name = location.hash.slice(1);
  if (!$(`[data-step="${CSS.escape(name)}"]`) || (name === "code" && !pending.get())) name = "sign-up";
  for (const section of document.querySelectorAll("[data-step]")) section.hidden = section.dataset.step !== name;
  document.body.dataset.at = name;
  showTitle();
  if (name === "code") return code.open(pending.get());
  code.close();
  const section = $(`[data-step="${name}"]`);
  (([...section.querySelectorAll("input")].find((input) => !input.value)) ?? $("button.primary, [tabindex]", section)).focus();
}

if ((await client.session.current()) && location.hash !== "#goodbye") enter();
else {
  startLanguage($("#language"), showTitle);
  startOfflineNote();
  shareIdentifier(typed.get());
  window.addEventListener("hashchange", showStep);
  // Another tab has finished it.
  client.session.onChange((session) => session && enter());
  showStep();
}
