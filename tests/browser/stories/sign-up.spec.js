import { e164, expect, newEmail, newMobile, PASSWORD, test } from "../fixtures.js";

test("Asha signs up by mobile, with nothing but the page", async ({ page, story }) => {
  const began = Date.now();
  await page.goto("/");
  await expect(page.getByRole("heading", { name: "Create your account" })).toBeVisible();
  await story.identifier.fill(newMobile());
  await story.password.fill(PASSWORD);
  await page.getByRole("button", { name: "Send me the code" }).click();
  await expect(story.code).toBeFocused();
  await expect(page.getByRole("status").filter({ hasText: "Handed to the network" })).toBeVisible();
  await story.useInbox();
  await story.onAccount();
  await expect(page.getByText("Verified", { exact: true })).toBeVisible();
  expect(Date.now() - began).toBeLessThan(60_000);

  await page.goto("/");
  await story.onAccount();
});

test("Bilal signs up by email", async ({ page, story }) => {
  const email = newEmail();
  await story.askToSignUp(email);
  await expect(page.getByText(/4 digits, by email to a•+@example\.com/)).toBeVisible();
  await story.useInbox();
  await story.onAccount();
  await expect(page.getByText(email)).toBeVisible();
});

test("what can't be right is said beside its field, and nothing typed is lost", async ({ page, story }) => {
  await page.goto("/");
  await page.getByRole("button", { name: "Send me the code" }).click();
  await expect(story.identifier).toBeFocused();
  await expect(story.identifier).toHaveAccessibleDescription("Enter your mobile number or email.");

  await story.identifier.fill("asha");
  await story.password.fill("short");
  await page.getByRole("button", { name: "Send me the code" }).click();
  await expect(story.password).toHaveAccessibleDescription("Too short: at least 8 characters.");

  await story.password.fill("password123");
  await page.getByRole("button", { name: "Send me the code" }).click();
  await expect(story.identifier).toBeFocused();
  await expect(story.identifier).toHaveAccessibleDescription("This is neither a mobile number nor an email.");

  await story.identifier.fill("011 2345 6789");
  await page.getByRole("button", { name: "Send me the code" }).click();
  await expect(story.identifier).toHaveAccessibleDescription(/We can't text this number/);

  await story.identifier.fill(newMobile());
  await page.getByRole("button", { name: "Send me the code" }).click();
  await expect(story.password).toHaveAccessibleDescription("Too many people use this one. Choose another.");
  await expect(story.password).toHaveValue("password123");
});

test("who has an account already is shown to sign-in, with the number there", async ({ page, story, newDevice, server }) => {
  const mobile = newMobile();
  await story.signUp(mobile);
  const other = await newDevice();
  await other.goto("/");
  await other.getByLabel("Mobile number or email").filter({ visible: true }).fill(mobile);
  await other.getByLabel("Password", { exact: true }).filter({ visible: true }).fill("another password");
  await other.getByRole("button", { name: "Send me the code" }).click();
  await other.getByText("There is an account with this already.").getByRole("link", { name: "Sign in" }).click();
  await expect(other.getByRole("heading", { name: "Welcome back" })).toBeVisible();
  await expect(other.getByLabel("Mobile number or email").filter({ visible: true })).toHaveValue(mobile);
});

test("who signs in before the code was entered comes to the code", async ({ page, story, newDevice }) => {
  const mobile = newMobile();
  await story.askToSignUp(mobile);
  await page.goto("/#sign-in");
  await story.signIn(mobile);
  await expect(page.getByRole("heading", { name: "Enter the code" })).toBeVisible();
  await story.code.fill(await story.newestCode(e164(mobile)));
  await story.onAccount();
});
