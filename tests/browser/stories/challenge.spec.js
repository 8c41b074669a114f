import { createChallenge, verifySolution } from "altcha-lib";
import { deriveKey } from "altcha-lib/algorithms/pbkdf2";
import { expect, newEmail, newMobile, PASSWORD, test } from "../fixtures.js";

test.use({ settings: { ENROLL__CODES__RESEND_AFTER: "1" } });

const secrets = { hmacSignatureSecret: "of challenges", hmacKeySignatureSecret: "of keys" };
const WORKING = "Checking that this is not a robot…";

/** The server's 403, by ALTCHA's own library: about a second of work. */
async function proofOfWork() {
  const expiresAt = new Date(Date.now() + 300_000);
  const challenge = await createChallenge({ algorithm: "PBKDF2/SHA-256", cost: 50_000, counter: 60, deriveKey, expiresAt, ...secrets });
  return { kind: "pow", ...challenge };
}

/**
 * Asks for a proof before every call to `path`. `verified` has a line for each proof, true where ALTCHA's library takes it.
 * Then the call waits for `letPass()`, and the real server answers it.
 */
async function guard(page, path, challenge = proofOfWork) {
  const seen = { verified: [], bodies: [], letPass: undefined };
  const passes = new Promise((pass) => (seen.letPass = pass));
  await page.route(path, async (route) => {
    const { challenge: payload, ...body } = route.request().postDataJSON();
    seen.bodies.push(body);
    if (!payload) {
      const problem = { status: 403, code: "challenge_required", challenge: await challenge() };
      return route.fulfill({ status: 403, contentType: "application/problem+json", body: JSON.stringify(problem) });
    }
    const proof = JSON.parse(Buffer.from(payload, "base64"));
    seen.verified.push((await verifySolution({ ...proof, deriveKey, ...secrets })).verified);
    await passes;
    return route.continue({ postData: JSON.stringify(body) });
  });
  return seen;
}

const line = (page, words = WORKING) => page.getByText(words).filter({ visible: true });

async function expectQuietLine(page, words) {
  await expect(line(page, words)).toBeVisible();
  await expect(line(page, words)).toHaveAttribute("aria-live", "polite");
}

test("a sign-up that must be proven first: a quiet line, nothing moves, and it goes on by itself", async ({ page, story }) => {
  const seen = await guard(page, "**/auth/register");
  const mobile = newMobile();
  await page.goto("/#sign-up");
  await story.identifier.fill(mobile);
  await story.password.fill(PASSWORD);
  const button = page.getByRole("button", { name: "Send me the code" });
  const before = await page.locator(".card").boundingBox();
  await button.click();
  await expectQuietLine(page);
  await expect(story.identifier).toHaveValue(mobile);
  await expect(story.password).toHaveValue(PASSWORD);
  expect(await page.locator(".card").boundingBox()).toEqual(before);
  await story.expectAccessible();
  await page.getByLabel("Language").selectOption("hi");
  await expectQuietLine(page, "जाँच रहे हैं कि यह कोई रोबोट नहीं है…");
  await page.getByLabel("भाषा").selectOption("en");

  await button.click();
  await expect.poll(() => seen.verified).toEqual([true]);
  seen.letPass();
  await expect(story.code).toBeFocused();
  expect(seen.bodies, "a second click asks nothing").toHaveLength(2);
  expect(seen.bodies[1]).toEqual(seen.bodies[0]);
  await page.goBack();
  await expect(page.getByRole("heading", { name: "Create your account" })).toBeVisible();
  await expect(page.locator(".proving", { hasText: WORKING }), "it is over").toHaveCount(0);
  await page.goForward();
  await story.useInbox();
  await story.onAccount();
});

test("the page is not held up by the work", async ({ page, story }) => {
  const seen = await guard(page, "**/auth/register");
  await page.goto("/#sign-up");
  await story.identifier.fill(newMobile());
  await story.password.fill(PASSWORD);
  await page.evaluate(() => {
    window.longTasks = [];
    new PerformanceObserver((list) => window.longTasks.push(...list.getEntries().map(({ duration }) => duration))).observe({ type: "longtask" });
  });
  await page.getByRole("button", { name: "Send me the code" }).click();
  await expect.poll(() => seen.verified).toEqual([true]);
  const longest = await page.evaluate(() => Math.max(0, ...window.longTasks));
  expect(longest, "milliseconds of one task").toBeLessThan(200);
  seen.letPass();
  await expect(story.code).toBeFocused();
});

