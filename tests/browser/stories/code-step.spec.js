import { e164, expect, newMobile, test } from "../fixtures.js";

const wrongFor = (code) => (code === "123456" ? "654321" : "123456");

test("a wrong code, then the right one", async ({ page, story }) => {
  const mobile = newMobile();
  await story.askToSignUp(mobile);
  const right = await story.newestCode(e164(mobile));
  await story.code.pressSequentially(wrongFor(right));
  await expect(page, "typing alone submits nothing").toHaveURL(/#code$/);
  await page.getByRole("button", { name: "Confirm" }).click();
  await expect(story.code).toHaveAccessibleDescription("That isn't the code. 4 tries left.");
  await expect(story.code).toBeFocused();

  await page.getByRole("button", { name: "Confirm" }).click();
  await expect(story.code, "the same wrong code costs no second try").toHaveAccessibleDescription("That isn't the code. 4 tries left.");

  await story.code.pressSequentially(right);
  await page.keyboard.press("Enter");
  await story.onAccount();
});

test("a code is pasted as the message has it, and goes off by itself", async ({ page, story, context }) => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  for (const separator of [" ", "-"]) {
    await context.clearCookies();
    const mobile = newMobile();
    await story.askToSignUp(mobile);
    const code = await story.newestCode(e164(mobile));
    await page.evaluate((text) => navigator.clipboard.writeText(text), `${code.slice(0, 3)}${separator}${code.slice(3)}`);
    await story.code.focus();
    await page.keyboard.press("Control+v");
    await story.onAccount();
    await page.getByRole("button", { name: "Sign out", exact: true }).click();
    await expect(page.getByRole("heading", { name: "Welcome back" })).toBeVisible();
  }
});

test("reload and the back button on the code step", async ({ page, story }) => {
  const mobile = newMobile();
  await story.askToSignUp(mobile);
  await page.reload();
  await expect(page.getByRole("heading", { name: "Enter the code" })).toBeVisible();
  await expect(page.getByText(`to +91••••••${mobile.slice(-4)}`)).toBeVisible();

  await page.goBack();
  await expect(page.getByRole("heading", { name: "Create your account" })).toBeVisible();
  await expect(story.identifier, "typed before the reload").toHaveValue(mobile);
  await page.goForward();
  await expect(story.code).toBeFocused();
  await story.useInbox();
  await story.onAccount();
});

test("offline and back: it goes on by itself", async ({ page, story, context }) => {
  const mobile = newMobile();
  await page.goto("/");
  await story.identifier.fill(mobile);
  await story.password.fill("correct horse battery");
  await context.setOffline(true);
  await expect(page.getByText("You are offline. We'll go on when you're back.")).toBeVisible();
  await page.getByRole("button", { name: "Send me the code" }).click();
  await expect(story.identifier).toHaveValue(mobile);
  await context.setOffline(false);
  await expect(page.getByRole("heading", { name: "Enter the code" })).toBeVisible();

  const code = await story.newestCode(e164(mobile));
  await context.setOffline(true);
  await story.code.pressSequentially(code);
  await page.keyboard.press("Enter");
  await expect(page.getByText("You are offline.")).toBeVisible();
  await context.setOffline(false);
  await story.onAccount();
});

test("a code from the SMS fills itself in, and the wait for it ends with the step", async ({ page, story }) => {
  // Desktop Chromium has no WebOTP: this is its shape.
  await page.addInitScript(() => {
    window.OTPCredential = class {};
    navigator.credentials.get = ({ otp, signal }) =>
      new Promise((resolve, reject) => {
        window.asked = otp.transport.join();
        window.arrive = (code) => resolve({ code });
        signal.addEventListener("abort", () => reject(new DOMException("", "AbortError")));
        signal.addEventListener("abort", () => (window.aborted = true));
      });
  });
  const mobile = newMobile();
  await story.askToSignUp(mobile);
  expect(await page.evaluate(() => window.asked)).toBe("sms");
  await page.goBack();
  await expect.poll(() => page.evaluate(() => window.aborted)).toBe(true);
  await page.goForward();
  await expect(story.code).toBeFocused();
  await page.evaluate((code) => window.arrive(code), await story.newestCode(e164(mobile)));
  await story.onAccount();
});

test("what becomes of the message is told as it happens", async ({ page, story }) => {
  let state = "queued";
  await page.route("**/auth/verifications/*", async (route) => {
    const answer = await route.fetch({ url: route.request().url().split("?")[0] });
    await route.fulfill({ response: answer, json: { ...(await answer.json()), state } });
  });
  await story.askToSignUp(newMobile());
  const told = page.getByRole("status").filter({ visible: true });
  await expect(told).toHaveText("Sending…");
  const wordsOf = {
    sent: "Handed to the network",
    delivered: "Delivered",
    one_of_next_year: "Handed to the network",
    undelivered: /^Not delivered/,
  };
  for (const [next, words] of Object.entries(wordsOf)) {
    state = next;
    await expect(told).toHaveText(words);
  }
  await page.getByRole("link", { name: "Use another number or email" }).click();
  await expect(story.identifier).toBeVisible();
});

test("a right code for an account that slept too long leads to the other way in", async ({ page, story }) => {
  const refusal = { status: 403, contentType: "application/problem+json", body: '{"code":"reauthentication_required"}' };
  await page.route("**/auth/verify-otp", (route) => route.fulfill(refusal));
  await story.askToSignUp(newMobile());
  await story.useInbox();
  await page.getByText("You were away for long.").getByRole("link", { name: "Sign in" }).click();
  await expect(page.getByRole("heading", { name: "Welcome back" })).toBeVisible();
});
