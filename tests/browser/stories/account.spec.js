import { readFile } from "node:fs/promises";
import { expect, newEmail, newMobile, PASSWORD, storyOf, test } from "../fixtures.js";

const signUpAndIn = async ({ story, newDevice, server }, mobile) => {
  await story.signUp(mobile);
  const there = storyOf(await newDevice(), server);
  await there.signIn(mobile);
  await there.onAccount();
  return there;
};

const contactRow = (page, kind) => page.locator("#contact-rows").getByRole("listitem").filter({ hasText: kind });

test("Asha changes her name and the language of the messages", async ({ page, story }) => {
  await story.signUp(newMobile());
  await page.getByLabel("Name", { exact: true }).fill("  Asha Rao ");
  await page.getByLabel("Language of our messages").selectOption("hi");
  await page.getByRole("button", { name: "Save" }).click();
  await expect(page.getByText("Saved.")).toBeVisible();
  await expect(page.getByRole("heading", { name: "Hello, Asha Rao" })).toBeVisible();
  await page.reload();
  await expect(page.getByLabel("Name", { exact: true })).toHaveValue("Asha Rao");
  await expect(page.getByLabel("Language of our messages")).toHaveValue("hi");
  await page.getByLabel("Name", { exact: true }).fill("");
  await page.getByRole("button", { name: "Save" }).click();
  await expect(page.getByRole("heading", { name: "Your account" })).toBeVisible();
});