test("so do a new code, a login by code, and a forgotten password", async ({ page, story }) => {
  const email = newEmail();
  const again = await guard(page, "**/auth/resend-otp");
  await story.askToSignUp(email);
  await page.getByRole("button", { name: "Send a new code" }).click();
  await expectQuietLine(page);
  again.letPass();
  await expect(page.getByText("A new code is on its way.")).toBeVisible();
  await expect(line(page)).toBeHidden();
  await story.useInbox();
  await story.onAccount();
  await page.getByRole("button", { name: "Sign out", exact: true }).click();
  await expect(page.getByRole("heading", { name: "Welcome back" })).toBeVisible();

  const login = await guard(page, "**/auth/send-otp");
  await story.identifier.fill(email);
  await page.getByRole("button", { name: "Sign in with a code instead" }).click();
  await expectQuietLine(page);
  login.letPass();
  await expect(story.code).toBeFocused();

  const forgot = await guard(page, "**/auth/forgot-password");
  await page.goto("/#forgot");
  await story.identifier.fill(email);
  await page.getByRole("button", { name: "Send me the code" }).click();
  await expectQuietLine(page);
  forgot.letPass();
  await expect(story.code).toBeFocused();
  expect([again, login, forgot].map(({ verified }) => verified)).toEqual([[true], [true], [true]]);
});

test("and a second address of the account", async ({ page, story }) => {
  await story.signUp(newMobile());
  const seen = await guard(page, "**/users/me/contacts");
  await page.locator("#contact-rows").getByRole("button", { name: "Add" }).click();
  await page.getByRole("textbox", { name: "Email" }).fill(newEmail());
  const before = await page.locator("#contact-form").boundingBox();
  await page.getByRole("button", { name: "Send the code" }).click();
  await expectQuietLine(page);
  expect(await page.locator("#contact-form").boundingBox()).toEqual(before);
  await expect.poll(() => seen.verified).toEqual([true]);
  // The next step is taller and moves what is below: no fault where the person has just done something.
  await page.keyboard.press("Tab");
  seen.letPass();
  await story.useInbox();
  await expect(page.getByText("Verified. It is yours now.")).toBeVisible();
});

test("a check that the page can't do is said, and nothing typed is lost", async ({ page, story }) => {
  const seen = await guard(page, "**/auth/register", () => ({ kind: "siteverify", site_key: "k", provider: "turnstile" }));
  const mobile = newMobile();
  await page.goto("/#sign-up");
  await story.identifier.fill(mobile);
  await story.password.fill(PASSWORD);
  await page.getByRole("button", { name: "Send me the code" }).click();
  await expect(page.getByRole("alert").filter({ hasText: "We must check that you are a person" })).toBeVisible();
  await expect(line(page)).toBeHidden();
  await expect(story.identifier).toHaveValue(mobile);
  await expect(story.password).toHaveValue(PASSWORD);
  expect(seen.bodies).toHaveLength(1);
});

for (const [locale, name, words] of [
  ["en-IN", "Send me the code", WORKING],
  ["hi-IN", "मुझे कोड भेजें", "जाँच रहे हैं कि यह कोई रोबोट नहीं है…"],
]) {
  test.describe(locale, () => {
    test.use({ locale });

    test("it has room for the line at 320 pixels", async ({ page, story }) => {
      await page.setViewportSize({ width: 320, height: 700 });
      await guard(page, "**/auth/register");
      await page.goto("/#sign-up");
      await page.locator("#sign-up-identifier").fill(newMobile());
      await page.locator("#sign-up-password").fill(PASSWORD);
      const before = await page.locator(".card").boundingBox();
      await page.getByRole("button", { name }).click();
      await expectQuietLine(page, words);
      expect(await page.locator(".card").boundingBox()).toEqual(before);
      await story.expectNoSidewaysScroll();
    });
  });
}
