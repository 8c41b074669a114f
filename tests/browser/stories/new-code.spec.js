import { e164, expect, newMobile, test } from "../fixtures.js";

test.use({ settings: { ENROLL__CODES__RESEND_AFTER: "2" } });

test("a new code, after its countdown; the old one is dead", async ({ page, story }) => {
  const mobile = newMobile();
  await story.askToSignUp(mobile);
  const old = await story.newestCode(e164(mobile));
  await expect(page.getByRole("button", { name: /New code in 0:0[12]/ })).toHaveAttribute("aria-disabled", "true");
  await page.getByRole("button", { name: "Send a new code" }).click();
  await expect(page.getByText("A new code is on its way. Use the newest one.")).toBeVisible();
  await expect(page.getByRole("button", { name: /New code in/ })).toBeVisible();
  await expect(story.code).toBeFocused();

  const newest = await story.newestCode(e164(mobile), { after: old });
  await story.code.fill(old);
  await expect(story.code).toHaveAccessibleDescription(/That isn't the code/);
  await story.code.fill(newest);
  await story.onAccount();
});
