import { e164, expect, newEmail, newMobile, storyOf, test } from "../fixtures.js";

test.use({ settings: { ENROLL__REGISTRATIONS__PASSWORD: "optional", ENROLL__CODES__RESEND_AFTER: "0" } });

async function enter(story, identifier) {
  await story.page.goto("/");
  await story.identifier.fill(identifier);
  await story.page.getByRole("button", { name: "Send me the code" }).click();
  await story.useInbox();
  await story.onAccount();
}

test("Asha has no password: one code signs her up, the next one in", async ({ page, story, newDevice, server }) => {
  const mobile = newMobile();
  await page.goto("/");
  await expect(page.getByRole("heading", { name: "Sign in or sign up" })).toBeVisible();
  await expect(story.password).toHaveCount(0);
  await story.expectAccessible();
  await story.expectNoSidewaysScroll();
  await story.identifier.fill(mobile);
  await page.keyboard.press("Enter");
  await expect(page.getByText("Handed to the network")).toBeVisible();
  await story.useInbox();
  await story.onAccount();
  const since = await page.locator("#since").textContent();
  const there = storyOf(await newDevice(), server);
  await enter(there, mobile);
  await expect(there.page.locator("#since")).toHaveText(since);
  await expect(there.page.locator("#session-rows li")).toHaveCount(2);
});

test("by email, and a password later, without one before it", async ({ page, story }) => {
  const email = newEmail();
  await enter(story, email);
  await expect(page.locator("#current-password-field")).toBeHidden();
  const setPassword = async () => {
    await page.locator("#new-password").fill("a first sentence");
    await page.getByRole("button", { name: "Change password" }).click();
  };
  // In an old session the page says how to go on, and asks for no password that there isn't.
  const refusal = { status: 403, contentType: "application/problem+json", body: '{"code":"reauthentication_required"}' };
  await page.route("**/users/me/password", (route) => route.fulfill(refusal), { times: 1 });
  await setPassword();
  await expect(page.getByText("Sign out, and in again by a code, to go on.")).toBeVisible();
  await expect(page.locator("#current-password-field")).toBeHidden();
  await setPassword();
  await expect(page.locator("#current-password-field")).toBeVisible();
  await page.getByRole("button", { name: "Sign out", exact: true }).click();
  await story.signIn(email, "a first sentence");
  await story.onAccount();
});

test("who has a password still signs in with it", async ({ page, story, server }) => {
  const mobile = newMobile();
  const post = (path, body) =>
    fetch(`${server.url}/api/v1${path}`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  const { verification } = await (await post("/auth/register", { mobile, password: "correct horse battery" })).json();
  const otp = await story.newestCode(e164(mobile));
  await post("/auth/verify-otp", { verification_id: verification.verification_id, otp });
  await page.goto("/");
  await page.getByRole("link", { name: "Sign in with it" }).click();
  await story.signIn(mobile);
  await story.onAccount();
});

test("the number was another person's: a new account takes it", async ({ page, story }) => {
  await page.goto("/");
  await story.identifier.fill(newMobile());
  await page.getByRole("button", { name: "Send me the code" }).click();
  let asked;
  await page.route("**/auth/verify-otp", (route) => {
    asked = route.request().postDataJSON();
    if (asked.new_account) return route.continue();
    const refusal = { status: 403, contentType: "application/problem+json", body: '{"code":"reauthentication_required"}' };
    return route.fulfill(refusal);
  });
  await story.useInbox();
  await expect(story.code).toHaveAccessibleDescription(/Use your password or your email this time/);
  await story.expectAccessible();
  await page.getByRole("button", { name: "The number is new to me: start a new account" }).click();
  await story.onAccount();
  expect(asked.new_account).toBe(true);
});
