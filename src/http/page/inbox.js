// The development inbox beside the page. It is served only where codes are printed instead of sent.
import { $, element, labelled } from "./ui.js";
import { translate } from "./words.js";
import { page } from "./client.js";

const EVERY = 500;
const SHOWN = 6;

export function developmentInbox(root, onUse) {
  if (page.inbox !== "true") return { open() {}, close() {}, expectNew() {} };
  root.className = "inbox";
  root.hidden = false;
  root.innerHTML = `
    <div class="phone">
      <h2 data-t="inbox.title"></h2>
      <ol class="messages" tabindex="0" aria-labelledby="inbox-about"></ol>
      <p class="empty" data-t="inbox.empty"></p>
    </div>
    <p class="aside-note" id="inbox-about" data-t="inbox.about"></p>`;
  translate(root);

  let timer, verificationId, address, seen;

  const list = $(".messages", root);

  function clear() {
    address = seen = undefined;
    list.replaceChildren();
    $(".empty", root).hidden = false;
  }

  async function poll() {
    if (document.hidden) return;
    // Only the message knows the whole address; the page was told a mask.
    const query = address ? `?to=${encodeURIComponent(address)}` : "";
    const messages = await fetch(`/dev/inbox${query}`).then((answer) => answer.json(), () => []);
    address ??= messages.find((message) => message.verification_id === verificationId)?.to;
    if (address) show(messages.filter(({ to }) => to === address).slice(0, SHOWN).reverse());
  }

  function show(messages) {
    const newest = messages.at(-1)?.at;
    if (newest === seen) return;
    seen = newest;
    list.replaceChildren(...messages.map((message) => bubble(message, message.at === newest)));
    $(".empty", root).hidden = true;
    list.scrollTop = list.scrollHeight;
  }

  function bubble({ body, otp }, isNewest) {
    const [before, after = ""] = otp ? body.split(otp, 2) : [body];
    const item = element("li", {}, element("p", {}, before, ...(otp ? [element("mark", { textContent: otp })] : []), after));
    if (otp && isNewest) item.append(labelled(element("button", { type: "button", onclick: () => onUse(otp) }), "inbox.use"));
    return item;
  }

  return {
    open({ verification_id }) {
      this.close();
      if (verification_id !== verificationId) clear();
      verificationId = verification_id;
      timer = setInterval(poll, EVERY);
      poll();
    },
    close: () => clearInterval(timer),
    /** After a resend: the code that is shown is dead, and the new one comes in a moment. */
    expectNew: () => $(".messages button", root)?.remove(),
  };
}
