import { say } from "./words.js";

export const $ = (selector, root = document) => root.querySelector(selector);

export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

export const labelled = (made, key, values) => (say(made, key, values), made);

export function showNote(note, key, values) {
  note.classList.remove("bad");
  say(note, key, values);
}

export function showBad(note, key, values) {
  note.classList.add("bad");
  say(note, key, values);
}

export function startOfflineNote() {
  const note = $("#offline");
  const show = () => {
    say(note, navigator.onLine ? "" : "offline.now");
    note.classList.toggle("shown", !navigator.onLine);
  };
  window.addEventListener("offline", show);
  window.addEventListener("online", show);
  show();
}