test("she adds an email by its code, over a reload, and changes it", async ({ page, story }) => {
  const [first, second] = [newEmail(), newEmail()];
  await story.signUp(newMobile());
  const row = contactRow(page, "Email");
  await row.getByRole("button", { name: "Add" }).click();
  await page.getByRole("textbox", { name: "Email" }).fill("not an email");
  await page.getByRole("button", { name: "Send the code" }).click();
  await expect(page.getByRole("textbox", { name: "Email" })).toHaveAccessibleDescription(/doesn't look right|neither/);
  await page.getByRole("textbox", { name: "Email" }).fill(first);
  await page.getByRole("button", { name: "Send the code" }).click();
  await expect(story.code).toBeFocused();
  await page.reload();
  await story.useInbox();
  await expect(page.getByText("Verified. It is yours now.")).toBeVisible();
  await expect(row).toContainText(first);
  await expect(row).toContainText("Verified");

  await row.getByRole("button", { name: "Change" }).click();
  await page.getByRole("textbox", { name: "Email" }).fill(second);
  await page.getByRole("button", { name: "Send the code" }).click();
  await story.useInbox();
  await expect(row).toContainText(second);
});

/** A server may be older than the page. */
const offers = async (server, method, path) => ![404, 405].includes((await fetch(`${server.url}/api/v1${path}`, { method })).status);

test("she removes her email again", async ({ page, story, server }) => {
  test.skip(!(await offers(server, "DELETE", "/users/me/contacts/email")), "this server removes no contacts");
  await story.signUp(newMobile());
  const row = contactRow(page, "Email");
  await row.getByRole("button", { name: "Add" }).click();
  await page.getByRole("textbox", { name: "Email" }).fill(newEmail());
  await page.getByRole("button", { name: "Send the code" }).click();
  await story.useInbox();
  await row.getByRole("button", { name: "Remove" }).click();
  await page.locator("#contact-form").getByRole("button", { name: "Remove" }).click();
  await expect(page.getByText("Removed.")).toBeVisible();
  await expect(row).toContainText("None yet");
});

test("what an older server doesn't offer is said once, and hidden", async ({ page, story }) => {
  const unknown = { status: 404, contentType: "application/problem+json", body: '{"code":"not_found"}' };
  await page.route("**/users/me/export", (route) => route.fulfill(unknown));
  await page.route("**/users/me/contacts/email", (route) => route.fulfill(unknown));
  await story.signUp(newMobile());
  await page.getByRole("button", { name: "Download my data" }).click();
  await expect(page.getByText("This server does not offer that.")).toBeVisible();
  await expect(page.getByRole("button", { name: "Download my data" })).toBeHidden();

  const row = contactRow(page, "Email");
  await row.getByRole("button", { name: "Add" }).click();
  await page.getByRole("textbox", { name: "Email" }).fill(newEmail());
  await page.getByRole("button", { name: "Send the code" }).click();
  await story.useInbox();
  await row.getByRole("button", { name: "Remove" }).click();
  await page.locator("#contact-form").getByRole("button", { name: "Remove" }).click();
  await expect(row.getByRole("button", { name: "Remove" })).toBeHidden();
});

test("she changes her password; the other device is signed out", async ({ page, story, newDevice, server }) => {
  const mobile = newMobile();
  const there = await signUpAndIn({ story, newDevice, server }, mobile);
  await there.page.getByLabel("Your password").filter({ visible: true }).fill("not my password");
  await there.page.getByLabel("New password", { exact: true }).filter({ visible: true }).fill("a better sentence");
  await there.page.getByRole("button", { name: "Change password" }).click();
  await expect(there.page.locator("#current-password")).toHaveAccessibleDescription("That isn't your password.");
  await there.page.locator("#current-password").fill(PASSWORD);
  await there.page.getByRole("button", { name: "Change password" }).click();
  await expect(there.page.getByText("Changed. Every other device is signed out.")).toBeVisible();

  await page.getByLabel("Name", { exact: true }).fill("Too late");
  await page.getByRole("button", { name: "Save" }).click();
  await expect(page).toHaveURL(/#sign-in$/);
  await story.signIn(mobile, "a better sentence");
  await story.onAccount();
});

test("a password manager finds where the password is changed", async ({ page, story }) => {
  await story.signUp(newMobile());
  await page.goto("/.well-known/change-password");
  await expect(page.locator("#current-password")).toBeFocused();
});

test("she signs out a device that she doesn't know", async ({ page, story, newDevice, server }) => {
  const there = await signUpAndIn({ story, newDevice, server }, newMobile());
  await page.reload();
  const sessions = page.getByRole("region", { name: "Where you're signed in" });
  await expect(sessions.getByRole("listitem")).toHaveCount(2);
  await expect(sessions.getByRole("listitem").first()).toContainText("This device");
  await sessions.getByRole("button", { name: "Sign out Chrome on Linux" }).click();
  await expect(page.getByText("Signed out there.")).toBeVisible();
  await expect(sessions.getByRole("listitem")).toHaveCount(1);
  await there.page.reload();
  await expect(there.page).toHaveURL(/#sign-in$/);
});

test("she signs out everywhere", async ({ page, story, newDevice, server }) => {
  const there = await signUpAndIn({ story, newDevice, server }, newMobile());
  await there.page.getByRole("button", { name: "Sign out everywhere" }).click();
  await expect(there.page).toHaveURL(/#sign-in$/);
  await page.reload();
  await expect(page).toHaveURL(/#sign-in$/);
});

test("she downloads her data", async ({ page, story, server }) => {
  test.skip(!(await offers(server, "GET", "/users/me/export")), "this server exports nothing");
  const mobile = newMobile();
  await story.signUp(mobile);
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Download my data" }).click()]);
  expect(download.suggestedFilename()).toMatch(/\.json$/);
  const all = JSON.parse(await readFile(await download.path(), "utf8"));
  expect(all.user.mobile).toBe(`+91${mobile.replaceAll(" ", "")}`);
});

test("she deletes her account, on a device that must ask for the password", async ({ story, newDevice, server }) => {
  const mobile = newMobile();
  const there = await signUpAndIn({ story, newDevice, server }, mobile);
  const { page } = there;
  await page.getByRole("button", { name: "Delete my account" }).click();
  await expect(page.getByRole("dialog", { name: "Delete your account?" })).toBeVisible();
  await expect(page.getByRole("button", { name: "Keep it" })).toBeFocused();
  await page.keyboard.press("Escape");
  await expect(page.getByRole("dialog")).toBeHidden();
  await page.getByRole("button", { name: "Delete my account" }).click();
  await page.getByRole("button", { name: "Delete it for good" }).click();
  await expect(page.locator("#delete-password")).toHaveAccessibleDescription("Enter your password to go on.");
  await page.locator("#delete-password").fill(PASSWORD);
  await page.keyboard.press("Enter");
  await expect(page.getByRole("heading", { name: "Your account is deleted" })).toBeVisible();
  await there.signIn(mobile);
  await expect(there.password).toHaveAccessibleDescription(/Wrong name or password/);
});
