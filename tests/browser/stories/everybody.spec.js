import { e164, expect, newEmail, newMobile, PASSWORD, test } from "../fixtures.js";

for (const colorScheme of ["light", "dark"]) {
  test(`axe finds nothing on any step, ${colorScheme}`, async ({ page, story }) => {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    for (const step of ["sign-up", "sign-in", "forgot", "goodbye"]) {
      await page.goto(`/#${step}`);
      await story.expectAccessible();
    }
    await page.goto("/#sign-up");
    await page.getByRole("button", { name: "Send me the code" }).click();
    await story.expectAccessible();

    const mobile = newMobile();
    await story.askToSignUp(mobile);
    await expect(page.getByRole("button", { name: "Use this code" })).toBeVisible();
    await story.expectAccessible();
    await story.code.fill("000000");
    await expect(story.code).toHaveAccessibleDescription(/That isn't the code/);
    await story.expectAccessible();
    await story.useInbox();
    await story.onAccount();
    await story.expectAccessible();

    await page.getByRole("button", { name: "Add" }).click();
    await page.getByRole("textbox", { name: "Email" }).fill(newEmail());
    await story.expectAccessible();
    await page.getByRole("button", { name: "Send the code" }).click();
    await expect(page.getByRole("button", { name: "Use this code" })).toBeVisible();
    await story.expectAccessible();
    await page.getByRole("button", { name: "Delete my account" }).click();
    await story.expectAccessible();
  });
}

test("at 320 pixels nothing is cut off, on either page", async ({ page, story }) => {
  await page.setViewportSize({ width: 320, height: 568 });
  for (const step of ["sign-up", "sign-in", "forgot"]) {
    await page.goto(`/#${step}`);
    await story.expectNoSidewaysScroll();
  }
  await story.askToSignUp(newMobile());
  await story.expectNoSidewaysScroll();
  await story.useInbox();
  await story.onAccount();
  await story.expectNoSidewaysScroll();
  await page.getByRole("button", { name: "Add" }).click();
  await page.getByRole("textbox", { name: "Email" }).fill(`a-rather-long-address.${newEmail()}`);
  await page.getByRole("button", { name: "Send the code" }).click();
  await story.useInbox();
  await expect(page.getByText("Verified. It is yours now.")).toBeVisible();
  await story.expectNoSidewaysScroll();
});

test("dark where the device is dark", async ({ page }) => {
  await page.emulateMedia({ colorScheme: "dark" });
  await page.goto("/");
  const [ground, ink] = await page.evaluate(() => [getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]);
  expect(ground).toBe("rgb(16, 17, 20)");
  expect(ink).toBe("rgb(238, 239, 241)");
});

test.describe("in Hindi", () => {
  test.use({ locale: "hi-IN" });

  test("Hindi by the browser's wish, English by the switch, and the message too", async ({ page, story }) => {
    const mobile = newMobile();
    await page.goto("/");
    await expect(page.locator("html")).toHaveAttribute("lang", "hi");
    await expect(page.getByRole("heading", { name: "अपना खाता बनाएँ" })).toBeVisible();
    await page.getByLabel("मोबाइल नंबर या ईमेल").filter({ visible: true }).fill(mobile);
    await page.getByLabel("पासवर्ड", { exact: true }).filter({ visible: true }).fill(PASSWORD);
    await page.getByLabel("भाषा").selectOption("en");
    await expect(story.identifier, "a switch loses nothing").toHaveValue(mobile);
    await expect(story.password).toHaveValue(PASSWORD);
    await page.getByLabel("Language", { exact: true }).selectOption("hi");
    await page.getByRole("button", { name: "मुझे कोड भेजें" }).click();
    await expect(page.getByRole("heading", { name: "कोड डालें" })).toBeVisible();
    await expect.poll(async () => (await story.inbox(e164(mobile)))[0]?.body).toMatch(/\p{Script=Devanagari}/u);

    await page.getByLabel("भाषा").selectOption("en");
    await expect(page.getByRole("heading", { name: "Enter the code" })).toBeVisible();
    await expect(page.locator("html")).toHaveAttribute("lang", "en");
    await story.useInbox();
    await story.onAccount();
    await page.reload();
    await expect(page.getByRole("heading", { name: "Your account" })).toBeVisible();
    await page.getByLabel("Language", { exact: true }).selectOption("hi");
    await expect(page.getByRole("heading", { name: "आप कहाँ साइन इन हैं" })).toBeVisible();
    await story.expectAccessible();
  });
});

test("with the keyboard alone", async ({ page, story }) => {
  const mobile = newMobile();
  await page.goto("/");
  await expect(story.identifier).toBeFocused();
  await page.keyboard.type(mobile);
  await page.keyboard.press("Tab");
  await page.keyboard.type(PASSWORD);
  await page.keyboard.press("Tab");
  await expect(page.getByRole("button", { name: "Show" }).filter({ visible: true })).toBeFocused();
  await page.keyboard.press("Tab");
  await expect(page.getByRole("button", { name: "Send me the code" })).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(story.code).toBeFocused();
  await page.keyboard.type(await story.newestCode(e164(mobile)));
  await page.keyboard.press("Enter");
  await story.onAccount();

  for (let steps = 0; steps < 12; steps++) {
    await page.keyboard.press("Tab");
    if (await page.getByLabel("Name", { exact: true }).evaluate((input) => input === document.activeElement)) break;
  }
  await page.keyboard.type("Asha");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("heading", { name: "Hello, Asha" })).toBeVisible();
});
