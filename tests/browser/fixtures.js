import { AxeBuilder } from "@axe-core/playwright";
import { test as base, expect } from "@playwright/test";
import { startServer } from "./server.js";

export { expect };

const MOST_LAYOUT_SHIFT = 0.02;
export const PASSWORD = "correct horse battery";

// A server that keeps its data has seen the people of earlier runs.
let people = Date.now() % 90_000;
/** A mobile number that nobody in this run has had, as one types it. */
export const newMobile = () => `98765 ${10_000 + (people++ % 90_000)}`;
export const newEmail = () => `asha${people++}@example.com`;
export const e164 = (mobile) => `+91${mobile.replaceAll(" ", "")}`;

/** Fails on what no story may show: a script error, a CSP violation, a layout that jumps. */
async function watch(context) {
  const wrong = [];
  const shifts = new Map();
  context.on("weberror", (problem) => wrong.push(problem.error().stack));
  context.on("console", (message) => {
    if (message.type() === "error" && /Content Security Policy|Refused to/i.test(message.text())) wrong.push(message.text());
  });
  await context.exposeBinding("tellShift", ({ page }, { value, what }) => {
    const seen = shifts.get(page) ?? { sum: 0, parts: [] };
    seen.sum += value;
    seen.parts.push(`${page.url()} ${value.toFixed(4)} ${what}`);
    shifts.set(page, seen);
  });
  await context.addInitScript(() => {
    const name = (node) => (node?.outerHTML ?? node?.textContent ?? "").slice(0, 90);
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) {
        if (!entry.hadRecentInput) window.tellShift({ value: entry.value, what: entry.sources.map(({ node }) => name(node)).join(" | ") });
      }
    }).observe({ type: "layout-shift", buffered: true });
  });
  return () => {
    expect(wrong).toEqual([]);
    for (const { sum, parts } of shifts.values()) expect(sum, parts.join("\n")).toBeLessThan(MOST_LAYOUT_SHIFT);
  };
}

export const test = base.extend({
  settings: [{}, { scope: "worker", option: true }],

  server: [
    async ({ settings }, use) => {
      const outside = process.env.ENROLL_BASE_URL;
      const server = outside ? { url: outside, stop() {} } : await startServer(settings);
      await use(server);
      await server.stop();
    },
    { scope: "worker" },
  ],

  baseURL: async ({ server }, use) => use(server.url),

  context: async ({ context }, use) => {
    const check = await watch(context);
    await use(context);
    check();
  },

  /** Another phone or computer of the same person. */
  newDevice: async ({ browser, baseURL }, use) => {
    const opened = [];
    await use(async (options) => {
      const context = await browser.newContext({ baseURL, ...options });
      opened.push([context, await watch(context)]);
      return context.newPage();
    });
    for (const [context, check] of opened) {
      check();
      await context.close();
    }
  },

  story: async ({ page, server }, use) => use(storyOf(page, server)),
});

/** The verbs that the stories share. */
export function storyOf(page, server) {
  return {
    page,
    identifier: page.getByLabel("Mobile number or email").filter({ visible: true }),
    password: page.getByLabel("Password", { exact: true }).filter({ visible: true }),
    code: page.getByLabel("Code", { exact: true }),

    async inbox(to) {
      const answer = await fetch(`${server.url}/dev/inbox?to=${encodeURIComponent(to)}`);
      return answer.json();
    },

    async newestCode(to, { after } = {}) {
      let otp;
      await expect.poll(async () => (otp = (await this.inbox(to)).find(({ otp }) => otp)?.otp) && otp !== after).toBe(true);
      return otp;
    },

    async askToSignUp(identifier, password = PASSWORD) {
      await page.goto("/#sign-up");
      await this.identifier.fill(identifier);
      await this.password.fill(password);
      await page.getByRole("button", { name: "Send me the code" }).click();
      await expect(page.getByRole("heading", { name: "Enter the code" })).toBeVisible();
    },

    async useInbox() {
      await page.getByRole("button", { name: "Use this code" }).click();
    },

    async signUp(identifier, password) {
      await this.askToSignUp(identifier, password);
      await this.useInbox();
      await this.onAccount();
    },

    async signIn(identifier, password = PASSWORD) {
      await page.goto("/#sign-in");
      await this.identifier.fill(identifier);
      await this.password.fill(password);
      await page.getByRole("button", { name: "Sign in", exact: true }).click();
    },

    async onAccount() {
      await expect(page).toHaveURL(/\/account$/);
      await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
    },

    async expectAccessible() {
      const { violations } = await new AxeBuilder({ page }).analyze();
      const told = violations.flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`));
      expect(told).toEqual([]);
    },

    async expectNoSidewaysScroll() {
      const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
      expect(content).toBeLessThanOrEqual(window);
    },
  };
}
