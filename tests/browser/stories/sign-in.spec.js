import { e164, expect, newEmail, newMobile, storyOf, test } from "../fixtures.js";

test("Asha signs in on another device: a wrong password, then the right one", async ({ story, newDevice, server }) => {
  const mobile = newMobile();
  await story.signUp(mobile);
  const page = await newDevice();
  const there = storyOf(page, server);
  await there.signIn(mobile, "wrong password");
  await expect(there.password).toHaveAccessibleDescription(/Wrong name or password/);
  await expect(there.password).toBeFocused();
  await there.password.fill("correct horse battery");
  await page.keyboard.press("Enter");
  await there.onAccount();
});

test("by a code instead of the password", async ({ story, newDevice, server }) => {
  const mobile = newMobile();
  await story.signUp(mobile);
  const page = await newDevice();
  const there = storyOf(page, server);
  await page.goto("/#sign-in");
  await page.getByRole("button", { name: "Sign in with a code instead" }).click();
  await expect(there.identifier, "the one thing it needs").toHaveAccessibleDescription("Enter your mobile number or email.");
  await there.identifier.fill(mobile);
  await page.getByRole("button", { name: "Sign in with a code instead" }).click();
  await expect(page.getByText("On its way, if there is an account for it")).toBeVisible();
  await there.useInbox();
  await there.onAccount();
});

test("a forgotten password: a code, a new one, and in", async ({ story, page, newDevice, server }) => {
  const email = newEmail();
  await story.signUp(email);
  const there = storyOf(await newDevice(), server);
  await there.page.goto("/#sign-in");
  await there.identifier.fill(email);
  await there.page.getByRole("link", { name: "Forgot it?" }).click();
  await expect(there.identifier).toHaveValue(email);
  await there.page.getByRole("button", { name: "Send me the code" }).click();
  await there.useInbox();
  await expect(there.page.getByLabel("New password", { exact: true }), "the code alone submits nothing here").toBeFocused();
  await there.page.getByLabel("New password", { exact: true }).fill("a better sentence");
  await there.page.getByRole("button", { name: "Set the new password" }).click();
  await there.onAccount();

  await page.reload();
  await expect(page, "every session from before has ended").toHaveURL(/#sign-in$/);
  await story.signIn(email, "a better sentence");
  await story.onAccount();
});

test("nobody's number: the page says nothing of who has an account", async ({ page, story }) => {
  await page.goto("/#forgot");
  await story.identifier.fill(newMobile());
  await page.getByRole("button", { name: "Send me the code" }).click();
  await expect(page.getByText("On its way, if there is an account for it")).toBeVisible();
  await story.code.fill("123456");
  await page.getByLabel("New password", { exact: true }).fill("a better sentence");
  await page.keyboard.press("Enter");
  await expect(story.code).toHaveAccessibleDescription(/That isn't the code/);
});
