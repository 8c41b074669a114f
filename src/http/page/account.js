import { client, page } from "./client.js";
import { pending } from "./pending.js";
import { formNote, isShown, onSubmit, provingIn, showProblem, wordsFor } from "./form.js";
import { $, element, labelled, showNote, startOfflineNote } from "./ui.js";
import { ago, date, languageNames, say, startLanguage, text } from "./words.js";
import { codeStep } from "./code-step.js";

let user, sessions;

// A button outside of a form, with the note where its problem or its success is said.
function onClick(button, note, action) {
  button.addEventListener("click", async () => {
    if (button.ariaBusy === "true" || button.ariaDisabled === "true") return;
    button.ariaBusy = "true";
    showNote(note, "");
    try {
      await action();
    } catch (error) {
      if (error.status === 404 || error.status === 405) button.hidden = true;
      showProblem(note.parentElement, button, error);
    } finally {
      button.ariaBusy = "false";
    }
  });
}

const leave = (step) => location.replace(`/#${step}`);

function show(changed) {
  user = changed;
  say($("#greeting"), user.name ? "account.hello" : "account.title", { name: user.name });
  say($("#since"), "account.since", { date: date(user.created_at) });
  $("#password-form [name=username]").value = user.email ?? user.mobile ?? user.login_id;
  $("#current-password-field").hidden = user.has_password === false;
  showContacts();
}

/** Who has no password proves by a young session who is there. */
async function confirming(action) {
  try {
    return await action();
  } catch (error) {
    if (error.code === "reauthentication_required" && user.has_password === false) error.code = "sign_in_again";
    throw error;
  }
}

// About you

function fillDetails() {
  $("#name").value = user.name ?? "";
  const select = $("#locale");
  const names = languageNames();
  if (user.locale && !names.some(([tag]) => tag === user.locale)) names.push([user.locale, user.locale]);
  select.replaceChildren(...names.map(([tag, name]) => new Option(name, tag)));
  select.value = user.locale ?? document.documentElement.lang;
}

onSubmit($("#details-form"), async ({ name, locale }) => {
  // An emptied field clears the name: an empty string would leave it as it is.
  show(await client.updateMe({ name: name.trim() || null, locale }));
  fillDetails();
  showNote(formNote($("#details-form")), "saved");
});

// Mobile and email

const contactForm = $("#contact-form");
const contactNote = $("#contacts-note");
let canRemove = true;
let contact;

function showContacts() {
  $("#contact-rows").replaceChildren(...["mobile", "email"].map(contactRow));
}

const addressed = (textContent) => element("span", { className: "address", textContent });
const badge = (kind, key) => labelled(element("span", { className: `badge ${kind}` }), key);

function contactRow(kind) {
  const address = user[kind];
  const isVerified = user[`${kind}_verified`];
  const title = labelled(element("span", { className: "kind", id: `contact-kind-${kind}` }), `contacts.${kind}`);
  const about = element("div", { className: "about" }, title);
  if (address) about.append(addressed(address), isVerified ? badge("good", "contacts.verified") : badge("", "contacts.unverified"));
  else about.append(labelled(element("span", { className: "none" }), "contacts.none"));
  const actions = !address ? ["add"] : isVerified ? ["change"] : ["verify", "change"];
  if (address && canRemove && (!isVerified || user.mobile_verified && user.email_verified)) actions.push("remove");
  const buttons = actions.map((action) => {
    const button = labelled(element("button", { className: "secondary", onclick: () => openContact(kind, action) }), `contacts.${action}`);
    button.setAttribute("aria-describedby", `contact-kind-${kind}`);
    return button;
  });
  return element("li", {}, about, element("div", { className: "buttons" }, ...buttons));
}

function openContact(kind, action) {
  closeContact();
  contact = { kind, action };
  contactForm.reset();
  const input = $("#contact");
  const isKnown = action === "verify" || action === "remove";
  say($("#contact-form-title"), `contacts.${action}_${kind}`, { address: user[kind] });
  say($("label", $("#contact-address")), `contacts.${kind}`);
  Object.assign(input, kind === "email" ? { inputMode: "email", autocomplete: "email" } : { inputMode: "tel", autocomplete: "tel" });
  say($("#contact-note"), kind === "mobile" ? "identifier.hint" : "");
  if (isKnown) input.value = user[kind];
  $("#contact-address").hidden = isKnown;
  $("#contact-password").closest(".field").hidden = true;
  say($("button.primary", contactForm), action === "remove" ? "contacts.remove" : "contacts.send");
  contactForm.hidden = false;
  (isKnown ? $("button.primary", contactForm) : input).focus();
}

function closeContact() {
  contactForm.hidden = true;
  $("#contact-code").hidden = true;
  contactCode.close();
  pending.clear();
  showNote(contactNote, "");
}

onSubmit(contactForm, async ({ identifier, current_password }) => {
  const { kind, action } = contact;
  if (action === "remove") {
    show(await confirming(() => removeContact(kind, { current_password })));
    closeContact();
    return showNote(contactNote, "contacts.removed");
  }
  // The kind of the address is the form's, not guessed from what was typed.
  const address = { [kind]: identifier.trim() };
  const body = { ...address, current_password };
  const { verification } = await provingIn(contactForm, (options) => confirming(() => client.addContact(body, options)));
  openCode(pending.set({ ...verification, address }));
});

async function removeContact(kind, body) {
  try {
    return await client.removeContact(kind, body);
  } catch (error) {
    if (error.status === 404 || error.status === 405) {
      canRemove = false;
      showContacts();
    }
    throw error;
  }
}

