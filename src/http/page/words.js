// Every word on the page comes from here. A language is one object in a file of its own; what it lacks is said in English.
import en from "./words-en.js";
import hi from "./words-hi.js";

const languages = { en, hi };
const KEPT = "enroll.language";
const page = document.documentElement;
const valuesOf = new WeakMap();

let language = [localStorage.getItem(KEPT), ...navigator.languages.map((tag) => tag.split("-")[0])].find((tag) => languages[tag]) ?? "en";

export const currentLanguage = () => language;
export const languageNames = () => Object.entries(languages).map(([tag, words]) => [tag, words.language_name]);

export const hasWords = (key) => key in en;

export function text(key, values = {}) {
  const word = languages[language][key] ?? en[key] ?? key;
  if (typeof word === "function") return word(values);
  return word.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? common[name]?.() ?? "");
}

const common = {
  brand: () => page.dataset.brand,
  min: () => page.dataset.minPassword,
  country: () => new Intl.DisplayNames([language], { type: "region" }).of(page.dataset.region),
};

/** Says it now, and again in the other language when that is chosen. */
export function say(element, key, values) {
  if (key) element.dataset.t = key;
  else delete element.dataset.t;
  valuesOf.set(element, values);
  const words = key ? text(key, values) : "";
  // Unchanged words are left alone: a live region would read them again.
  if (element.textContent !== words) element.textContent = words;
}

export function translate(root = document) {
  page.lang = language;
  for (const element of root.querySelectorAll("[data-t]")) say(element, element.dataset.t, valuesOf.get(element));
  for (const element of root.querySelectorAll("[data-t-label]")) element.ariaLabel = text(element.dataset.tLabel, valuesOf.get(element));
}

/** Fills the switch and keeps what is chosen; `onChange` redraws what `say` doesn't know. */
export function startLanguage(select, onChange = () => {}) {
  select.append(...languageNames().map(([tag, name]) => new Option(name, tag, false, tag === language)));
  select.addEventListener("change", () => {
    language = select.value;
    localStorage.setItem(KEPT, language);
    translate();
    onChange();
  });
  translate();
  page.dataset.ready = "";
}

export const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
// Dates as the person's own country writes them, in the language of the page.
const locale = () => navigator.languages.find((tag) => tag.split("-")[0] === language) ?? language;
export const date = (time) => new Intl.DateTimeFormat(locale(), { dateStyle: "long" }).format(new Date(time));

export function ago(time) {
  const seconds = Math.max(0, (Date.now() - new Date(time)) / 1000);
  const [unit, size] = [["day", 86400], ["hour", 3600], ["minute", 60]].find(([, size]) => seconds >= size) ?? ["second", 60];
  return new Intl.RelativeTimeFormat(locale(), { numeric: "auto" }).format(-Math.floor(seconds / size), unit);
}
