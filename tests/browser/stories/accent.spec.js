import { expect, newMobile, test } from "../fixtures.js";

// Too light for white words, and as good as invisible on white.
test.use({ settings: { ENROLL__SERVER__ACCENT: "#ffd400" } });

for (const colorScheme of ["light", "dark"]) {
  test(`a yellow accent is readable, ${colorScheme}`, async ({ page, story }) => {
    await page.emulateMedia({ colorScheme });
    await page.goto("/#sign-in");
    await story.expectAccessible();
    const accent = await page.evaluate(() => getComputedStyle(document.documentElement).getPropertyValue("--accent"));
    expect(accent.trim()).toBe("#ffd400");
    await story.askToSignUp(newMobile());
    await expect(page.getByRole("button", { name: "Use this code" })).toBeVisible();
    await story.expectAccessible();
    await story.useInbox();
    await story.onAccount();
    await story.expectAccessible();
  });
}