function openCode(verification) {
  contactForm.hidden = true;
  $("#contact-code").hidden = false;
  contactCode.open(verification);
}

const contactCode = codeStep($("#contact-code-step"), $("#inbox"), {
  heading: "h3",
  verify: ({ verification_id }, { otp }) => client.verifyContact({ verification_id, otp }),
  resend: ({ address }, options) => client.addContact({ ...address, current_password: $("#contact-password").value }, options),
  done: (changed) => {
    show(changed);
    closeContact();
    showNote(contactNote, "contacts.done");
    $("#contact-rows button").focus();
  },
});

for (const id of ["contact-cancel", "code-cancel"]) {
  $(`#${id}`).addEventListener("click", () => {
    closeContact();
    $("#contact-rows button").focus();
  });
}

// Password

onSubmit($("#password-form"), async ({ current_password, new_password }) => {
  await confirming(() => client.changePassword({ current_password, new_password }));
  $("#password-form").reset();
  show(await client.me());
  await loadSessions();
  showNote(formNote($("#password-form")), "password.done");
});

// Sessions

async function loadSessions() {
  ({ sessions } = await client.sessions());
  showSessions();
}

const BROWSERS = [["Edge", /Edg/], ["Opera", /OPR/], ["Firefox", /Firefox|FxiOS/], ["Chrome", /Chrom|CriOS/], ["Safari", /Safari/]];
const SYSTEMS = [["Android", /Android/], ["iPhone", /iPhone/], ["iPad", /iPad/], ["Windows", /Windows/], ["Mac", /Mac OS/], ["Linux", /Linux/]];

function deviceName(agent = "") {
  const nameOf = (list) => list.find(([, pattern]) => pattern.test(agent))?.[0];
  const [browser, system] = [nameOf(BROWSERS), nameOf(SYSTEMS)];
  return browser && system ? text("sessions.device", { browser, system }) : agent?.split(/[\s/]/)[0] || text("sessions.unknown");
}

function showSessions() {
  const rows = sessions.toSorted((a, b) => b.current - a.current || b.last_used_at.localeCompare(a.last_used_at));
  $("#session-rows").replaceChildren(...rows.map(sessionRow));
}

function sessionRow({ id, current, user_agent, address, last_used_at }) {
  const device = deviceName(user_agent ?? "");
  const used = [text("sessions.last_used", { ago: ago(last_used_at) }), address].filter(Boolean).join(" · ");
  const about = element("div", { className: "about" }, addressed(device));
  if (current) about.append(badge("good", "sessions.current"));
  about.append(element("span", { className: "kind", textContent: used }));
  if (current) return element("li", {}, about);
  const button = labelled(element("button", { className: "secondary", ariaLabel: text("sessions.out_label", { device }) }), "sessions.out");
  onClick(button, $("#sessions-note"), async () => {
    await client.revokeSession(id);
    await loadSessions();
    showNote($("#sessions-note"), "sessions.ended");
    $("#sign-out-all").focus();
  });
  return element("li", {}, about, element("div", { className: "buttons" }, button));
}

onClick($("#sign-out-all"), $("#sessions-note"), async () => {
  await client.logoutAll();
  leave("sign-in");
});

onClick($("#sign-out"), $("#sessions-note"), async () => {
  await client.logout();
  leave("sign-in");
});

// Data and the end of it

onClick($("#export"), $("#data-note"), async () => {
  const all = await client.exportMe();
  const href = URL.createObjectURL(new Blob([JSON.stringify(all, null, 2)], { type: "application/json" }));
  element("a", { href, download: `${page.brand}-${user.id}.json` }).click();
  URL.revokeObjectURL(href);
  showNote($("#data-note"), "data.done");
});

const dialog = $("#delete-dialog");
let isDeleted = false;

$("#delete").addEventListener("click", () => {
  $("#delete-form").reset();
  dialog.showModal();
  $("#delete-cancel").focus();
});
$("#delete-cancel").addEventListener("click", () => dialog.close());

onSubmit($("#delete-form"), async ({ current_password }) => {
  isDeleted = true;
  try {
    await confirming(() => client.deleteMe({ current_password }));
  } catch (error) {
    isDeleted = false;
    throw error;
  }
  leave("goodbye");
});

// Start

const PATIENCE = 5;

async function load() {
  try {
    const [me, opened] = await Promise.all([client.me(), client.sessions()]);
    [user, sessions] = [me, opened.sessions];
  } catch (error) {
    // A session that has ended is told to onChange.
    if (error.status === 401) return;
    say($("#trouble"), wordsFor(error), { id: error.requestId });
    setTimeout(load, (error.retryAfter ?? PATIENCE) * 1000);
    return;
  }
  say($("#trouble"), "");
  show(user);
  fillDetails();
  showSessions();
  $("#account").hidden = false;
  const waiting = pending.get();
  if (waiting?.purpose === "contact_change") openCode(waiting);
  // Where /.well-known/change-password leads; the browser looked for it before it was there.
  else if (location.hash === "#password") [...$("#password-form").querySelectorAll("input")].find(isShown).focus();
}

// Another tab, or another device, may end this session.
client.session.onChange((session) => {
  if (!session && !isDeleted) leave("sign-in");
});

const showTitle = () => (document.title = `${text("account.title")} – ${page.brand}`);
startLanguage($("#language"), () => {
  showTitle();
  if (!user) return;
  show(user);
  showSessions();
});
startOfflineNote();
showTitle();
// The browser may show a page that it kept, of a person who has signed out since.
window.addEventListener("pageshow", ({ persisted }) => persisted && location.reload());

if (await client.session.current()) load();
else leave("sign-in");
