import { e164, expect, newMobile, test } from "../fixtures.js";

test.use({ settings: { ENROLL__CODES__REGISTRATION_SMS__TTL: "10", ENROLL__CODES__RESEND_AFTER: "1" } });

test("a code that came too late, and a new one", async ({ page, story }) => {
  const mobile = newMobile();
  await story.askToSignUp(mobile);
  const late = await story.newestCode(e164(mobile));
  await expect(page.getByText("Expired", { exact: true })).toBeVisible({ timeout: 12_000 });
  await expect(page.getByRole("status").filter({ hasText: "The code has expired" })).toBeVisible();
  await story.code.pressSequentially(late);
  await page.keyboard.press("Enter");
  await expect(story.code).toHaveAccessibleDescription("This code has expired. Send a new one.");

  await page.getByRole("button", { name: "Send a new code" }).click();
  await story.code.fill(await story.newestCode(e164(mobile), { after: late }));
  await story.onAccount();
});
